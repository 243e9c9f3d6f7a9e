#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <seqboat/seqboat.hpp>
#include <sma/base/precision.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/loss.hpp>
#include <sma/train/optimizer.hpp>
#include <span>
#include <vector>

/// Rows in bfloat16, everything that sums in float.

namespace {

using sma::bf16;
using sma::Index;
using Half = sma::Eigen<sma::Precision<bf16, float>>;
using Single = sma::Eigen<float>;
constexpr double kRounding = 1.0 / 256;  // 2^-8, the largest relative error of one rounding

float from_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }

struct Mixture
    : sma::Router<sma::LatentConfigurator<6, sma::Independent, sma::Confidence>, sma::SkipBranch,
                  sma::Branch<"mlp", sma::FeedForward<6, 5>>, sma::Branch<"map", sma::Linear<6, 6>>> {};
struct Snake {
  using Learned = sma::Numbers<sma::Number<"a", sma::init::Ones>>;
  template <class T>
  SMA_HD static T value(const T& x, const T& a) {
    using std::sin;
    return x + sin(a * x) * sin(a * x) / a;
  }
};
struct Bidirectional : seqboat::LayerDefaults {
  static constexpr Index width = 6, query_width = 4, hidden_width = 8, states = 3;
  using span = seqboat::Window<3>;
  using position = seqboat::SimplePosition<32>;
  using attention = seqboat::Relu2;
  static constexpr Index feed_forward_width = 8;
};
struct Causal : Bidirectional {
  using attention = seqboat::Softmax;
  using position = seqboat::RotaryPosition;
  static constexpr bool causal = true;
  template <Index Width>
  using norm = sma::RmsNorm<Width>;
};

/// Root of the mean square of a - b, over that of b.
template <class A, class B>
double distance(const A& a, const B& b) {
  REQUIRE(a.size() == b.size());
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(static_cast<float>(a[i]));
    const double y = static_cast<double>(static_cast<float>(b[i]));
    difference += (x - y) * (x - y);
    size += y * y;
  }
  return size > 0 ? std::sqrt(difference / size) : std::sqrt(difference);
}
template <class S, Index Width>
std::vector<float> values_of(const sma::Output<S, Width>& y) {
  std::vector<float> out;
  for (Index i = 0; i < y.count; ++i)
    for (Index j = 0; j < Width; ++j) out.push_back(static_cast<float>(y(i, j)));
  return out;
}

/// Output, input's gradient, gradients and statistics in bf16 are those in float but for rounding.
template <class M>
void check_rounds(std::vector<Index> lengths, double roundings) {
  using Rounded = sma::Network<M, Half>;
  using Exact = sma::Network<M, Single>;
  static_assert(std::is_same_v<typename Rounded::Scalar, bf16> &&
                std::is_same_v<typename Rounded::Compute, float>);
  Rounded rounded(sma::Seed{1}, {.threads = 2, .lanes = 2});
  Exact exact(sma::Seed{1}, {.threads = 2, .lanes = 2});
  CHECK(std::equal(rounded.parameters().begin(), rounded.parameters().end(), exact.parameters().begin()));
  std::vector<float> weights(exact.parameters().begin(), exact.parameters().end());
  sma::RandomSequence random(3, 1);
  for (float& w : weights) w += static_cast<float>(0.3 * random.normal());
  rounded.set_parameters(weights);
  exact.set_parameters(weights);
  sma::Batch<bf16, M::input_width> x;
  sma::Batch<float, M::input_width> same;
  x.resize(lengths);
  same.resize(lengths);
  for (std::size_t i = 0; i < x.values().size(); ++i) {
    x.values()[i] = static_cast<float>(random.normal());
    same.values()[i] = x.values()[i];
  }
  const auto y = rounded.train(x);
  std::vector<bf16> dy;
  std::vector<float> same_dy;
  for (Index i = 0; i < y.count * M::output_width; ++i) {
    dy.push_back(static_cast<float>(random.normal()));
    same_dy.push_back(dy.back());
  }
  CHECK(distance(values_of(y), values_of(exact.train(same))) <= roundings * kRounding);
  const auto dx = rounded.backward({dy.data(), y.count});
  const auto same_dx = exact.backward({same_dy.data(), y.count});
  CHECK(distance(values_of(dx), values_of(same_dx)) <= roundings * kRounding);
  CHECK(distance(rounded.gradients(), exact.gradients()) <= roundings * kRounding);
  CHECK(distance(rounded.buffers(), exact.buffers()) <= roundings * kRounding);
  CHECK(distance(values_of(rounded.infer(x)), values_of(exact.infer(same))) <= roundings * kRounding);
}

}  // namespace

TEST_CASE("every bf16 is a float, and that float the same bf16") {
  for (std::uint32_t bits = 0; bits < 0x10000U; ++bits) {
    const float x = from_bits(bits << 16);
    if (std::isnan(x)) {
      CHECK(std::isnan(static_cast<float>(bf16(x))));
    } else {
      CHECK(bf16(x).bits == bits);
    }
  }
}

TEST_CASE("a float becomes the nearest bf16, of two as near the even one") {
  CHECK(bf16(from_bits(0x3F808000U)).bits == 0x3F80U);  // halfway above an even one
  CHECK(bf16(from_bits(0x3F818000U)).bits == 0x3F82U);  // halfway above an odd one
  CHECK(bf16(from_bits(0x3F808001U)).bits == 0x3F81U);
  CHECK(bf16(from_bits(0x3F817FFFU)).bits == 0x3F81U);
  CHECK(std::isinf(static_cast<float>(bf16(std::numeric_limits<float>::max()))));
  CHECK(std::isnan(static_cast<float>(bf16(from_bits(0x7F800001U)))));  // its fraction's high bits are 0
  sma::RandomSequence random(1, 1);
  for (int i = 0; i < 10000; ++i) {
    const auto x = static_cast<float>(random.normal());
    CHECK(std::abs(static_cast<float>(bf16(x)) - x) <= std::abs(x) * static_cast<float>(kRounding));
  }
  bf16 sum = 1.0F;
  sum += 0.5F;
  sum -= 0.25F;
  sum *= 2;
  CHECK(sum == 2.5F);
}

