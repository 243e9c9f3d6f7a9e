#pragma once

#include <bit>
#include <cmath>
#include <common/bench.hpp>
#include <random>
#include <seqboat/reference_names.hpp>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/loss.hpp>
#include <sma/train/optimizer.hpp>
#include <sma/train/trainer.hpp>

/// Times training and inference steps of a classifier: the counterpart of peers/run.py.
namespace bench {

/// `sma::Independent`, unless `rate` says that each step is active with that probability. Then a hash of the bits of p decides,
/// which differs from row to row and has nothing to do with how large p is; the weight stays the confidence.
struct Rule {
  static constexpr bool causal = true;
  static constexpr sma::Competition competition = sma::Competition::each;
  inline static double rate = -1;  // set before a network runs
  template <class T, sma::Index M>
  static void select(const T* p, std::uint8_t* active) {
    if (rate < 0) return sma::Independent::select<T, M>(p, active);
    for (sma::Index i = 0; i < M; ++i) active[i] = fraction(static_cast<float>(p[i])) < rate ? 1 : 0;
  }

 private:
  /// In [0, 1): the finaliser of MurmurHash3 over the bits.
  static double fraction(float p) {
    auto h = std::bit_cast<std::uint32_t>(p);
    h = (h ^ (h >> 16)) * 0x85ebca6bU;
    h = (h ^ (h >> 13)) * 0xc2b2ae35U;
    return static_cast<double>(h ^ (h >> 16)) * 0x1p-32;
  }
};

/// A model whose routers decide by `Rule`.
template <class Model>
struct WithRule : Model {
  struct layer : Model::layer {
    using rule = Rule;
  };
};

/// Random rows of the given lengths, in their order.
template <class Model, class Batch>
void draw(const ModelOptions& o, std::mt19937& random, std::size_t& next, Batch& x,
          std::vector<std::int32_t>& targets) {
  std::vector<sma::Index> lengths;
  targets.clear();
  for (std::int64_t i = 0; i < o.batch; ++i) {
    lengths.push_back(static_cast<sma::Index>(o.lengths[next++ % o.lengths.size()]));
    targets.push_back(static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(Model::classes)));
  }
  x.resize(lengths);
  if constexpr (Model::vocabulary > 0) {  // token 0 is padding
    for (auto& token : x.values())
      token = static_cast<sma::Token>(1 + random() % static_cast<std::uint32_t>(Model::vocabulary - 1));
  } else {
    std::normal_distribution<float> normal;
    for (float& pixel : x.values()) pixel = normal(random);
  }
}

/// A training step is forward, cross entropy, backward, clipping to norm 1 and AdamW; an inference step is a forward pass.
/// Lengths go on from step to step, so that step k sees what step k of peers/run.py sees.
template <class Model>
ModelResult measure(const ModelOptions& o) {
  using Net = sma::Network<seqboat::Classifier<WithRule<Model>>, sma::Eigen<float>>;
  constexpr double rate = 1e-5;  // small, as in peers/run.py: routing stays that of the initial weights
  Rule::rate = o.activation;
  Net net(sma::Seed{o.seed},
          {.threads = static_cast<sma::Index>(o.threads), .lanes = static_cast<sma::Index>(o.lanes)});
  if (o.mode == "weights") {
    seqboat::save_reference(net, o.output);
    return {};
  }
  const bool training = o.mode == "train";
  sma::AdamW<Net> optimizer(net, {.weight_decay = 0.01});
  std::mt19937 random(static_cast<std::uint32_t>(o.seed));
  sma::Batch<typename Net::Element, 1> x;
  std::vector<std::int32_t> targets;
  std::size_t next = 0;

  const auto step = [&] {
    if (!training) {
      const auto y = net.infer(x);
      if (!std::isfinite(y(0, 0))) throw sma::Error("found an output that is not finite");
      return;
    }
    net.zero_gradients();
    const auto sum = net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy{},
                                    1.0 / static_cast<double>(targets.size()));
    if (!std::isfinite(sum.loss)) throw sma::Error("found a loss that is not finite");
    optimizer.step(rate, sma::clip_factor(optimizer.gradient_norm(), 1.0));
    ++net.settings().step;
  };

  ModelResult result;
  ModelOptions small = o;
  small.lengths = {150};
  small.batch = std::min<std::int64_t>(o.batch, 2);
  draw<Model>(small, random, next, x, targets);
  step();
  result.base_mb = memory_mb("VmRSS");
  next = 0;
  double total = 0;
  for (std::int64_t i = -o.warmup; i < o.steps || total < o.seconds; ++i) {
    draw<Model>(o, random, next, x, targets);
    const double start = now();
    step();
    const double taken = now() - start;
    if (i < 0) continue;
    total += taken;
    result.seconds.push_back(taken);
    result.tokens.push_back(static_cast<double>(x.rows()));
    const std::vector<double> rates = sma::activation_rates(net);
    result.activation.resize(rates.size());
    for (std::size_t r = 0; r < rates.size(); ++r) result.activation[r] += rates[r];
  }
  for (double& share : result.activation) share /= static_cast<double>(result.seconds.size());
  result.peak_mb = memory_mb("VmHWM");
  return result;
}

}  // namespace bench
