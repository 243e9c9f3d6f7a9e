// expected-error: sma::Network::step(stream, x, y) requires every module to stream: causal, with a bounded state
// expected-error: does_not_stream<seqboat::GatedAttention<8, 4, 8, seqboat::Full

#include <array>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Layer : seqboat::LayerDefaults {
  static constexpr sma::Index width = 8, query_width = 4, hidden_width = 8;
  static constexpr bool causal = true;
  using span = seqboat::Full;
};

int main() {
  sma::Network<seqboat::Layer<Layer>, sma::Eigen<float>> net{sma::Seed{1}};
  auto stream = net.stream();
  const std::array<float, 8> x{};
  std::array<float, 8> y{};
  net.step(stream, x, y);
}
