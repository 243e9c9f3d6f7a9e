// expected-error: sma::Network requires the parameters, buffers, metrics and children of a module to have different names, so that no two tensors have one path
// expected-error: have_one_name<sma::Router
// expected-error: sma::Child<sma::FixedString<4>{"mlp"}, sma::Linear<16, 16

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Mixture : sma::Router<sma::LatentConfigurator<16, sma::Independent, sma::Confidence>,
                             sma::Branch<"mlp", sma::Linear<16, 16>>, sma::Branch<"mlp", sma::Identity<16>>> {
};

int main() { sma::Network<sma::Repeat<2, Mixture>, sma::Eigen<float>> net{sma::Seed{1}}; }
