/// A sparsely activated mixture of three unlike branches, with a selection rule and an estimator of your own.

#include <algorithm>
#include <cmath>
#include <seqboat/ema.hpp>
#include <seqboat/gated_attention.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/optimizer.hpp>
#include <string>
#include <vector>

#include "claim.hpp"

/// Rule: of the branches that are likelier run than skipped, the two most probable. So a step runs 0, 1 or 2 of them.
struct AtMostTwo {
  static constexpr bool causal = true;  // a step is decided by itself
  static constexpr sma::Competition competition = sma::Competition::each;
  template <class T, sma::Index M>
  SMA_HD static void select(const T* p, std::uint8_t* active) {
    for (sma::Index i = 0; i < M; ++i) {
      sma::Index better = 0;
      for (sma::Index j = 0; j < M; ++j) better += p[j] > p[i] || (p[j] == p[i] && j < i) ? 1 : 0;
      active[i] = p[i] > T(0.5) && better < 2 ? 1 : 0;
    }
  }
};

/// Estimator: an active branch weighs p^2, and gradient crosses the decision through that.
struct SquaredConfidence {
  static constexpr sma::Gate gate = sma::Gate::softmax;
  template <class T>
  SMA_HD static T weight(T p) {
    return p * p;
  }
  template <class T>
  SMA_HD static T slope(T p) {
    return 2 * p;
  }
};

constexpr sma::Index kWidth = 8;

/// The mixture: a feed-forward block, attention over the active steps only, and a moving average.
struct Mixture
    : sma::Router<sma::LatentConfigurator<kWidth, AtMostTwo, SquaredConfidence>,
                  sma::Branch<"mlp", sma::FeedForward<kWidth, 16>>,
                  sma::Branch<"attention", seqboat::GatedAttention<kWidth, 4, 8, seqboat::Window<8>>>,
                  sma::Branch<"average", seqboat::Ema<kWidth, 2, false>>> {};

using Model = sma::Residual<sma::Chain<sma::LayerNorm<kWidth>, sma::Named<"mixture", Mixture>>>;
using Net = sma::Network<Model, sma::Eigen<float>>;

int main() {
  Net net{sma::Seed{4}};
  sma::Batch<float, kWidth> x{40, 1, 0, 25};
  for (sma::Index i = 0; float& value : x.values()) value = std::sin(0.7F * static_cast<float>(++i % 89));
  const auto elements = static_cast<std::size_t>(x.rows() * kWidth);

  // Train towards y = -x, by hand: forward, gradient of the mean squared error, backward, update.
  sma::AdamW<Net> optimizer(net);
  std::vector<float> dy(elements);
  double first = 0, last = 0;
  for (int update = 0; update < 60; ++update) {
    net.zero_gradients();
    const auto y = net.train(x);
    last = 0;
    for (std::size_t i = 0; i < elements; ++i) {
      const float error = y.host().data[i] + x.values()[i];
      dy[i] = 2 * error / static_cast<float>(elements);
      last += static_cast<double>(error * error) / static_cast<double>(elements);
    }
    net.backward({dy.data(), y.count});
    optimizer.step(0.02);
    if (update == 0) first = last;
  }
  std::printf("loss %.3f -> %.3f\n", first, last);
  claim("the mixture learns", last < 0.5 * first);

  // What ran? The trace holds each branch's weight at each step, 0 where it was skipped.
  std::vector<float> trace(static_cast<std::size_t>(x.rows() * Net::trace_width));  // (rows, 3)
  net.infer(x, trace);
  bool at_most_two = true;
  for (std::size_t row = 0; row < trace.size(); row += 3)
    at_most_two = at_most_two && std::count(&trace[row], &trace[row] + 3, 0.0F) >= 1;
  claim("at most two of the three branches run at a step", at_most_two);

  // The statistics of the last pass are values too.
  std::size_t active = 0;
  for (const sma::Metric& metric : net.metrics()) {
    if (metric.name.find("configurator.active") == std::string::npos) continue;
    std::printf("%s: %.0f of %d steps\n", metric.name.c_str(), metric.value, static_cast<int>(x.rows()));
    claim("each branch runs at some steps and is skipped at others",
          metric.value > 0 && metric.value < static_cast<double>(x.rows()));
    active += static_cast<std::size_t>(metric.value);
  }
  const auto skipped = static_cast<std::size_t>(std::ranges::count(trace, 0.0F));
  claim("the statistics count what the trace shows", active == trace.size() - skipped);
}
