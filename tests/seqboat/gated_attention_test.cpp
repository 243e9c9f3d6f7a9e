#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <seqboat/gated_attention.hpp>
#include <sma/eigen.hpp>
#include <sma/network/network.hpp>
#include <string>
#include <support/laws.hpp>
#include <vector>

namespace {

using sma::Index;
using Backend = sma::Eigen<double>;
using seqboat::Full;
using seqboat::Laplace;
using seqboat::LocalPosition;
using seqboat::NoPosition;
using seqboat::Relu2;
using seqboat::RotaryPosition;
using seqboat::SimplePosition;
using seqboat::Softmax;
using seqboat::T5Position;
using seqboat::Window;

/// When row t of a sequence happened: 0, 2, 5, 9, 14, ... as if a router had skipped more and more steps in between.
sma::Position spread(Index t) { return static_cast<sma::Position>(t * (t + 3) / 2); }

/// Runs M on the same rows at spread positions.
template <class M>
struct Spread {
  static constexpr Index input_width = M::input_width;
  static constexpr Index output_width = M::output_width;
  static constexpr sma::Reach reach = sma::reach_of<M>();
  using Children = sma::Children<sma::Child<"", M>>;

  template <class S>
  struct Saved {
    sma::saved_of<M, S> inner;
    sma::Sequences s;
  };
  template <class S>
    requires(sma::is_streamable<M>())
  struct Stream {
    sma::stream_of<M, S> inner;
  };

  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences& s, sma::Rows<const S, input_width> x,
                      sma::Rows<S, output_width> y, sma::Weights<Spread, S> w, Saved<S>& saved) {
    auto* positions = ctx.template keep<sma::Position>(s.rows);
    std::transform(s.positions, s.positions + s.rows, positions, spread);
    saved.s = s;
    saved.s.positions = positions;
    sma::forward<M>(ctx, saved.s, x, y, sma::child<0>(w), saved.inner);
  }
  template <class C, class S>
  static void backward(C& ctx, const sma::Sequences&, sma::Rows<const S, input_width> x,
                       sma::Rows<const S, output_width> dy, sma::Rows<S, input_width> dx,
                       sma::Weights<Spread, S> w, sma::Gradients<Spread, S> g, Saved<S>& saved) {
    sma::backward<M>(ctx, saved.s, x, dy, dx, sma::child<0>(w), sma::child<0>(g), saved.inner);
  }
  template <class C, class S>
  static void step(C& ctx, const sma::Sequences& s, sma::Rows<const S, input_width> x,
                   sma::Rows<S, output_width> y, sma::Weights<Spread, S> w, Stream<S>& stream) {
    const sma::Position here = spread(s.positions[0]);
    sma::Sequences moved = s;
    moved.positions = &here;
    M::step(ctx, moved, x, y, sma::child<0>(w), stream.inner);
  }
};

// ---- the oracle: two plain loops over pairs of rows -------------------------------------------------------------

enum class Function { softmax, relu2, laplace };
enum class Kind { none, simple, local, rotary, t5 };

struct Shape {
  Index d, z, v;
  Index window;  // 0: full
  bool causal;
  Function function;
  Kind kind;
  Index max_positions;  // of the simple table
};

template <class F>
constexpr Function function_of = std::is_same_v<F, Softmax> ? Function::softmax
                                 : std::is_same_v<F, Relu2> ? Function::relu2
                                                            : Function::laplace;
template <class P>
constexpr Kind kind_of = Kind::none;
template <Index N>
constexpr Kind kind_of<SimplePosition<N>> = Kind::simple;
template <Index W>
constexpr Kind kind_of<LocalPosition<W>> = Kind::local;
template <>
constexpr Kind kind_of<RotaryPosition> = Kind::rotary;
template <>
constexpr Kind kind_of<T5Position> = Kind::t5;

template <class M>
struct ShapeOf;
template <Index D, Index Z, Index V, class Span, class F, class P, bool Causal, class Rate>
struct ShapeOf<seqboat::GatedAttention<D, Z, V, Span, F, P, Causal, Rate>> {
  static constexpr Shape value{
      D, Z, V, Span::size, Causal, function_of<F>, kind_of<P>, (P::Table::size + 1) / 2};
};
template <class M>
struct ShapeOf<Spread<M>> : ShapeOf<M> {};

