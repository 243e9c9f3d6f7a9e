// expected-error: sma::Network requires the parameters, buffers, metrics and children of a module to have different names, so that no two tensors have one path
// expected-error: sma::Child<sma::FixedString<2>{"1"}

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

using Model = sma::Chain<sma::Named<"1", sma::Linear<4, 4>>, sma::Linear<4, 4>>;

int main() { sma::Network<Model, sma::Eigen<float>> net{sma::Seed{1}}; }
