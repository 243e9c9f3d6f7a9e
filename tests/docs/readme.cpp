/// README.md's program.

#include <cstdio>
#include <vector>

#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/activation_rates.hpp>

// At each step of a sequence the router runs any subset of its two branches, or none.
struct Mixture
    : sma::Router<sma::LatentConfigurator<64, sma::Independent, sma::Confidence>,
                  sma::Branch<"mlp", sma::FeedForward<64, 256>>,
                  sma::Branch<"attn", seqboat::GatedAttention<64, 32, 128, seqboat::Window<128>>>> {};
using Layer = sma::Residual<sma::Chain<sma::LayerNorm<64>, Mixture>>;

int main() {
  sma::Network<sma::Repeat<6, Layer>, sma::Eigen<float>> net{sma::Seed{1}};

  sma::Batch<float, 64> x{100, 0, 2000};  // three sequences, packed: no padding
  sma::RandomSequence random(1, 0);
  for (float& value : x.values()) value = static_cast<float>(random.normal());
  const auto y = net.train(x);  // (2100, 64)
  const std::vector<float> dy(static_cast<std::size_t>(y.count) * 64, 1.0F);
  net.backward({dy.data(), y.count, 64});  // gradients accumulate in net.gradients()

  std::printf("%lld parameters, %lld rows\n", static_cast<long long>(net.parameter_count),
              static_cast<long long>(y.count));
  for (const double rate : sma::activation_rates(net))  // of each layer's router, from the pass
    std::printf("%.0f %% of the branches ran\n", 100 * rate);
}