using Tensors = std::map<std::string, std::vector<double>>;

template <class Net>
Tensors tensors_of(const Net& net) {
  Tensors out;
  const auto values = net.parameters();
  for (const auto& entry : sma::parameter_entries<typename Net::description>())
    out[entry.name].assign(values.begin() + entry.offset, values.begin() + entry.offset + entry.size);
  return out;
}

/// T5's bucket of n = t_i - t_j in whole numbers: the k-th of H logarithmic buckets begins at H (128 / H)^(k / H).
Index t5_bucket(Index n, bool causal) {
  if (causal) {
    if (n < 16) return std::max<Index>(n, 0);
    Index k =
        0;  // (n / 16)^16 >= 8^(k + 1); 16 log2(n / 16) is whole only where n is 16 times a power of two
    while (k < 15 && std::log2(static_cast<double>(n) / 16) * 16 >= 3 * static_cast<double>(k + 1)) ++k;
    return 16 + k;
  }
  const Index first = n < 0 ? 16 : 0;
  n = std::abs(n);
  if (n < 8) return first + n;
  Index k = 0;  // (n / 8)^8 >= 16^(k + 1)
  while (k < 7 && std::log2(static_cast<double>(n) / 8) * 8 >= 4 * static_cast<double>(k + 1)) ++k;
  return first + 8 + k;
}

double bias_of(const Shape& shape, const Tensors& w, Index ti, Index tj, Index i, Index j) {
  const auto at = [&](const char* name, Index slot) { return w.at(name).at(static_cast<std::size_t>(slot)); };
  switch (shape.kind) {
    case Kind::simple: {
      const Index most = shape.max_positions - 1;
      return at("rel_pos_bias.rel_pos_bias", most + std::clamp(tj - ti, -most, most));
    }
    case Kind::local:
      return at("rel_pos_bias.rel_pos_bias", 4 * shape.window - 1 + (j - i));
    case Kind::t5:
      return at("rel_pos_bias.relative_attention_bias", t5_bucket(ti - tj, shape.causal));
    default:
      return 0;
  }
}

double silu(double x) { return x / (1 + std::exp(-x)); }

/// y of one sequence: x (rows, d), positions (rows).
std::vector<double> gated_attention(const Shape& shape, const Tensors& w, const std::vector<Index>& positions,
                                    const double* x) {
  const auto rows = static_cast<Index>(positions.size());
  const auto time = [&](Index i) { return positions[static_cast<std::size_t>(i)]; };
  const Index inner = shape.z + 2 * shape.v;
  const auto linear = [](const std::vector<double>& weight, const std::vector<double>& bias, const double* in,
                         Index ins, Index o) {
    double sum = bias[static_cast<std::size_t>(o)];
    for (Index c = 0; c < ins; ++c) sum += weight[static_cast<std::size_t>(o * ins + c)] * in[c];
    return sum;
  };
  std::vector<std::vector<double>> q, k, r, v;
  for (Index i = 0; i < rows; ++i) {
    std::vector<double> mixed;
    for (Index o = 0; o < inner; ++o)
      mixed.push_back(
          silu(linear(w.at("mx_proj.weight"), w.at("mx_proj.bias"), x + i * shape.d, shape.d, o)));
    std::vector<double> both[2];
    for (std::size_t side = 0; side < 2; ++side) {
      for (std::size_t c = 0; c < static_cast<std::size_t>(shape.z); ++c)
        both[side].push_back(mixed[c] * w.at("gamma")[side * static_cast<std::size_t>(shape.z) + c] +
                             w.at("beta")[side * static_cast<std::size_t>(shape.z) + c]);
      if (shape.kind == Kind::rotary)
        for (std::size_t m = 0; 2 * m < both[side].size(); ++m) {
          const double angle =
              static_cast<double>(time(i)) *
              std::pow(10000.0, -2.0 * static_cast<double>(m) / static_cast<double>(shape.z));
          const double a = both[side][2 * m];
          const double b = both[side][2 * m + 1];
          both[side][2 * m] = a * std::cos(angle) - b * std::sin(angle);
          both[side][2 * m + 1] = a * std::sin(angle) + b * std::cos(angle);
        }
    }
    q.push_back(both[0]);
    k.push_back(both[1]);
    r.emplace_back(mixed.begin() + shape.z, mixed.begin() + shape.z + shape.v);
    v.emplace_back(mixed.begin() + shape.z + shape.v, mixed.end());
  }

  std::vector<double> y;
  for (Index i = 0; i < rows; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const auto allowed = [&](Index j) {
      if (shape.causal && j > i) return false;
      return shape.window == 0 || std::abs(i - j) <= shape.window;
    };
    double scale = 1 / std::sqrt(static_cast<double>(shape.z));
    if (shape.function != Function::softmax) {
      if (shape.window > 0)
        scale = 1 / static_cast<double>(shape.causal ? shape.window : 2 * shape.window);
      else
        scale = 1 / static_cast<double>(shape.causal ? i + 1 : rows);
    }
    std::vector<double> weight(static_cast<std::size_t>(rows), 0.0);
    double sum = 0;
    for (Index j = 0; j < rows; ++j) {
      if (!allowed(j)) continue;
      const auto to = static_cast<std::size_t>(j);
      double score = 0;
      for (std::size_t c = 0; c < q[at].size(); ++c) score += q[at][c] * k[to][c];
      score = scale * score + bias_of(shape, w, time(i), time(j), i, j);
      switch (shape.function) {
        case Function::softmax:
          weight[to] = std::exp(score);
          break;
        case Function::relu2:
          weight[to] = std::max(score, 0.0) * std::max(score, 0.0);
          break;
        default:
          weight[to] = (1 + std::erf((score - 0.707107) / (0.282095 * std::numbers::sqrt2))) / 2;
      }
      sum += weight[to];
    }
    std::vector<double> gated(static_cast<std::size_t>(shape.v), 0.0);
    for (std::size_t c = 0; c < gated.size(); ++c) {
      for (std::size_t j = 0; j < weight.size(); ++j)
        gated[c] += (shape.function == Function::softmax ? weight[j] / sum : weight[j]) * v[j][c];
      gated[c] *= r[at][c];
    }
    for (Index o = 0; o < shape.d; ++o)
      y.push_back(linear(w.at("h_proj.weight"), w.at("h_proj.bias"), gated.data(), shape.v, o));
  }
  return y;
}

