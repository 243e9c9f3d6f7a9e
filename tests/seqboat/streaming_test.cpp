#include <doctest/doctest.h>

#include <array>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <support/counted_new.hpp>
#include <support/laws.hpp>
#include <type_traits>
#include <vector>

namespace {

using sma::Index;
using Backend = sma::Eigen<double>;

/// Attention over the last three active elements beside a truncated average, as `Rule` decides.
template <class Rule, class Estimator = sma::Confidence>
struct Mixture
    : sma::Router<
          sma::LatentConfigurator<4, Rule, Estimator>,
          sma::Branch<"attention", seqboat::GatedAttention<4, 4, 6, seqboat::Window<2>, seqboat::Softmax,
                                                           seqboat::SimplePosition<8>, true>>,
          sma::Branch<"average", seqboat::Ema<4, 2, false, 3>>, sma::SkipBranch> {};

struct Layer : seqboat::LayerDefaults {
  static constexpr Index width = 6, query_width = 4, hidden_width = 8, states = 2, truncation = 7;
  static constexpr bool causal = true;
  using span = seqboat::Window<3>;
  using position = seqboat::RotaryPosition;
  using dropout = std::ratio<1, 10>;
  using hidden_dropout = std::ratio<1, 10>;
};
struct Model : seqboat::LanguageModelDefaults {
  using layer = Layer;
  static constexpr Index layers = 2, vocabulary = 11;
};
using LanguageModel = seqboat::LanguageModel<Model>;

/// The routers of both layers open at about one step in eight.
struct SeldomActive {
  template <class Net>
  void operator()(Net& net) const {
    for (const auto& entry : sma::parameter_entries<typename Net::description>())
      if (entry.name.ends_with("configurator.bias"))
        net.parameters()[static_cast<std::size_t>(entry.offset)] += 1.75;  // of skip
  }
};

template <class Net>
double active_rate(Net& net, Index length, std::uint64_t seed) {
  const auto made = laws::decisions_of(net, laws::random_input<Net>({length}, seed));
  return static_cast<double>(std::ranges::count(made, true)) / static_cast<double>(made.size());
}

}  // namespace

TEST_CASE("a router row by row is the whole sequence under every causal rule") {
  for (const Index length : {0, 1, 90}) {
    laws::check_stream_is_whole<Mixture<sma::Independent>, Backend>(length, 1);
    laws::check_stream_is_whole<Mixture<sma::Switch, sma::StraightThrough>, Backend>(length, 2);
    laws::check_stream_is_whole<Mixture<sma::TopK<2>>, Backend>(length, 3);
    laws::check_stream_is_whole<Mixture<sma::Threshold<std::ratio<3, 10>>>, Backend>(length, 4);
  }
}

TEST_CASE("a language model token by token is the whole text, its windows wrapped many times") {
  laws::check_stream_is_whole<LanguageModel, Backend>(1, 1);
  laws::check_stream_is_whole<LanguageModel, Backend>(300, 2);
}

TEST_CASE("a language model that skips most steps streams as it runs") {
  sma::Network<LanguageModel, Backend> net{sma::Seed{3}};
  laws::randomize(net, 3);
  SeldomActive{}(net);
  const double rate = active_rate(net, 300, 3);
  CHECK(rate > 0.02);
  CHECK(rate < 0.3);
  laws::check_stream_is_whole<LanguageModel, Backend>(300, 3, SeldomActive{});
}

TEST_CASE("a stream is plain data of constant size") {
  using State = sma::stream_of<LanguageModel, double>;
  CHECK(std::is_trivially_copy_constructible_v<State>);
  CHECK(std::is_trivially_destructible_v<State>);
  // Keys, values and positions of four slots, three numbers a state, seven inputs; twice.
  const std::size_t least =
      2 * (4 * (4 + 8) * sizeof(double) + 4 * sizeof(sma::Position) + (3 * 12 + 7 * 6) * sizeof(double));
  CHECK(sizeof(State) >= least);
  CHECK(sizeof(State) <= 2 * least);
}

