// expected-error: sma::Network requires the parameters, buffers, metrics and children of a module to have different names, so that no two tensors have one path
// expected-error: sma::Child<sma::FixedString<1>{""}

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

// Neither adds anything to the path: both have a "0.weight".
using Part = sma::Chain<sma::Linear<4, 4>, sma::ReLU<4>>;
using Model = sma::Chain<sma::Named<"", Part>, sma::Named<"", sma::Repeat<2, sma::Linear<4, 4>>>>;

int main() { sma::Network<Model, sma::Eigen<float>> net{sma::Seed{1}}; }
