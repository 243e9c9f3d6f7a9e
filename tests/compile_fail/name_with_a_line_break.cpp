// expected-error: sma::Network requires names without control characters, and tensors with a name

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

using Model = sma::Chain<sma::Named<"a\nb", sma::Linear<4, 4>>>;

int main() { sma::Network<Model, sma::Eigen<float>> net{sma::Seed{1}}; }
