/// Networks of other shapes under the trainer: pairs, an output row a step, metrics that are not a router's.

#include <doctest/doctest.h>

#include <cstdlib>

#include "tiny_task.hpp"

namespace {

using tiny::message_of;

/// y = x, with metrics whose names look like a router's.
struct Counting {
  static constexpr sma::Index input_width = 8, output_width = 8;
  using Metrics = sma::Parameters<sma::Param<"rows", sma::Shape<1>>, sma::Param<"active", sma::Shape<2>>,
                                  sma::Param<"arrows", sma::Shape<1>>, sma::Param<"inactive", sma::Shape<3>>>;
  template <class C, class S>
  static void forward(C&, const sma::Sequences& s, sma::Rows<const S, 8> x, sma::Rows<S, 8> y,
                      sma::Weights<Counting, S> w, sma::NoState&) {
    std::copy_n(x.data, s.rows * 8, y.data);
    if (w.metric_data == nullptr) return;
    for (int i = 0; i < 7; ++i) w.metric_data[i] += 1000;
  }
  template <class C, class S>
  static void backward(C&, const sma::Sequences& s, sma::Rows<const S, 8> dy, sma::Rows<S, 8> dx,
                       sma::Weights<Counting, S>, sma::Gradients<Counting, S>, sma::NoState&) {
    std::copy_n(dy.data, s.rows * 8, dx.data);
  }
};
template <class Branch>
using Routed = sma::Router<sma::LatentConfigurator<8, sma::Independent, sma::Confidence>,
                           sma::Branch<"a", Branch>, sma::Branch<"b", sma::Linear<8, 8>>>;
struct Nested : sma::Chain<sma::TokenEmbedding<5, 8>, Counting,
                           sma::Repeat<2, sma::Residual<sma::Chain<Counting, Routed<Routed<Counting>>>>>,
                           Counting, sma::MeanPool<8>, sma::Linear<8, 2>> {};

struct Pairs
    : sma::Chain<sma::TokenEmbedding<5, 4>, sma::MeanPool<4>, sma::PairFeatures<4>, sma::Linear<16, 2>> {};
struct EachStep : sma::Chain<sma::TokenEmbedding<5, 4>, sma::Linear<4, 5>> {};

/// Sequences of `lengths` tokens, `sequences` an example, and targets as the test says.
template <bool TargetAStep>
class Examples {
 public:
  using Input = sma::Batch<sma::Token, 1>;
  sma::Index sequences = 1;
  sma::Index missing = 0;  // targets
  void next(sma::Index count, Input& x, std::vector<std::int32_t>& targets) {
    for (sma::Index i = 0; i < count; ++i) append(index_++, x, targets);
    targets.resize(targets.size() - static_cast<std::size_t>(missing));
  }
  [[nodiscard]] std::int64_t epoch() const { return 0; }
  [[nodiscard]] std::int64_t index() const { return index_; }
  void seek(std::int64_t, std::int64_t index) { index_ = index; }
  [[nodiscard]] static sma::Index size(sma::Split) { return 5; }
  void example(sma::Split, sma::Index i, Input& x, std::vector<std::int32_t>& targets) const {
    append(i, x, targets);
  }

 private:
  void append(std::int64_t number, Input& x, std::vector<std::int32_t>& targets) const {
    const auto length = static_cast<std::size_t>(number % 4);  // 0, too
    for (sma::Index s = 0; s < sequences; ++s)
      x.append(std::vector<sma::Token>(length, static_cast<sma::Token>((number + s) % 5)));
    if (!TargetAStep) targets.push_back(static_cast<std::int32_t>(number % 2));
    if (TargetAStep)
      for (std::size_t t = 0; t < length; ++t)
        targets.push_back(t == 0 ? -100 : static_cast<std::int32_t>(number % 5));
  }
  std::int64_t index_ = 0;
};

template <class Description>
using Net = sma::Network<Description, sma::Eigen<float>>;

}  // namespace

TEST_CASE("activation rates are those of routers, nested ones too, whatever other modules report") {
  Net<Nested> net(sma::Seed{1});
  tiny::Hooked data;
  tiny::Hooked::Input x;
  std::vector<std::int32_t> targets;
  data.next(6, x, targets);
  net.infer(x);
  std::vector<double> by_hand;
  double rows = 0;
  double active = 0;
  for (const sma::Metric& metric : net.metrics()) {
    if (metric.name.ends_with("configurator.rows")) rows = metric.value;
    if (metric.name.ends_with("configurator.active.0")) active = metric.value;
    if (metric.name.ends_with("configurator.active.1"))
      by_hand.push_back((active + metric.value) / (2 * rows));
  }
  CHECK(by_hand.size() == 4);
  CHECK(sma::activation_rates(net) == by_hand);
  sma::Trainer trainer(net, data, tiny::options("", 2));
  trainer.run();
  CHECK(trainer.evaluate(sma::Split::test).activation.size() == 4);

  Net<Pairs> without(sma::Seed{1});
  CHECK(sma::activation_rates(without).empty());
}

TEST_CASE("an example of a network on pairs is two sequences and one target") {
  Net<Pairs> net(sma::Seed{1});
  Examples<false> data;
  data.sequences = 2;
  sma::Trainer trainer(net, data, tiny::options("", 3));
  trainer.run();
  CHECK(trainer.evaluate(sma::Split::test).rows == 5);
  data.sequences = 1;
  CHECK(message_of([&] { trainer.evaluate(sma::Split::test); }) ==
        "Data::example(test, 0): found 1 sequence, expected 2");
  data.seek(0, 0);
  sma::Trainer another(net, data, tiny::options("", 3));
  CHECK(message_of([&] { another.run(); }) ==
        "training step 1: Data::next(9) at epoch 0, index 0: found 9 sequences, expected 18");
}

TEST_CASE(
    "an example of a network with an output row a step has a target a step, and ignored ones do not count") {
  Net<EachStep> net(sma::Seed{1});
  Examples<true> data;
  auto options = tiny::options("", 3);
  CHECK(message_of([&] {
          sma::Trainer(net, data, options).run();
        }).ends_with("sma::CrossEntropy: row 0: found target -100, expected 0 to 4"));
  options.ignored_target = -100;
  data.seek(0, 0);
  sma::Trainer trainer(net, data, options);
  trainer.run();
  CHECK(trainer.evaluate(sma::Split::test).rows == 3);  // of 0 + 1 + 2 + 3 + 0 steps, less one a sequence
  data.missing = 1;
  data.seek(0, 0);
  sma::Trainer another(net, data, options);
  CHECK(
      message_of([&] { another.run(); }) ==
      "training step 1: Data::next(9) at epoch 0, index 0: found 11 targets, expected 12, one an output row");
}
