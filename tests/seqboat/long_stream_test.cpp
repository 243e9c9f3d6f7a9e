#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <support/laws.hpp>
#include <vector>

/// Streams of 20,000 steps are the whole sequence, for every kind of causal layer, with long stretches in which nothing is active.
namespace {

using sma::Index;

constexpr Index kLength = 20000;

template <class Attention, class Position, Index Truncation, bool Prenorm>
struct Layer : seqboat::LayerDefaults {
  static constexpr Index width = 6, query_width = 4, hidden_width = 8, states = 2, truncation = Truncation;
  static constexpr bool causal = true, prenorm = Prenorm;
  using span = seqboat::Window<5>;
  using attention = Attention;
  using position = Position;
};

/// What the routers see is closed for them in the middle of the sequence: they open where the input says so.
template <class Description>
struct Model : sma::Chain<sma::Linear<4, 6>, seqboat::Layer<Description>> {};

/// A router of an attention unit that the input's first column opens and closes.
template <class Position>
struct Opened
    : sma::Router<sma::LatentConfigurator<4, sma::Independent, sma::Confidence>, sma::SkipBranch,
                  sma::Branch<"attention", seqboat::GatedAttention<4, 4, 6, seqboat::Window<5>,
                                                                   seqboat::Softmax, Position, true>>> {};

/// Numbers from -1 to 1; the first column says -1 in long stretches, and 1 at one step in three elsewhere.
template <class S>
sma::Batch<S, 4> input() {
  sma::Batch<S, 4> x{kLength};
  sma::RandomSequence random(5, 1);
  for (Index t = 0; t < kLength; ++t) {
    const bool stretch = (t > 300 && t < 7000) || (t > 9000 && t < 19500);
    for (Index c = 0; c < 4; ++c)
      x.values()[static_cast<std::size_t>(t * 4 + c)] = static_cast<S>(2 * random.uniform() - 1);
    x.values()[static_cast<std::size_t>(t * 4)] = !stretch && t % 3 == 0 ? S(1) : S(-1);
  }
  return x;
}

/// The router opens where the first column is 1.
struct Follow {
  template <class Net>
  void operator()(Net& net) const {
    for (const auto& entry : sma::parameter_entries<typename Net::description>()) {
      auto* values = net.parameters().data() + entry.offset;
      if (entry.name.ends_with("configurator.bias")) std::fill_n(values, entry.size, 0);
      if (!entry.name.ends_with("configurator.weight")) continue;
      std::fill_n(values, entry.size, 0);
      values[0] = -3;  // skip
      values[4] = 3;   // attention
    }
  }
};

struct AsDrawn {
  template <class Net>
  void operator()(Net&) const {}
};

template <class M, class S, class Setup>
void check(const Setup& setup) {
  using Net = sma::Network<M, sma::Eigen<S>>;
  constexpr auto kOut = static_cast<std::size_t>(M::output_width);
  Net net(sma::Seed{3});
  laws::randomize(net, 3);
  setup(net);
  const auto x = input<S>();
  const auto whole = net.infer(x).host();
  const double tolerance = sizeof(S) == 8 ? 1e-10 : 1e-4;
  std::vector<S> y(static_cast<std::size_t>(kLength) * kOut);
  const auto difference = [&] {
    double largest = 1, error = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(whole.data[i])));
      error = std::max(error, std::abs(static_cast<double>(y[i]) - static_cast<double>(whole.data[i])));
    }
    return error / largest;
  };

  auto stream = net.stream();
  for (std::size_t t = 0; t < static_cast<std::size_t>(kLength); ++t) {
    net.step(stream, x.values().subspan(t * 4).template first<4>(),
             std::span(y).subspan(t * kOut).template first<kOut>());
  }
  CHECK(difference() < tolerance);

  std::fill(y.begin(), y.end(), S(0));
  auto chunks = net.stream();
  for (std::size_t t = 0, rows = 1; t < static_cast<std::size_t>(kLength);
       t += rows, rows = rows * 7 % 1999 + 1) {
    rows = std::min(rows, static_cast<std::size_t>(kLength) - t);
    net.steps(chunks, x.values().subspan(t * 4, rows * 4), std::span(y).subspan(t * kOut, rows * kOut));
  }
  CHECK(difference() < tolerance);
}

template <class Attention, class Position, Index Truncation, bool Prenorm>
void check_layer() {
  using M = Model<Layer<Attention, Position, Truncation, Prenorm>>;
  check<M, double>(AsDrawn{});
  check<M, float>(AsDrawn{});
}

}  // namespace

TEST_CASE("a layer streams 20,000 steps as it runs") {
  check_layer<seqboat::Softmax, seqboat::RotaryPosition, 0, true>();
  check_layer<seqboat::Relu2, seqboat::SimplePosition<64>, 100, false>();
  check_layer<seqboat::Laplace, seqboat::LocalPosition<5>, 0, false>();
  check_layer<seqboat::Softmax, seqboat::T5Position, 1000, true>();
}

TEST_CASE("attention streams 20,000 steps as it runs, with long stretches of nothing active") {
  check<Opened<seqboat::RotaryPosition>, double>(Follow{});
  check<Opened<seqboat::RotaryPosition>, float>(Follow{});
  check<Opened<seqboat::SimplePosition<20000>>, double>(Follow{});
  check<Opened<seqboat::SimplePosition<20000>>, float>(Follow{});
  sma::Network<Opened<seqboat::RotaryPosition>, sma::Eigen<double>> net(sma::Seed{3});
  laws::randomize(net, 3);
  Follow{}(net);
  const auto made = laws::decisions_of(net, input<double>());
  const auto active = static_cast<double>(std::ranges::count(made, true));
  CHECK(active / static_cast<double>(made.size()) > 0.01);
  CHECK(active / static_cast<double>(made.size()) < 0.6);
}