TEST_CASE("modules on rows in bf16 round and do nothing else") {
  const std::vector<Index> lengths{5, 0, 9, 1};
  check_rounds<sma::Linear<5, 7>>(lengths, 1);
  check_rounds<sma::LayerNorm<8>>(lengths, 2);
  check_rounds<sma::RmsNorm<8>>(lengths, 2);
  check_rounds<sma::ScaleNorm<8>>(lengths, 2);
  check_rounds<sma::BatchNorm<8>>(lengths, 2);
  check_rounds<sma::Map<4, Snake>>(lengths, 2);
  check_rounds<sma::GELU<4>>(lengths, 2);
  check_rounds<sma::Dropout<8, std::ratio<1, 4>>>(lengths, 2);
  check_rounds<sma::AbsolutePosition<8>>(lengths, 2);
  check_rounds<sma::Chain<sma::RealEmbedding<8>, sma::MeanPool<8>, sma::PairFeatures<8>>>({5, 0, 9, 1}, 3);
  check_rounds<seqboat::Ema<4, 3, true>>(lengths, 3);
  check_rounds<seqboat::Ema<4, 3, false, 4>>(lengths, 3);
  check_rounds<
      seqboat::GatedAttention<6, 4, 8, seqboat::Window<2>, seqboat::Softmax, seqboat::RotaryPosition>>(
      lengths, 6);
}

TEST_CASE("sums over many numbers are taken in float: in bf16 they would stand still at 256 of them") {
  check_rounds<sma::Linear<700, 3>>({40, 1}, 1);
  check_rounds<sma::LayerNorm<600>>({40, 1}, 2);
  check_rounds<sma::BatchNorm<2>>({3000, 0, 700}, 2);
  check_rounds<sma::Linear<2, 2>>({3000, 0, 700}, 1);  // weights' gradients
  check_rounds<sma::Chain<sma::RealEmbedding<4>, sma::MeanPool<4>>>({3000, 0, 700}, 3);
  check_rounds<seqboat::Ema<2, 3, true>>({3000}, 3);
  check_rounds<seqboat::GatedAttention<4, 4, 4, seqboat::Full>>({500}, 6);
}

TEST_CASE("routers decide on rows in bf16 what they decide on those rows in float") {
  const std::vector<Index> lengths{5, 0, 9, 1};
  check_rounds<Mixture>(lengths, 4);
  check_rounds<sma::Residual<sma::Chain<sma::LayerNorm<6>, Mixture>>>(lengths, 6);
}

TEST_CASE("a classifier in bf16 learns as in float") {
  using Model = sma::Chain<sma::TokenEmbedding<5, 8>, sma::Residual<sma::FeedForward<8, 16>>,
                           sma::MeanPool<8>, sma::Linear<8, 2>>;
  const auto trained = []<class B>(std::type_identity<B>) {
    using Net = sma::Network<Model, B>;
    Net net(sma::Seed{1});
    sma::AdamW<Net> adam(net);
    sma::RandomSequence random(4, 1);
    double last = 0;
    for (int step = 0; step < 60; ++step) {  // does token 3 occur?
      sma::Batch<sma::Token, 1> x;
      std::vector<std::int32_t> targets;
      for (int q = 0; q < 16; ++q) {
        std::vector<sma::Token> tokens(6);
        for (auto& token : tokens) token = static_cast<sma::Token>(random.uniform() * 5);
        targets.push_back(std::count(tokens.begin(), tokens.end(), 3) > 0 ? 1 : 0);
        x.append(tokens);
      }
      net.zero_gradients();
      last = net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy(), 1.0 / 16).loss;
      adam.step(0.02, sma::clip_factor(adam.gradient_norm(), 1.0));
    }
    return last;
  };
  const double in_float = trained(std::type_identity<Single>{});
  CHECK(in_float < 0.4);  // from 0.69
  CHECK(std::abs(trained(std::type_identity<Half>{}) - in_float) < 0.05);
}

TEST_CASE("a stream on rows in bf16 gives what the whole sequence gives") {
  using Net = sma::Network<seqboat::Layer<Causal>, Half>;
  Net net(sma::Seed{1});
  sma::Batch<bf16, 6> x;
  x.resize(std::vector<Index>{20});
  sma::RandomSequence random(5, 1);
  for (bf16& value : x.values()) value = static_cast<float>(random.normal());
  const auto whole = values_of(net.infer(x));
  auto stream = net.stream();
  std::vector<float> stepped;
  for (Index t = 0; t < 20; ++t) {
    std::array<bf16, 6> y{};
    net.step(stream, std::span<const bf16, 6>(x.view().row(t), 6), y);
    for (const bf16 value : y) stepped.push_back(value);
  }
  CHECK(distance(stepped, whole) <= 8 * kRounding);
}

TEST_CASE("SeqBoat layers on rows in bf16 are those in float but for rounding") {
  check_rounds<seqboat::Layer<Bidirectional>>({5, 0, 9, 1}, 12);
  check_rounds<seqboat::Layer<Causal>>({5, 0, 9, 1}, 12);
}
