// expected-error: w[Name] requires the Name of one of the module's Parameters
// expected-error: no_parameter_of_this_name<sma::ParameterName

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

using namespace sma::literals;

const float* bias_of(sma::Weights<sma::LinearWithoutBias<4, 3>, float> w) { return w["bias"_p].data; }