/// The network's output, a sequence at a time, against the oracle's.
template <class M>
void check_against_oracle(const laws::Lengths& lengths, std::uint64_t seed) {
  constexpr Shape kShape = ShapeOf<M>::value;
  sma::Network<M, Backend> net{sma::Seed{seed}};
  laws::randomize(net, seed);
  const auto x = laws::random_input<decltype(net)>(lengths, seed + 1);
  const auto y = net.infer(x);
  REQUIRE(y.count == x.rows());
  const Tensors w = tensors_of(net);
  const sma::Sequences s = x.sequences();
  for (Index sequence = 0; sequence < s.count; ++sequence) {
    std::vector<Index> positions;
    for (Index t = 0; t < s.length(sequence); ++t) positions.push_back(spread(t));
    const auto expected = gated_attention(kShape, w, positions, x.view().row(s.begin(sequence)));
    double largest = 1;
    double difference = 0;
    for (Index t = 0; t < s.length(sequence); ++t)
      for (Index c = 0; c < kShape.d; ++c) {
        const double e = expected[static_cast<std::size_t>(t * kShape.d + c)];
        largest = std::max(largest, std::abs(e));
        difference = std::max(difference, std::abs(y(s.begin(sequence) + t, c) - e));
      }
    CHECK(difference <= 1e-11 * largest);
  }
}

template <class Span, class F, class P, bool Causal, class Rate = std::ratio<0>>
using Attention = Spread<seqboat::GatedAttention<4, 6, 5, Span, F, P, Causal, Rate>>;

/// Every attention function and every kind of position with both directions and both spans, not all of all.
template <class Visit>
void for_each_attention(const Visit& visit) {
  visit.template operator()<Attention<Window<3>, Softmax, SimplePosition<16>, false>>();
  visit.template operator()<Attention<Window<1>, Relu2, LocalPosition<1>, false>>();
  visit.template operator()<Attention<Window<70>, Laplace, NoPosition, false>>();
  visit.template operator()<Attention<Full, Softmax, T5Position, false>>();
  visit.template operator()<Attention<Full, Laplace, RotaryPosition, true>>();
  visit.template operator()<Attention<Full, Relu2, SimplePosition<16>, true>>();
}
/// The same for those that stream: causal and windowed.
template <class Visit>
void for_each_streaming_attention(const Visit& visit) {
  visit.template operator()<Attention<Window<3>, Softmax, SimplePosition<16>, true>>();
  visit.template operator()<Attention<Window<3>, Relu2, LocalPosition<3>, true>>();
  visit.template operator()<Attention<Window<1>, Laplace, T5Position, true>>();
  visit.template operator()<Attention<Window<70>, Softmax, RotaryPosition, true>>();
}

}  // namespace

