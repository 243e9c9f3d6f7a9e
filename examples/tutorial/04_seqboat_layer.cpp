/// A SeqBoat layer, over whole sequences and step by step.

#include <array>
#include <cmath>
#include <seqboat/layer.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/trainer.hpp>
#include <vector>

#include "claim.hpp"

// A layer is described by what differs from LayerDefaults; see seqboat/layer.hpp for everything that can.
struct Small : seqboat::LayerDefaults {
  static constexpr sma::Index width = 8, query_width = 4, hidden_width = 16, states = 4;
  using span = seqboat::Window<6>;               // working memory: the last 6 active steps
  using position = seqboat::SimplePosition<64>;  // a bias a distance in time
  static constexpr bool causal = true;           // so that it streams
};
using Layer = seqboat::Layer<Small>;
using Net = sma::Network<Layer, sma::Eigen<float>>;

int main() {
  Net net{sma::Seed{3}};
  // An untrained configurator opens about half of the steps; make it differ from step to step.
  for (const sma::TensorEntry& entry : sma::parameter_entries<Layer>())
    if (entry.name == "router.configurator.weight")
      for (sma::Index i = 0; i < entry.size; ++i)
        net.parameters()[static_cast<std::size_t>(entry.offset + i)] *= 20;

  constexpr sma::Index kSteps = 60;
  sma::Batch<float, 8> x{kSteps};
  for (sma::Index i = 0; float& value : x.values()) value = std::sin(0.37F * static_cast<float>(++i));

  // The whole sequence at once. Attention sees the active steps alone: its cost shrinks with the activation rate.
  const auto whole = net.infer(x);  // (60, 8)
  const double rate = sma::activation_rates(net).at(0);
  std::printf("attention runs at %.0f %% of the steps\n", 100 * rate);
  claim("some steps are skipped, and more are active than the memory holds", rate < 1 && rate * kSteps > 7);

  // Step by step: the stream holds the EMA's states and the last 7 active keys, values and positions. Nothing grows.
  auto stream = net.stream();
  const auto run = [&](sma::Index from, sma::Index to) {
    double worst = 0;
    std::array<float, 8> y{};
    for (sma::Index t = from; t < to; ++t) {
      net.step(stream, std::span<const float, 8>(&x(t, 0), 8), y);
      for (sma::Index c = 0; c < 8; ++c)
        worst = std::max(worst, static_cast<double>(std::abs(y[static_cast<std::size_t>(c)] - whole(t, c))));
    }
    return worst;
  };
  // Sums are taken in another order, so the last bits of numbers of order one differ.
  claim("steps give what the whole sequence gives", run(0, 30) < 1e-5);

  const auto bookmark = stream;  // a copy goes on from the same place
  claim("they still do after the window has wrapped", run(30, kSteps) < 1e-5);
  stream = bookmark;
  claim("a copied stream goes on from where it was copied", stream.time() == 30 && run(30, kSteps) < 1e-5);
  stream.reset();
  claim("a stream that is reset starts again", stream.time() == 0 && run(0, kSteps) < 1e-5);
}
