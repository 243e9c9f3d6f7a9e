// expected-error: sma::Network requires the parameters, buffers, metrics and children of a module to have different names, so that no two tensors have one path
// expected-error: sma::FixedString<13>{"configurator"}, sma::Linear<16, 16

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Mixture : sma::Router<sma::LatentConfigurator<16, sma::Independent, sma::Confidence>,
                             sma::Branch<"configurator", sma::Linear<16, 16>>> {};

int main() { sma::Network<Mixture, sma::Eigen<float>> net{sma::Seed{1}}; }