TEST_CASE("gated attention is the double loop over the pairs inside its span") {
  const auto check = []<class M>() {
    check_against_oracle<M>({}, 1);
    check_against_oracle<M>({0}, 2);
    check_against_oracle<M>({1}, 3);
    check_against_oracle<M>({0, 1, 2, 0, 7, 60}, 4);
    check_against_oracle<M>({63, 64, 65}, 5);
    check_against_oracle<M>({1, 130, 3}, 6);
  };
  for_each_attention(check);
  for_each_streaming_attention(check);
}

TEST_CASE("gated attention's gradients are its finite differences, bias table included") {
  const auto check = []<class M>() {
    laws::check_gradients<M, Backend>({}, 1);
    laws::check_gradients<M, Backend>({0, 1, 9, 0, 4}, 2);
  };
  for_each_attention(check);
  for_each_streaming_attention(check);
  check.operator()<Attention<Window<3>, Softmax, SimplePosition<16>, false, std::ratio<1, 4>>>();
}

TEST_CASE("gated attention's gradients hold across the edges of a tile") {
  laws::check_gradients<Attention<Window<3>, Softmax, SimplePosition<16>, true>, Backend>({65, 2}, 3);
  laws::check_gradients<Attention<Window<70>, Laplace, NoPosition, false>, Backend>({1, 130}, 4);
  laws::check_gradients<Attention<Full, Laplace, RotaryPosition, true>, Backend>({66}, 5);
}

TEST_CASE("gated attention of a batch is that of its sequences one by one") {
  laws::check_batch_is_its_sequences<Attention<Window<3>, Relu2, LocalPosition<3>, true>, Backend>(
      {2, 0, 200, 1, 65}, 1);
  laws::check_batch_is_its_sequences<Attention<Full, Softmax, T5Position, false>, Backend>({100, 0, 1, 17},
                                                                                           2);
}

TEST_CASE("causal windowed attention row by row is the whole sequence, its ring wrapped many times") {
  const auto check = []<class M>() {
    laws::check_stream_is_whole<M, Backend>(1, 1);
    laws::check_stream_is_whole<M, Backend>(ShapeOf<M>::value.window * 5 / 2 + 30, 2);
  };
  for_each_streaming_attention(check);
}

TEST_CASE("only causal windowed attention streams") {
  using seqboat::GatedAttention;
  CHECK(sma::is_streamable<GatedAttention<4, 6, 5, Window<3>, Softmax, NoPosition, true>>());
  CHECK(!sma::is_streamable<GatedAttention<4, 6, 5, Window<3>, Softmax, NoPosition, false>>());
  CHECK(!sma::is_streamable<GatedAttention<4, 6, 5, Full, Softmax, NoPosition, true>>());
  CHECK(!sma::is_streamable<GatedAttention<4, 6, 5, Full, Softmax, NoPosition, false>>());
}

TEST_CASE("the buckets of T5 are exact when near and logarithmic up to 128") {
  for (Index n = -300; n <= 300; ++n) {
    const auto ti = static_cast<sma::Position>(1000 + n);
    CAPTURE(n);
    CHECK(sma::ops::T5Bias<double, true>{}.slot(ti, 1000, 0, 0) == t5_bucket(n, true));
    CHECK(sma::ops::T5Bias<double, false>{}.slot(ti, 1000, 0, 0) == t5_bucket(n, false));
  }
  CHECK(t5_bucket(127, true) == 31);
  CHECK(t5_bucket(15, true) == 15);
  CHECK(t5_bucket(16, true) == 16);
  CHECK(t5_bucket(16, false) == 10);
  CHECK(t5_bucket(-64, false) == 16 + 14);
  CHECK(t5_bucket(100000, false) == 15);
}

