// expected-error: sma::Router<Configurator, Branch<Name, M>, ...> requires at least as many branches as its selection rule chooses
// expected-error: TopK<3>
// expected-error: Has<2>
// expected-error: Needs<3>

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Mixture
    : sma::Router<sma::LatentConfigurator<16, sma::TopK<3>, sma::Confidence>,
                  sma::Branch<"mlp", sma::FeedForward<16, 32>>, sma::Branch<"map", sma::Linear<16, 16>>> {};

int main() {
  sma::Network<Mixture, sma::Eigen<float>> net{sma::Seed{1}};
  const sma::Batch<float, 16> x{7};
  net.infer(x);
}
