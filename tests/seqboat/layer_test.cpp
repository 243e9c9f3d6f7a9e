#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <seqboat/layer.hpp>
#include <sma/eigen.hpp>
#include <sma/network/network.hpp>
#include <string>
#include <support/laws.hpp>
#include <vector>

#include "by_hand.hpp"

namespace {

using sma::Index;
using Backend = sma::Eigen<double>;
using by_hand::set_tensor;

struct Tiny : seqboat::LayerDefaults {
  static constexpr Index width = 4, query_width = 4, hidden_width = 6, states = 2;
  using span = seqboat::Window<2>;
};

// Between them every norm before and after, both directions, with and without configurator and feed-forward block.
struct LayerNormBefore : Tiny {
  using position = seqboat::SimplePosition<8>;
};
struct ScaleNormAfter : Tiny {
  static constexpr Index feed_forward_width = 5;
  static constexpr bool prenorm = false, causal = true;
  using position = seqboat::RotaryPosition;
  using dropout = std::ratio<1, 10>;
  using hidden_dropout = std::ratio<1, 5>;
  template <Index Width>
  using norm = sma::ScaleNorm<Width>;
};
struct RmsNormBefore : Tiny {
  static constexpr Index truncation = 3;
  static constexpr bool causal = true, always_active = true;
  using attention = seqboat::Relu2;
  using position = seqboat::LocalPosition<2>;
  template <Index Width>
  using norm = sma::RmsNorm<Width>;
};
struct BatchNormBefore : Tiny {
  static constexpr Index feed_forward_width = 5;
  using span = seqboat::Full;
  using feed_forward_activation = sma::functions::GELU;
  template <Index Width>
  using norm = sma::BatchNorm<Width>;
};
struct BatchNormAfter : Tiny {
  static constexpr bool prenorm = false, causal = true;
  using rule = sma::Threshold<std::ratio<2, 5>>;
  using act_bias = std::ratio<1, 10>;
  template <Index Width>
  using norm = sma::BatchNorm<Width>;
};
struct RmsNormAfter : Tiny {
  static constexpr Index feed_forward_width = 5;
  static constexpr bool prenorm = false, always_active = true;
  using attention = seqboat::Laplace;
  template <Index Width>
  using norm = sma::RmsNorm<Width>;
};
struct FullCausal : Tiny {
  static constexpr bool causal = true;
  using span = seqboat::Full;
};

const laws::Lengths kMixed{0, 1, 14, 0, 3};

/// A setup that opens or closes every step's attention, whatever the step holds, with probabilities well inside (0, 1).
struct Decide {
  bool run;
  template <class Net>
  void operator()(Net& net) const {
    const double bias = run ? 4 : -4;
    set_tensor(net, "router.configurator.weight",
               [](Index i) { return 0.05 * static_cast<double>(i % 3 - 1); });
    set_tensor(net, "router.configurator.bias", [&](Index i) { return i == 1 ? bias : 0.0; });
  }
};

}  // namespace

TEST_CASE(
    "a layer's gradients are its finite differences, whatever norm, direction, configurator and block it "
    "has") {
  laws::check_gradients<seqboat::Layer<LayerNormBefore>, Backend>(kMixed, 1);
  laws::check_gradients<seqboat::Layer<ScaleNormAfter>, Backend>(kMixed, 2);
  laws::check_gradients<seqboat::Layer<RmsNormBefore>, Backend>(kMixed, 3);
  laws::check_gradients<seqboat::Layer<BatchNormBefore>, Backend>(kMixed, 4);
  laws::check_gradients<seqboat::Layer<BatchNormAfter>, Backend>(kMixed, 5);
  laws::check_gradients<seqboat::Layer<RmsNormAfter>, Backend>(kMixed, 6);
}

TEST_CASE("a layer of a batch is that of its sequences one by one") {
  for (const auto& lengths : laws::shapes()) {
    laws::check_batch_is_its_sequences<seqboat::Layer<LayerNormBefore>, Backend>(lengths, 1);
    laws::check_batch_is_its_sequences<seqboat::Layer<RmsNormBefore>, Backend>(lengths, 2);
  }
}

