// labels: threads
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/loss.hpp>
#include <sma/train/optimizer.hpp>
#include <support/laws.hpp>
#include <vector>

/// Passes, steps and updates meet no number below the normal ones, whoever's thread they run on, and leave that thread's arithmetic as it
/// was. How long silence takes is benchmarks' business.

using sma::Index;

namespace {

/// y = x / 16, and how often that was below the normal numbers. Couples the batch where `Coupled`, so that shards are fibers.
template <bool Coupled>
struct Sixteenth {
  static constexpr Index input_width = 1, output_width = 1;
  static constexpr bool couples_batch = Coupled;
  static constexpr sma::Reach reach = sma::Reach::row;
  static inline std::atomic<long> denormals{0};

  template <class S>
  static void divide(sma::Rows<const S, 1> x, sma::Rows<S, 1> y) {
    for (Index i = 0; i < y.rows; ++i) {
      y(i, 0) = x(i, 0) / 16;
      if (std::fpclassify(y(i, 0)) == FP_SUBNORMAL) ++denormals;
    }
  }
  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences&, sma::Rows<const S, 1> x, sma::Rows<S, 1> y,
                      sma::Weights<Sixteenth, S>, sma::NoState&) {
    S nothing[1] = {};
    if constexpr (Coupled)
      if (ctx.training()) ctx.shards().all_reduce(nothing, 1);
    divide(x, y);
  }
  template <class C, class S>
  static void backward(C&, const sma::Sequences&, sma::Rows<const S, 1> dy, sma::Rows<S, 1> dx,
                       sma::Weights<Sixteenth, S>, sma::Gradients<Sixteenth, S>, sma::NoState&) {
    if (dx) divide(dy, dx);
  }
};

/// Whether this thread works with numbers below the normal ones.
bool keeps_denormals() {
  const volatile float smallest = std::numeric_limits<float>::min();
  const volatile float half = smallest / 2;
  return half > 0;
}

template <bool Coupled>
void check_passes() {
  using M = Sixteenth<Coupled>;
  using Net = sma::Network<M, sma::Eigen<float>>;
  for (const Index threads : {1, 3}) {
    Net net(sma::Seed{1}, {.threads = threads, .lanes = 4});
    sma::Batch<float, 1> x{5, 0, 7, 9, 2, 8};
    for (int i = 0; float& value : x.values()) value = std::ldexp(1.0F, -(++i % 8) - 120);
    const std::vector<float> dy(x.values().begin(), x.values().end());
    M::denormals = 0;
    net.infer(x);
    net.train(x);
    net.backward({dy.data(), x.rows()});
    CHECK(M::denormals == 0);
    CHECK(keeps_denormals());
  }
}

}  // namespace

TEST_CASE("neither forward nor backward meets a denormal number, on one thread, on several and in fibers") {
  REQUIRE(keeps_denormals());
  check_passes<false>();
  check_passes<true>();
}

TEST_CASE("a step does not, and a stream that falls silent ends in zeros") {
  sma::Network<Sixteenth<false>, sma::Eigen<float>> net(sma::Seed{1});
  auto stream = net.stream();
  Sixteenth<false>::denormals = 0;
  float y[1] = {1};
  net.step(stream, std::array{std::ldexp(1.0F, -125)}, y);
  CHECK(y[0] == 0);
  CHECK(Sixteenth<false>::denormals == 0);
  CHECK(keeps_denormals());

  sma::Network<seqboat::Ema<4, 4, false>, sma::Eigen<float>> ema(sma::Seed{1});
  auto sound = ema.stream();
  std::array<float, 4> in{1, -1, 0.5F, 2}, out{};
  ema.step(sound, in, out);
  in = {};
  int denormals = 0;
  for (int t = 0; t < 3000; ++t) {
    ema.step(sound, in, out);
    for (const float value : out) denormals += std::fpclassify(value) == FP_SUBNORMAL ? 1 : 0;
  }
  CHECK(denormals == 0);
  CHECK(std::ranges::all_of(out, [](float value) { return value == 0; }));
}

TEST_CASE("an update leaves no moment below the normal numbers") {
  using Net = sma::Network<sma::Linear<4, 4>, sma::Eigen<float>>;
  Net net(sma::Seed{1}, {.threads = 2, .lanes = 2});
  sma::AdamW<Net> optimizer(net, {.beta1 = 0.5, .beta2 = 0.5});
  for (float& g : net.gradients()) g = 1e-10F;
  optimizer.step(0.01);
  net.zero_gradients();
  for (int i = 0; i < 150; ++i) {
    optimizer.step(0.01);
    for (const float m : optimizer.first_moment()) CHECK(std::fpclassify(m) != FP_SUBNORMAL);
    for (const float v : optimizer.second_moment()) CHECK(std::fpclassify(v) != FP_SUBNORMAL);
  }
  CHECK(keeps_denormals());
}

TEST_CASE("a thread that flushes denormals itself goes on doing so") {
  const sma::eigen::FlushDenormals own;
  CHECK(!keeps_denormals());
  sma::Network<sma::Linear<4, 4>, sma::Eigen<float>> net(sma::Seed{1});
  net.infer(sma::Batch<float, 4>{3});
  CHECK(!keeps_denormals());
}