TEST_CASE("a step allocates nothing, whether its routers run or skip") {
  using Net = sma::Network<LanguageModel, Backend>;
  Net net{sma::Seed{1}};
  laws::randomize(net, 1);
  auto stream = net.stream();
  std::array<double, 11> logits{};
  const auto step = [&](sma::Token token) {
    const std::array<sma::Token, 1> x{token};
    net.step(stream, x, logits);
  };
  step(0);  // makes room
  const long before = counted::all();
  for (sma::Token t = 0; t < 200; ++t) step(t % 11);
  stream.reset();
  for (sma::Token t = 0; t < 20; ++t) step(t % 7);
  CHECK(counted::all() == before);
  const auto copy = stream;
  [[maybe_unused]] static const void* volatile escaped = nullptr;
  escaped = &copy;                 // so that no compiler leaves the copy out
  CHECK(counted::all() > before);  // so that they are counted
}

TEST_CASE("a step refuses a token outside the vocabulary, and the stream goes on") {
  sma::Network<LanguageModel, Backend> net{sma::Seed{1}};
  auto stream = net.stream();
  std::array<double, 11> logits{};
  net.step(stream, std::array<sma::Token, 1>{3}, logits);
  CHECK_THROWS_AS(net.step(stream, std::array<sma::Token, 1>{11}, logits), sma::Error);
  CHECK_THROWS_AS(net.step(stream, std::array<sma::Token, 1>{-1}, logits), sma::Error);
  CHECK(stream.time() == 1);
  net.step(stream, std::array<sma::Token, 1>{10}, logits);
  CHECK(stream.time() == 2);
}

TEST_CASE("time goes on past 2^31 steps, and offsets are what they were") {
  using Net = sma::Network<sma::Chain<sma::TokenEmbedding<11, 4>, Mixture<sma::Independent>>, Backend>;
  Net net{sma::Seed{1}};
  laws::randomize(net, 1);
  constexpr sma::Position kStart = (sma::Position{1} << 31) - 10;
  auto stream = net.stream();
  auto late = net.stream(kStart);
  std::array<double, 4> y{}, late_y{};
  for (sma::Token t = 0; t < 40; ++t) {
    CHECK(late.time() == kStart + t);
    const std::array<sma::Token, 1> x{t * 7 % 11};
    net.step(stream, x, y);
    net.step(late, x, late_y);
    CHECK(y == late_y);
  }
  late.reset(kStart);
  CHECK(late.time() == kStart);
}

TEST_CASE("absolute and rotary positions are exact past 2^31 steps") {
  using Net = sma::Network<sma::AbsolutePosition<4>, Backend>;
  Net net{sma::Seed{1}};
  constexpr sma::Position kStart = (sma::Position{1} << 33) + 12345;
  auto stream = net.stream(kStart);
  std::array<double, 4> y{};
  net.step(stream, std::array<double, 4>{}, y);
  const double time = static_cast<double>(kStart);
  for (std::size_t i = 0; i < 2; ++i) {
    const double frequency = std::pow(10000.0, -static_cast<double>(i) / 2);
    CHECK(2 * y[i] == doctest::Approx(std::sin(time * frequency)).epsilon(1e-5));
    CHECK(2 * y[2 + i] == doctest::Approx(std::cos(time * frequency)).epsilon(1e-5));
  }
}

TEST_CASE("a stream that has begun belongs to its network") {
  using Net = sma::Network<seqboat::Ema<4, 2, false>, Backend>;
  Net net{sma::Seed{1}};
  Net other{sma::Seed{2}};
  auto stream = net.stream();
  std::array<double, 4> y{}, expected{};
  net.step(stream, std::array<double, 4>{1, 2, 3, 4}, y);
  CHECK_THROWS_WITH_AS(
      other.step(stream, std::array<double, 4>{1, 2, 3, 4}, y),
      "sma::Network::step: found a stream of another network, expected one of this network's, or one that "
      "was reset",
      sma::Error);
  CHECK(stream.time() == 1);
  stream.reset();
  other.step(stream, std::array<double, 4>{1, 2, 3, 4}, y);
  auto fresh = other.stream();
  other.step(fresh, std::array<double, 4>{1, 2, 3, 4}, expected);
  CHECK(y == expected);
}

TEST_CASE("what looks ahead or at everything does not stream") {
  CHECK(sma::is_streamable<Mixture<sma::Independent>>());
  CHECK(sma::is_streamable<LanguageModel>());
  CHECK(!sma::is_streamable<sma::Chain<Mixture<sma::Switch>, seqboat::Ema<4, 2, true>>>());
  CHECK(!sma::is_streamable<sma::MeanPool<4>>());
}
