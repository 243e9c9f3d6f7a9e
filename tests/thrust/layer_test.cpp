#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <seqboat/classifier.hpp>
#include <sma/train/checkpoint.hpp>
#include <sma/train/loss.hpp>
#include <sma/train/optimizer.hpp>
#include <string>
#include <vector>

#include "thrust/system.hpp"

namespace {

using sma::Index;

struct Small : seqboat::LayerDefaults {
  static constexpr Index width = 4, query_width = 3, hidden_width = 5, states = 2;
  using span = seqboat::Window<3>;
  using position = seqboat::SimplePosition<16>;
  using temperature_scale = std::ratio<1, 4>;
};
struct Layer : seqboat::Layer<Small> {};

struct Model : seqboat::ClassifierDefaults {
  using layer = Small;
  static constexpr Index layers = 1, classes = 3, classifier_width = 6, vocabulary = 7;
};
using Classifier = seqboat::Classifier<Model>;

TEST_CASE("a SeqBoat layer: a batch is its sequences, in any order") {
  on::check_batch_is_its_sequences<Layer>();
}

TEST_CASE("a SeqBoat layer: gradients are finite differences") { on::check_gradients<Layer>(); }

TEST_CASE("a SeqBoat layer equals the reference backend's") {
  for (const laws::Decision decision : {laws::Decision::mixed, laws::Decision::none, laws::Decision::all})
    on::check_equals_reference<Layer, double>({decision});
}

struct Run {
  std::vector<double> losses, norms, correct, parameters;
};

/// Some clipped AdamW updates of a classifier that learns one batch by heart.
template <class Net>
Run train(Net& net, sma::AdamW<Net>& optimizer) {
  Run run;
  laws::randomize(net, 1);
  const auto x = laws::random_input<Net>({9, 1, 90, 2, 0, 5, 17, 3}, 2);
  const std::vector<std::int32_t> targets{2, 1, 0, 1, 2, 2, 0, 1};
  for (std::uint64_t step = 0; step < 12; ++step) {
    net.zero_gradients();
    net.settings().step = step;
    const auto sum = net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy{}, 0.125);
    const double norm = optimizer.gradient_norm();
    optimizer.step(0.02, sma::clip_factor(norm, 1.0));
    run.losses.push_back(sum.loss);
    run.correct.push_back(sum.correct);
    run.norms.push_back(norm);
  }
  const auto w = laws::parameters_of(net);
  run.parameters.assign(w.begin(), w.end());
  return run;
}

TEST_CASE("AdamW takes the reference backend's steps, and the loss falls") {
  using Net = laws::Net<Classifier, on::Backend<double>>;
  using Other = laws::Net<Classifier, on::Reference<double>>;
  Net net(sma::Seed{1});
  Other other(sma::Seed{1});
  sma::AdamW<Net> optimizer(net, {.weight_decay = 0.01});
  sma::AdamW<Other> other_optimizer(other, {.weight_decay = 0.01});
  const Run run = train(net, optimizer);
  const Run expected = train(other, other_optimizer);
  // AdamW divides by the root of the second moment: where a gradient is all rounding, so is its step.
  laws::check_close(run.losses, expected.losses, 1e-9, "losses");
  laws::check_close(run.norms, expected.norms, 1e-9, "gradient norms");
  laws::check_close(run.parameters, expected.parameters, 1e-7, "parameters");
  CHECK(run.correct == expected.correct);
  CHECK(run.losses.back() < 0.8 * run.losses.front());
}

TEST_CASE("a checkpoint goes from one backend to the other") {
  using Net = laws::Net<Classifier, on::Backend<double>>;
  using Other = laws::Net<Classifier, on::Reference<double>>;
  const auto name = "seqboat_thrust_layer_test_" + std::to_string(getpid()) + ".safetensors";
  const auto path = (std::filesystem::temp_directory_path() / name).string();
  Net net(sma::Seed{1});
  sma::AdamW<Net> optimizer(net);
  train(net, optimizer);
  sma::save_checkpoint(net, optimizer, {.step = 12}, path);
  Other other(sma::Seed{2});
  sma::AdamW<Other> other_optimizer(other);
  CHECK(sma::load_checkpoint(other, other_optimizer, path).step == 12);
  std::filesystem::remove(path);
  laws::check_same_bits(laws::parameters_of(other), laws::parameters_of(net), "parameters");
  laws::check_same_bits(sma::host_copy(other, other_optimizer.first_moment()),
                        sma::host_copy(net, optimizer.first_moment()), "first moments");
  laws::check_same_bits(sma::host_copy(other, other_optimizer.second_moment()),
                        sma::host_copy(net, optimizer.second_moment()), "second moments");
}

}  // namespace
