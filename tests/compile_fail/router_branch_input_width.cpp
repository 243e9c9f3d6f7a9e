// expected-error: sma::Router<Configurator, Branch<Name, M>, ...> requires each branch's input_width to equal the configurator's
// expected-error: sma::FeedForward<32, 64
// expected-error: Expects<32>
// expected-error: Produces<16>

#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <vector>

struct Mixture : sma::Router<sma::LatentConfigurator<16, sma::Independent, sma::Confidence>,
                             sma::Branch<"narrow", sma::FeedForward<16, 32>>,
                             sma::Branch<"wide", sma::FeedForward<32, 64>>> {};

int main() {
  sma::Network<sma::Residual<Mixture>, sma::Eigen<float>> net{sma::Seed{1}};
  const sma::Batch<float, 16> x{7};
  const std::vector<float> dy(7 * 16);
  net.train(x);
  net.backward({dy.data(), 7});
}
