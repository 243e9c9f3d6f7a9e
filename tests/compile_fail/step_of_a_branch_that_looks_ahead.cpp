// expected-error: sma::Network::step(stream, x, y) requires every module to stream: causal, with a bounded state
// expected-error: does_not_stream<seqboat::Ema<16, 4, true

#include <array>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Mixture
    : sma::Router<sma::LatentConfigurator<16, sma::Independent, sma::Confidence>,
                  sma::Branch<"mlp", sma::FeedForward<16, 32>>,
                  sma::Branch<"average", sma::Chain<sma::LayerNorm<16>, seqboat::Ema<16, 4, true>>>> {};

int main() {
  sma::Network<sma::Repeat<2, sma::Residual<Mixture>>, sma::Eigen<float>> net{sma::Seed{1}};
  auto stream = net.stream();
  const std::array<float, 16> x{};
  std::array<float, 16> y{};
  net.step(stream, x, y);
}