TEST_CASE("a layer's gradients hold where no step is active and where all are") {
  for (const bool run : {false, true}) {
    laws::check_gradients<seqboat::Layer<LayerNormBefore>, Backend>(kMixed, 1, Decide{run});
    laws::check_gradients<seqboat::Layer<ScaleNormAfter>, Backend>(kMixed, 2, Decide{run});
    sma::Network<seqboat::Layer<LayerNormBefore>, Backend> net{sma::Seed{1}};
    laws::randomize(net, 1);
    Decide{run}(net);
    const auto made = laws::decisions_of(net, laws::random_input<decltype(net)>(kMixed, 1));
    CHECK(made == std::vector<bool>(18, run));
  }
}

TEST_CASE("a layer without an active step does not read its attention") {
  sma::Network<seqboat::Layer<LayerNormBefore>, Backend> net{sma::Seed{1}};
  laws::randomize(net, 1);
  Decide{false}(net);
  const auto x = laws::random_input<decltype(net)>(kMixed, 2);
  const auto dy = laws::random_values<double>(x.values().size(), 3);
  const auto before = laws::train(net, x, dy);
  Index attention = 0;
  for (const auto& entry : sma::parameter_entries<seqboat::Layer<LayerNormBefore>>()) {
    if (!entry.name.starts_with("router.attention.")) continue;
    ++attention;
    for (Index i = 0; i < entry.size; ++i)
      CHECK(before.gradients[static_cast<std::size_t>(entry.offset + i)] == 0);
    set_tensor(net, entry.name, [](Index i) { return 3.0 + static_cast<double>(i); });
  }
  CHECK(attention == 7);  // gamma, beta, the bias table, weight and bias of mx_proj and h_proj
  const auto after = laws::train(net, x, dy);
  laws::check_same_bits(after.y, before.y, "output");
  laws::check_same_bits(after.dx, before.dx, "input gradient");
}

TEST_CASE("a layer's working memory counts active elements, and a skipped step touches its own row alone") {
  using Net = sma::Network<seqboat::Layer<ScaleNormAfter>, Backend>;
  Net net{sma::Seed{1}};
  laws::randomize(net, 1);
  // The average is the identity, and a step is active where its first channel is positive.
  set_tensor(net, "move.gamma", [](Index) { return 0.0; });
  set_tensor(net, "move.omega", [](Index) { return 1.0; });
  set_tensor(net, "router.configurator.weight", [](Index i) { return i == 4 ? 10.0 : 0.0; });
  set_tensor(net, "router.configurator.bias", [](Index) { return 0.0; });
  const std::vector<Index> active{3, 11, 20, 33, 39};
  auto x = laws::random_input<Net>({40}, 2);
  for (Index t = 0; t < 40; ++t) x(t, 0) = std::ranges::count(active, t) > 0 ? 1.0 : -1.0;

  std::vector<double> trace(40);
  const auto before = laws::values_of(net.infer(x, trace));
  for (Index t = 0; t < 40; ++t)
    CHECK((trace[static_cast<std::size_t>(t)] > 0) == (std::ranges::count(active, t) > 0));
  const auto changed_rows = [&](Index row) {
    auto other = x;
    other(row, 2) += 1;
    const auto after = laws::values_of(net.infer(other));
    std::vector<Index> rows;
    for (Index t = 0; t < 40; ++t)
      if (!std::equal(after.begin() + t * 4, after.begin() + t * 4 + 4, before.begin() + t * 4))
        rows.push_back(t);
    return rows;
  };
  CHECK(changed_rows(3) == std::vector<Index>{3, 11, 20});
  CHECK(changed_rows(11) == std::vector<Index>{11, 20, 33});
  CHECK(changed_rows(33) == std::vector<Index>{33, 39});
  CHECK(changed_rows(12) == std::vector<Index>{12});
  CHECK(changed_rows(0) == std::vector<Index>{0});
}

TEST_CASE("a causal layer row by row is the whole sequence") {
  for (const Index length : {1, 60}) {
    laws::check_stream_is_whole<seqboat::Layer<ScaleNormAfter>, Backend>(length, 1);
    laws::check_stream_is_whole<seqboat::Layer<RmsNormBefore>, Backend>(length, 2);
    laws::check_stream_is_whole<seqboat::Layer<BatchNormAfter>, Backend>(length, 3);
  }
}

TEST_CASE("a layer streams when it is causal and windowed") {
  CHECK(sma::is_streamable<seqboat::Layer<ScaleNormAfter>>());
  CHECK(!sma::is_streamable<seqboat::Layer<LayerNormBefore>>());
  CHECK(!sma::is_streamable<seqboat::Layer<FullCausal>>());
  CHECK(sma::is_causal<seqboat::Layer<FullCausal>>());
}
