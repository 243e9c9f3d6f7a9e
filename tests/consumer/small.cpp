/// A program beside Eigen, with `using namespace sma`: a training step, and the weights through a file. The backend is
/// `sma::Eigen` there, because `Eigen` alone may be Eigen's namespace, too.

#include <algorithm>
#include <cstdio>
#include <seqboat/reference_names.hpp>
#include <seqboat/seqboat.hpp>
#include <sma/sma.hpp>
#include <sma/train/trainer.hpp>
#include <vector>

using namespace sma;

#include <sma/eigen.hpp>

struct Mixture
    : Router<LatentConfigurator<8, Independent, Confidence>, Branch<"mlp", FeedForward<8, 16>>,
             Branch<"attn", seqboat::GatedAttention<8, 4, 8, seqboat::Window<4>, seqboat::Laplace>>> {};
using Description = Chain<LayerNorm<8>, Residual<Mixture>, Dropout<8, std::ratio<1, 4>>>;
using Net = Network<Description, sma::Eigen<float>>;

int main() {
  Net net{Seed{1}};
  Batch<float, 8> x{20, 0, 3};
  for (int i = 0; float& element : x.values()) element = 0.25F * static_cast<float>(i++ % 9 - 4);
  const auto y = net.train(x);
  const ::Eigen::MatrixXf dy = ::Eigen::MatrixXf::Ones(8, y.count);
  net.backward({dy.data(), y.count});
  AdamW<Net> optimizer(net);
  optimizer.step(0.01, clip_factor(optimizer.gradient_norm(), 1.0));

  save_weights(net, "weights.safetensors");
  Net other{Seed{2}};
  load_weights(other, "weights.safetensors");
  const bool same = std::ranges::equal(net.parameters(), other.parameters());
  try {
    net.set_parameters({});
  } catch (const Error& error) {
    std::printf("%s\n", error.what());
    return same ? 0 : 1;
  }
  return 1;
}
