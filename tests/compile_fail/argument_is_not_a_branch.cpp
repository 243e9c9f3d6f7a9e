// expected-error: sma::Router<Configurator, Branch<Name, M>, ...> requires every argument after the first to be a Branch
// expected-error: sma::FeedForward<16, 32

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Mixture : sma::Router<sma::LatentConfigurator<16, sma::Independent, sma::Confidence>,
                             sma::Branch<"map", sma::Linear<16, 16>>, sma::FeedForward<16, 32>> {};

int main() {
  sma::Network<Mixture, sma::Eigen<float>> net{sma::Seed{1}};
  const sma::Batch<float, 16> x{7};
  net.infer(x);
}
