// expected-error: sma::Router<Configurator, Branch<Name, M>, ...> requires all branches to have the same output_width
// expected-error: sma::Linear<16, 17
// expected-error: Produces<17>
// expected-error: Expects<16>

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Mixture
    : sma::Router<sma::LatentConfigurator<16, sma::Independent, sma::Confidence>,
                  sma::Branch<"mlp", sma::FeedForward<16, 32>>, sma::Branch<"map", sma::Linear<16, 17>>> {};

int main() {
  sma::Network<Mixture, sma::Eigen<float>> net{sma::Seed{1}};
  const sma::Batch<float, 16> x{7};
  net.infer(x);
}