TEST_CASE("rotary angles keep their precision at positions in the millions") {
  constexpr Index kWidth = 8;
  const std::vector<sma::Position> positions{0, 1, 1000, 16384, 1000003, 20000000};
  const auto rows = static_cast<Index>(positions.size());
  const auto size = static_cast<std::size_t>(rows * kWidth);
  const auto turned = [&](auto&& launch) {
    std::vector<float> q(size, 1.0F), k(size, 1.0F);
    launch(sma::ops::Rotate<float, kWidth>{
        positions.data(), {q.data(), rows, kWidth}, {k.data(), rows, kWidth}, 1.0F});
    CHECK(q == k);
    return q;
  };
  sma::Context<sma::Eigen<float>> ctx;
  const std::vector<float> plain = turned([](const auto& rotate) {
    for (Index i = 0; i < rotate.extent(); ++i) rotate(i);
  });
  const std::vector<float> tables = turned([&](const auto& rotate) { ctx.launch(rotate); });
  for (const std::vector<float>& y : {plain, tables})
    for (Index i = 0; i < rows; ++i)
      for (Index m = 0; m < kWidth / 2; ++m) {
        const long double angle = static_cast<long double>(positions[static_cast<std::size_t>(i)]) *
                                  std::pow(10000.0L, -2.0L * static_cast<long double>(m) / kWidth);
        CHECK(std::abs(static_cast<long double>(y[static_cast<std::size_t>(i * kWidth + 2 * m)]) -
                       (std::cos(angle) - std::sin(angle))) < 1e-6L);
        CHECK(std::abs(static_cast<long double>(y[static_cast<std::size_t>(i * kWidth + 2 * m + 1)]) -
                       (std::cos(angle) + std::sin(angle))) < 1e-6L);
      }
}

TEST_CASE(
    "hidden dropout changes training alone, with another mask each step and the output without it as mean") {
  using Plain = Attention<Window<3>, Softmax, SimplePosition<16>, false>;
  using Dropping = Attention<Window<3>, Softmax, SimplePosition<16>, false, std::ratio<1, 4>>;
  sma::Network<Plain, Backend> plain{sma::Seed{1}};
  sma::Network<Dropping, Backend> net{sma::Seed{1}};
  laws::randomize(net, 1);
  plain.set_parameters(net.parameters());
  const auto x = laws::random_input<decltype(net)>({6}, 2);
  const auto size = static_cast<std::size_t>(x.rows() * 4);
  const auto copy = [&](const auto& y) { return std::vector<double>(y.host().data, y.host().data + size); };
  const auto without = copy(plain.infer(x));
  CHECK(copy(net.infer(x)) == without);

  constexpr int kSteps = 2000;
  std::vector<double> sum(size), squares(size);
  std::vector<double> before;
  for (int step = 0; step < kSteps; ++step) {
    net.settings().step = static_cast<std::uint64_t>(step);
    const auto y = copy(net.train(x));
    CHECK(y != before);
    before = y;
    for (std::size_t i = 0; i < size; ++i) {
      sum[i] += y[i];
      squares[i] += y[i] * y[i];
    }
  }
  // The output is linear in the dropped values, so its mean is the output without a mask.
  for (std::size_t i = 0; i < size; ++i) {
    const double mean = sum[i] / kSteps;
    const double deviation = std::sqrt(squares[i] / kSteps - mean * mean);
    CHECK(deviation > 0);
    CHECK(std::abs(mean - without[i]) < 5 * deviation / std::sqrt(static_cast<double>(kSteps)));
  }
}

TEST_CASE("the workspace of windowed attention grows linearly with the sequence") {
  const auto bytes = [](Index rows) {
    sma::Network<Attention<Window<3>, Softmax, SimplePosition<16>, true>, Backend> net{sma::Seed{1}};
    const sma::Batch<double, 4> x{rows};
    for (int pass = 0; pass < 2; ++pass) {  // the first sizes the arenas, the second runs in them
      net.train(x);
      net.backward({x.values().data(), rows, 4});
    }
    return static_cast<double>(net.workspace_bytes()) / static_cast<double>(rows);
  };
  const double short_one = bytes(1000);
  const double long_one = bytes(16000);
  // Arenas grow in halves, so that equal use may hold up to half as much again.
  CHECK(long_one < 1.5 * short_one);
}
