#pragma once

#include <seqboat/reference_names.hpp>
#include <seqboat/seqboat.hpp>
#include <sma/train/loss.hpp>
#include <sma/train/optimizer.hpp>
#include <sma/train/trainer.hpp>

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bench.hpp"

/// Times a layer, which stays on the device, and a model, which takes its batch from host memory: the counterparts of peer.py.
namespace bench {

/// The case's name: `image/model/8/train`.
inline std::string case_of(const Options& o, const char* kind) {
  return o.name + "/" + kind + "/" + std::to_string(o.batch) + (o.train ? "/train" : "/forward");
}

/// Forward in inference mode, or forward and backward in training mode, of `o.batch` sequences of normal numbers.
template <class Layer>
void layer(const Options& o, Index length) {
  using Net = sma::Network<Layer, Backend>;
  Net net(sma::Seed{o.seed});
  if (!o.weights.empty()) return seqboat::save_reference(net, o.weights);
  const std::vector<Index> lengths(static_cast<std::size_t>(o.batch), length);
  sma::Batch<float, Layer::input_width> x{std::span<const Index>(lengths)};
  const auto values = random_values(static_cast<Index>(x.values().size()), 3);
  std::copy(values.begin(), values.end(), x.values().begin());
  net.infer(x);
  const auto rates = json_list(sma::activation_rates(net));

  Alone<Layer> one(o.seed, o.batch, length, o.train);
  const Seconds seconds =
      o.train ? timed(o.seconds, [&] { one.both(); }) : timed(o.seconds, [&] { one.forward(); });
  report(case_of(o, "layer"), seconds, "rows", static_cast<double>(one.rows()), ", \"activation\": " + rates);
}

/// A training step is forward, cross entropy, backward, clipping to norm 1 and AdamW; an inference step is a forward pass.
template <class Model>
void model(const Options& o, Index length) {
  using Net = sma::Network<seqboat::Classifier<Model>, Backend>;
  constexpr double rate = 1e-5;  // small, as in peer.py: routing stays that of the initial weights
  Net net(sma::Seed{o.seed});
  if (!o.weights.empty()) return seqboat::save_reference(net, o.weights);
  sma::AdamW<Net> optimizer(net, {.weight_decay = 0.01});
  sma::RandomSequence random(1, 3);
  sma::Batch<typename Net::Element, 1> x;
  x.resize(std::vector<Index>(static_cast<std::size_t>(o.batch), length));
  for (auto& value : x.values()) {
    if constexpr (Model::vocabulary > 0)  // token 0 is padding
      value = static_cast<sma::Token>(1 + random.uniform() * static_cast<double>(Model::vocabulary - 1));
    else
      value = static_cast<float>(random.normal());
  }
  std::vector<std::int32_t> targets(static_cast<std::size_t>(o.batch));
  for (auto& target : targets)
    target = static_cast<std::int32_t>(random.uniform() * static_cast<double>(Model::classes));

  const auto step = [&] {
    if (!o.train) {
      const auto y = net.infer(x);
      if (!std::isfinite(y(0, 0))) throw sma::Error("bench_gpu: found an output that is not finite");
      return;
    }
    net.zero_gradients();
    const auto sum = net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy{},
                                    1.0 / static_cast<double>(targets.size()));
    if (!std::isfinite(sum.loss)) throw sma::Error("bench_gpu: found a loss that is not finite");
    optimizer.step(rate, sma::clip_factor(optimizer.gradient_norm(), 1.0));
    ++net.settings().step;
  };
  const Seconds seconds = timed(o.seconds, step);
  report(case_of(o, "model"), seconds, "rows", static_cast<double>(x.rows()),
         ", \"activation\": " + json_list(sma::activation_rates(net)));
}

/// `o.name` is TASK/layer or TASK/model; `length` is the task's.
template <class Layer, class Model>
bool task(const Options& given, const std::string& name, Index length) {
  if (given.name != name + "/layer" && given.name != name + "/model") return false;
  Options o = given;
  o.name = name;
  if (o.small) length = 40;
  if (given.name == name + "/layer")
    layer<Layer>(o, length);
  else
    model<Model>(o, length);
  return true;
}

}  // namespace bench
