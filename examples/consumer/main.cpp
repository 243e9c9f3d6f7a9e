/// A network with two unlike branches, run forward and backward once.

#include <cstdio>
#include <vector>

#include <seqboat/gated_attention.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Mixture : sma::Router<sma::LatentConfigurator<16, sma::Independent, sma::Confidence>,
                             sma::Branch<"mlp", sma::FeedForward<16, 32>>,
                             sma::Branch<"attn", seqboat::GatedAttention<16, 8, 16, seqboat::Window<8>>>> {};
using Layer = sma::Residual<sma::Chain<sma::LayerNorm<16>, Mixture>>;

int main() {
  sma::Network<sma::Repeat<2, Layer>, sma::Eigen<float>> net{sma::Seed{1}};

  sma::Batch<float, 16> x{100, 0, 7};  // three sequences, one of them empty
  for (int i = 0; float& element : x.values()) element = 0.25F * static_cast<float>(i++ % 9 - 4);

  const auto y = net.train(x);  // (107, 16)
  const std::vector<float> dy(static_cast<std::size_t>(y.count) * 16, 1.0F);
  net.backward({dy.data(), y.count, 16});

  std::printf("%d rows in, %d rows out\n", static_cast<int>(x.rows()), static_cast<int>(y.count));
  return y.count == x.rows() ? 0 : 1;
}
