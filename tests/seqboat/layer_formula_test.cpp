#include <doctest/doctest.h>

#include <seqboat/layer.hpp>
#include <sma/eigen.hpp>
#include <sma/network/network.hpp>
#include <support/laws.hpp>
#include <vector>

#include "by_hand.hpp"

namespace {

using namespace by_hand;
using Backend = sma::Eigen<double>;

struct Tiny : seqboat::LayerDefaults {
  static constexpr Index width = 4, query_width = 4, hidden_width = 6, states = 2;
  using span = seqboat::Window<2>;
  static constexpr bool prenorm = false;
};
struct Alone : Tiny {
  static constexpr bool always_active = true;
  using attention = seqboat::Laplace;
  template <Index Width>
  using norm = sma::RmsNorm<Width>;
};
struct WithBlock : Alone {
  static constexpr Index feed_forward_width = 5;
};
/// Drops everything but one element in 10^12.
struct DropsAll : Tiny {
  using dropout = std::ratio<999'999'999'999, 1'000'000'000'000>;
  template <Index Width>
  using norm = sma::ScaleNorm<Width, false>;
};
struct CausalDropsAll : DropsAll {
  static constexpr bool causal = true;
};

struct Reluctant : Tiny {
  using temperature_scale = std::ratio<3, 10>;
  using act_bias = std::ratio<1, 2>;
};

}  // namespace

TEST_CASE("a layer's temperature scale and bias against running are its configurator's") {
  sma::Network<seqboat::Layer<Reluctant>, Backend> net{sma::Seed{1}};
  CHECK(tensor(net, "router.configurator.temp")[0] == doctest::Approx(std::log(0.3 * 2)).epsilon(1e-15));
  set_tensor(net, "router.configurator.weight", [](Index) { return 0.0; });
  const auto s = laws::random_input<decltype(net)>({3}, 2);
  std::vector<double> trace(3);
  const auto weight_at = [&](double run_logit) {
    set_tensor(net, "router.configurator.bias", [&](Index i) { return i == 1 ? run_logit : 0.0; });
    net.infer(s, trace);
    return trace[1];
  };
  CHECK(weight_at(0.5) == 0);
  CHECK(weight_at(0.6) == doctest::Approx(1 / (1 + std::exp(-0.1 / 0.6))).epsilon(1e-12));
}

TEST_CASE("an always active layer and its feed-forward block follow their formulas") {
  using Layer = seqboat::Layer<Alone>;
  using Attention = seqboat::GatedAttention<4, 4, 6, seqboat::Window<2>, seqboat::Laplace>;
  sma::Network<seqboat::Layer<WithBlock>, Backend> net{sma::Seed{1}};
  sma::Network<Layer, Backend> layer{sma::Seed{1}};
  sma::Network<seqboat::Ema<4, 2, true>, Backend> ema{sma::Seed{1}};
  sma::Network<Attention, Backend> attention{sma::Seed{1}};
  laws::randomize(net, 1);
  take_tensors(layer, net, "");
  take_tensors(ema, net, "move.");
  take_tensors(attention, net, "attention.");
  const auto s = laws::random_input<decltype(net)>({0, 1, 14, 0, 3}, 2);
  auto h = s;
  const auto averaged = ema.infer(s);
  for (Index t = 0; t < s.rows(); ++t)
    for (Index c = 0; c < 4; ++c) h(t, c) = silu(averaged(t, c));
  const auto attended = attention.infer(h);
  std::vector<double> expected;
  for (Index t = 0; t < s.rows(); ++t) {
    auto row = linear(tensor(net, "hx_proj.weight"), tensor(net, "hx_proj.bias"), h.view().row(t), 4);
    for (std::size_t c = 0; c < 4; ++c)
      row[c] = silu(row[c] + attended(t, static_cast<Index>(c)) + s(t, static_cast<Index>(c)));
    rms_norm(row.data(), tensor(net, "norm.weight").data(), 4);
    expected.insert(expected.end(), row.begin(), row.end());
  }
  laws::check_close(laws::values_of(layer.infer(s)), expected, 1e-12, "the layer");

  for (Index t = 0; t < s.rows(); ++t) {
    double* row = expected.data() + t * 4;
    auto inner = linear(tensor(net, "feed_forward.up.weight"), tensor(net, "feed_forward.up.bias"), row, 4);
    for (double& value : inner) value = silu(value);
    const auto out = linear(tensor(net, "feed_forward.down.weight"), tensor(net, "feed_forward.down.bias"),
                            inner.data(), 5);
    for (std::size_t c = 0; c < 4; ++c) row[c] += out[c];
    rms_norm(row, tensor(net, "feed_forward.norm.weight").data(), 4);
  }
  laws::check_close(laws::values_of(net.infer(s)), expected, 1e-12, "the layer and its block");
}

TEST_CASE(
    "dropout takes H and, in a causal layer the whole sum, in a bidirectional one the attention's output "
    "alone") {
  const auto check = [](auto& net, const std::vector<double>& bias) {
    laws::randomize(net, 1);
    set_tensor(net, "router.configurator.bias", [](Index i) { return i == 1 ? 100.0 : 0.0; });  // all active
    set_tensor(net, "hx_proj.bias", [](Index i) { return 0.5 * static_cast<double>(i + 1); });
    set_tensor(net, "hx_proj.weight", [](Index) { return 0.0; });
    const auto s = laws::random_input<std::remove_reference_t<decltype(net)>>({9}, 2);
    std::vector<double> expected;
    for (Index t = 0; t < s.rows(); ++t) {
      std::vector<double> row;
      for (std::size_t c = 0; c < 4; ++c) row.push_back(silu(bias[c] + s(t, static_cast<Index>(c))));
      const std::vector<double> ones(4, 1.0);
      rms_norm(row.data(), ones.data(), 4);
      expected.insert(expected.end(), row.begin(), row.end());
    }
    laws::check_close(laws::values_of(net.train(s)), expected, 1e-12, "what dropout leaves");
  };
  sma::Network<seqboat::Layer<DropsAll>, Backend> bidirectional{sma::Seed{1}};
  check(bidirectional, {0.5, 1.0, 1.5, 2.0});
  sma::Network<seqboat::Layer<CausalDropsAll>, Backend> causal{sma::Seed{1}};
  check(causal, {0, 0, 0, 0});
}
