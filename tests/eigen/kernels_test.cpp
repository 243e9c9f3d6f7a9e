#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <sma/eigen.hpp>
#include <sma/ops/functions.hpp>
#include <sma/ops/norm.hpp>
#include <span>
#include <support/plain_forms.hpp>
#include <vector>

/// Every kernel that the Eigen backend overrides is held against its plain form.
namespace {

using plain_forms::check_equal;
using plain_forms::check_override;
using plain_forms::random_values;
using sma::Index;

const std::vector<std::vector<Index>>& shapes() {
  static const std::vector<std::vector<Index>> all{{},       {0},  {1},     {0, 1, 0}, {5, 0, 130, 1, 64},
                                                   {2, 200}, {65}, {63, 64}};
  return all;
}

template <class T, class Function, Index Width>
void check_activation() {
  for (const Index rows : {0, 1, 7, 40}) {
    const auto x = random_values<T>(rows * Width, 1, 4.0);
    const auto dy = random_values<T>(rows * Width, 2);
    auto y = random_values<T>(rows * Width, 3);
    using Rows = sma::Rows<T, Width>;
    using ConstRows = sma::Rows<const T, Width>;
    check_override<T>(sma::ops::Apply<T, Width, Function>{ConstRows{x.data(), rows}, Rows{y.data(), rows}},
                      {&y});
    check_override<T>(
        sma::ops::ApplyBackward<T, Width, Function>{ConstRows{x.data(), rows}, ConstRows{dy.data(), rows},
                                                    Rows{y.data(), rows}},
        {&y});
    auto before = x;
    check_override<T>(
        sma::ops::ApplyAndDerive<T, Width, Function>{Rows{before.data(), rows}, Rows{y.data(), rows}},
        {&before, &y});
  }
}

std::vector<std::uint8_t> random_flags(Index count, double rate) {
  sma::RandomSequence random(9, 1);
  std::vector<std::uint8_t> flags(static_cast<std::size_t>(count));
  for (auto& flag : flags) flag = random.uniform() < rate ? 1 : 0;
  return flags;
}

template <class T>
void check_compaction(const std::vector<Index>& lengths, Index stride, double rate) {
  constexpr Index kWidth = 5;
  const sma::Batch<T, kWidth> batch{std::span<const Index>(lengths)};
  const sma::Sequences s = batch.sequences();
  const auto flags = random_flags(s.rows * stride, rate);
  std::vector<std::int32_t> offsets(static_cast<std::size_t>(s.count) + 1);
  sma::Context<sma::Eigen<T>> ctx;
  ctx.launch(sma::ops::CountActive{s, flags.data(), stride, offsets.data()});
  for (Index q = 0; q < s.count; ++q) {
    Index expected = 0;
    for (Index t = s.begin(q); t < s.end(q); ++t) expected += flags[static_cast<std::size_t>(t * stride)];
    CHECK(offsets[static_cast<std::size_t>(q) + 1] == expected);
  }
  ctx.launch(sma::ops::ScanOffsets{offsets.data(), s.count});
  const Index active = offsets.back();
  struct Lists {
    std::vector<std::int32_t> rows, ids;
    std::vector<sma::Position> positions;
    bool operator==(const Lists&) const = default;
  };
  const auto size = static_cast<std::size_t>(active) + 1;
  Lists lists{std::vector<std::int32_t>(size, -7), std::vector<std::int32_t>(size, -7),
              std::vector<sma::Position>(size, -7)};
  auto plain = lists;
  const auto kernel = [&](Lists& to) {
    return sma::ops::ListActive{
        s, flags.data(), stride, offsets.data(), to.rows.data(), to.positions.data(), to.ids.data()};
  };
  for (Index q = 0; q < s.count; ++q) kernel(plain)(q);
  ctx.launch(kernel(lists));
  CHECK(lists == plain);

  const auto x = random_values<T>(s.rows * kWidth, 1);
  const auto small = random_values<T>(active * kWidth, 2);
  const auto weight = random_values<T>(s.rows * stride, 3);
  auto gathered = random_values<T>(active * kWidth, 4);
  auto extracted = random_values<T>(s.rows * kWidth, 5);
  check_override<T>(
      sma::ops::GatherRows<T, kWidth>{{x.data(), s.rows}, lists.rows.data(), {gathered.data(), active}},
      {&gathered});
  check_override<T>(
      sma::ops::ExtractRows<T, kWidth>{
          {small.data(), active}, lists.rows.data(), weight.data(), stride, {extracted.data(), s.rows}},
      {&extracted});
  check_override<T>(
      sma::ops::ExtractRows<T, kWidth>{
          {small.data(), active}, lists.rows.data(), nullptr, 0, {extracted.data(), s.rows}},
      {&extracted});
}

template <class T, Index Width>
void check_streaming() {
  constexpr Index kRows = 301;
  const auto x = random_values<T>(kRows * Width, 1);
  std::vector<std::int32_t> rows;
  const auto flags = random_flags(kRows, 0.4);
  for (Index t = 0; t < kRows; ++t)
    if (flags[static_cast<std::size_t>(t)] != 0) rows.push_back(static_cast<std::int32_t>(t));
  const auto active = static_cast<Index>(rows.size());
  std::vector<T> to(static_cast<std::size_t>((kRows + 2) * Width), T(7));
  auto plain = to;
  for (Index start = 0; start < 64; start += 16) {  // bytes behind the beginning of a line
    const auto line = reinterpret_cast<std::uintptr_t>(to.data()) % 64;
    const Index first = (static_cast<Index>(64 - line) % 64 + start) / static_cast<Index>(sizeof(T));
    const auto gather = [&](std::vector<T>& y) {
      return sma::ops::GatherRows<T, Width>{{x.data(), kRows}, rows.data(), {y.data() + first, active}};
    };
    for (Index c = 0; c < active; ++c) gather(plain)(c);
    sma::eigen::gather_rows<true>(gather(to));
    sma::eigen::finish_streaming();
    CHECK(to == plain);
    const auto extract = [&](std::vector<T>& y) {
      return sma::ops::ExtractRows<T, Width>{
          {x.data(), active}, rows.data(), x.data(), 1, {y.data() + first, kRows}};
    };
    for (Index c = 0; c <= active; ++c) extract(plain)(c);
    sma::eigen::extract_rows<true>(extract(to));
    sma::eigen::finish_streaming();
    CHECK(to == plain);
  }
}

template <class T, Index Width>
void check_dropout(Index x_stride, Index y_stride) {
  for (const Index rows : {0, 1, 3, 37})
    for (const double rate : {0.0, 0.1, 0.5, 0.999}) {
      const auto x = random_values<T>(rows * x_stride, 1);
      auto y = random_values<T>(rows * y_stride, 2);
      auto plain = y;
      const auto bytes = static_cast<std::size_t>(rows * sma::ops::mask_bytes<Width>);
      std::vector<std::uint8_t> mask(bytes, 0xAA);
      std::vector<std::uint8_t> plain_mask(bytes, 0x55);
      std::vector<std::int32_t> ids;
      for (Index i = 0; i < rows; ++i)
        ids.push_back(static_cast<std::int32_t>(i % 3 == 1 ? 2147483647 - i : (rows - i) * 1000003));
      sma::ops::Dropout<T, Width> kernel{{x.data(), rows, x_stride},
                                         {plain.data(), rows, y_stride},
                                         ids.data(),
                                         {11, 0x123456789ABCDEF0U},
                                         rate,
                                         plain_mask.data()};
      for (Index i = 0; i < kernel.extent(); ++i) kernel(i);
      kernel.y.data = y.data();
      kernel.mask = mask.data();
      sma::Context<sma::Eigen<T>> ctx;
      ctx.launch(kernel);
      CHECK(y == plain);
      CHECK(mask == plain_mask);
      std::fill(y.begin(), y.end(), T(7));
      const auto untouched = y;
      const sma::ops::MaskRows<T, Width> again{kernel.x, kernel.y, mask.data(),
                                               static_cast<T>(1.0 / (1.0 - rate))};
      ctx.launch(again);
      auto masked = y;
      std::copy(untouched.begin(), untouched.end(), y.begin());
      for (Index i = 0; i < again.extent(); ++i) again(i);
      CHECK(y == masked);
      for (Index i = 0; i < rows; ++i)
        CHECK(std::equal(&masked[static_cast<std::size_t>(i * y_stride)],
                         &masked[static_cast<std::size_t>(i * y_stride)] + Width,
                         &plain[static_cast<std::size_t>(i * y_stride)]));
      if (x_stride == y_stride) {  // in place
        std::vector<T> inside = x;
        kernel.x.data = kernel.y.data = inside.data();
        ctx.launch(kernel);
        for (Index i = 0; i < rows; ++i)
          CHECK(std::equal(&inside[static_cast<std::size_t>(i * x_stride)],
                           &inside[static_cast<std::size_t>(i * x_stride)] + Width,
                           &plain[static_cast<std::size_t>(i * x_stride)]));
      }
    }
}

/// `length` rows a sequence, `gap` time steps from each row to the next.
template <class T, Index Width>
void check_positions(Index rows, Index length, Index gap, Index stride) {
  using Kernel = sma::ops::PositionCodes<T, Width>;
  std::vector<sma::Position> positions;
  for (Index i = 0; i < rows; ++i) positions.push_back(static_cast<sma::Position>(i % length * gap));
  const auto x = random_values<T>(rows * stride, 1);
  auto code = random_values<T>(rows * stride, 3);
  auto plain_code = code;
  const Kernel plain{positions.data(), {plain_code.data(), rows, stride}};
  for (Index i = 0; i < plain.extent(); ++i) plain(i);
  Kernel kernel = plain;
  kernel.code.data = code.data();
  sma::Context<sma::Eigen<T>> ctx;
  ctx.launch(kernel);
  auto y = code;
  auto plain_y = plain_code;
  const T scale = T(0.3);
  const sma::ops::AddToScaled<T, Width> add{{x.data(), rows, stride}, &scale, {plain_y.data(), rows, stride}};
  for (Index i = 0; i < add.extent(); ++i) add(i);
  auto added = add;
  added.y.data = y.data();
  ctx.launch(added);
  // The plain form rounds the angle, by up to 2^-53 of itself: 1e-12 at time step 16384.
  const double allowed = std::is_same_v<T, double> ? 2e-12 : 1e-7;
  const double exactly = std::is_same_v<T, double> ? 1e-13 : 1e-7;
  double code_difference = 0, y_difference = 0, error = 0;
  for (Index i = 0; i < rows; ++i)
    for (Index c = 0; c < stride; ++c) {
      const auto e = static_cast<std::size_t>(i * stride + c);
      code_difference = std::max(code_difference, std::abs(static_cast<double>(code[e] - plain_code[e])));
      y_difference = std::max(y_difference, std::abs(static_cast<double>(y[e] - plain_y[e])));
      if (c >= Width) continue;
      const Index j = c % (Width / 2);
      const long double angle = static_cast<long double>(positions[static_cast<std::size_t>(i)]) *
                                sma::ops::position_frequency<Width>(j);
      const long double exact = c < Width / 2 ? std::sin(angle) : std::cos(angle);
      error = std::max(error, static_cast<double>(std::abs(static_cast<long double>(code[e]) - exact)));
    }
  CHECK(code_difference <= allowed);
  CHECK(y_difference <= allowed + 8 * static_cast<double>(std::numeric_limits<T>::epsilon()));
  CHECK(error <= exactly);
}

template <class T, Index States, Index Width, bool Reverse, bool Bidirectional>
void check_decay(Index truncation) {
  constexpr Index kSize = (Bidirectional ? 2 : 1) * Width * States;
  std::uint64_t seed = 1;
  for (const auto& lengths : shapes()) {
    sma::Batch<T, Width> x{std::span<const Index>(lengths)};
    const sma::Sequences s = x.sequences();
    const auto in = random_values<T>(s.rows * Width, ++seed);
    const auto dy = random_values<T>(s.rows * Width, ++seed);
    std::vector<T> decay(kSize);
    sma::RandomSequence random(seed, 9);
    for (T& q : decay) q = static_cast<T>(0.97 * random.uniform());
    const auto weight = random_values<T>(kSize, ++seed);
    const auto skip = random_values<T>(Width, ++seed);
    auto y = random_values<T>(s.rows * Width, ++seed);
    const sma::Rows<const T, Width> rows_in{in.data(), s.rows};
    check_override<T>(
        sma::ops::DecayForward<T, Width, States, Reverse, Bidirectional>{
            s, rows_in, {y.data(), s.rows}, decay.data(), weight.data(), skip.data(), truncation},
        {&y});
    const auto ddecay = random_values<T>(kSize, ++seed);
    const auto dweight = random_values<T>(kSize, ++seed);
    const auto dskip = random_values<T>(Width, ++seed);
    for (const bool wants_dx : {true, false}) {
      // The plain form is two kernels, which the backend does at once.
      std::vector<std::vector<T>> plain{ddecay, dweight, dskip, std::vector<T>(wants_dx ? dy.size() : 0)};
      auto shared = plain;
      const auto problem = [&](std::vector<std::vector<T>>& out) {
        return sma::ops::DecayBackward<T, Width, States, Bidirectional>{
            s,
            rows_in,
            {dy.data(), s.rows},
            {wants_dx ? out[3].data() : nullptr, s.rows},
            decay.data(),
            weight.data(),
            skip.data(),
            truncation,
            out[0].data(),
            out[1].data(),
            out[2].data()};
      };
      const auto parameters = problem(plain).parameters();
      for (Index e = 0; e < parameters.extent(); ++e) parameters(e);
      const auto input = problem(plain).input();
      for (Index e = 0; wants_dx && e < input.extent(); ++e) input(e);
      sma::Context<sma::Eigen<T>> ctx;
      ctx.launch(problem(shared));
      for (std::size_t o = 0; o < plain.size(); ++o) check_equal(plain[o], shared[o]);
    }
  }
}

template <class T, class Activation, template <class> class MakeBias, bool Causal, Index Window>
void check_attention() {
  constexpr Index kZ = 6;
  constexpr Index kV = 10;
  using Bias = MakeBias<T>;
  using Problem = sma::ops::AttentionProblem<T, kZ, kV, Activation, Bias, Causal, Window>;
  std::uint64_t seed = 1;
  for (const auto& lengths : shapes()) {
    sma::Batch<T, 1> x{std::span<const Index>(lengths)};
    sma::Sequences s = x.sequences();
    std::vector<sma::Position> positions(s.positions, s.positions + s.rows);
    for (auto& p : positions) p *= 3;  // gaps, as after compress
    s.positions = positions.data();
    const auto q = random_values<T>(s.rows * kZ, ++seed);
    const auto k = random_values<T>(s.rows * kZ, ++seed);
    const auto v = random_values<T>(s.rows * kV, ++seed);
    const auto dout = random_values<T>(s.rows * kV, ++seed);
    const auto table = random_values<T>(std::max<Index>(Bias::table_size, 1), ++seed, 0.3);
    const Problem p{s, {q.data(), s.rows}, {k.data(), s.rows}, {v.data(), s.rows}, {table.data()}};
    std::vector<T> out(static_cast<std::size_t>(s.rows * kV));
    std::vector<T> normalizer(static_cast<std::size_t>(s.rows));
    // All rows, and some of them.
    check_override<T>(
        sma::ops::AttentionForward<T, Problem>{
            p, {s.rows / 3, s.rows / 2}, {out.data(), s.rows}, normalizer.data()},
        {&out, &normalizer});
    check_override<T>(
        sma::ops::AttentionForward<T, Problem>{p, {0, s.rows}, {out.data(), s.rows}, normalizer.data()},
        {&out, &normalizer});
    for (const sma::ops::Queries queries : {sma::ops::Queries{0, s.rows}, {s.rows / 5, s.rows / 2}}) {
      std::vector<T> dq(q.size());
      auto dk = random_values<T>(s.rows * kZ, ++seed);
      auto dv = random_values<T>(s.rows * kV, ++seed);
      auto dtable = random_values<T>(std::max<Index>(Bias::table_size, 1), ++seed);
      check_override<T>(sma::ops::AttentionBackward<T, Problem>{p,
                                                                queries,
                                                                {out.data(), s.rows},
                                                                {dout.data(), s.rows},
                                                                normalizer.data(),
                                                                {dq.data(), s.rows},
                                                                {dk.data(), s.rows},
                                                                {dv.data(), s.rows},
                                                                dtable.data()},
                        {&dq, &dk, &dv, &dtable});
    }
  }
}

template <class T, Index Width>
void check_layer_norm() {
  for (const Index rows : {0, 1, 3, 4, 5, 9}) {
    constexpr Index kStride = Width + 5;
    const auto x = random_values<T>(rows * kStride, 1);
    const auto dy = random_values<T>(rows * Width, 2);
    const auto weight = random_values<T>(Width, 3);
    const auto bias = random_values<T>(Width, 4);
    auto y = random_values<T>(rows * kStride, 5);
    auto mean = random_values<T>(rows, 6);
    auto rstd = std::vector<T>(static_cast<std::size_t>(rows), T(0.9));
    const sma::Rows<const T, Width> in{x.data(), rows, kStride};
    const sma::Rows<T, Width> out{y.data(), rows, kStride};
    for (const bool affine : {true, false}) {
      const T* w = affine ? weight.data() : nullptr;
      check_override<T>(sma::ops::LayerNormForward<T, Width>{in, out, w, affine ? bias.data() : nullptr,
                                                             mean.data(), rstd.data()},
                        {&y, &mean, &rstd});
      for (const auto& base : {sma::Rows<const T, Width>{}, in, sma::Rows<const T, Width>(out)})
        check_override<T>(
            sma::ops::LayerNormBackward<T, Width>{
                in, {dy.data(), rows}, base, out, w, mean.data(), rstd.data()},
            {&y});
    }
  }
}

/// Positions are multiples of 3, so that some pairs lie exactly where the table ends.
template <class T>
using Simple = sma::ops::SimpleBias<T, 39>;
template <class T>
using Local = sma::ops::LocalBias<T, 4>;
template <class T>
using Local64 = sma::ops::LocalBias<T, 64>;
template <class T>
using T5 = sma::ops::T5Bias<T, false>;
template <class T>
using T5Causal = sma::ops::T5Bias<T, true>;

}  // namespace

TEST_CASE("the exponential of a register is right to a unit and a half in the last place") {
  using V = sma::eigen::Register<float>;
  const auto exponential = [](float x) {
    V v[2] = {V{}, V{} + x};
    sma::eigen::exponential(v);
    return static_cast<float>(v[1][sma::eigen::kRegisterWidth<float> - 1]);
  };
  double worst = 0;
  for (int i = -87000; i <= 88000; ++i) {
    const float x = static_cast<float>(i) * 1.0007e-3F;
    const double exact = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::abs(static_cast<double>(exponential(x)) - exact) / exact);
  }
  CHECK(worst < 1.5 * 0x1p-24);
  CHECK(exponential(0.0F) == 1.0F);
  CHECK(exponential(-0.0F) == 1.0F);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float x : {-kInfinity, std::numeric_limits<float>::lowest(), -1e4F, -88.0F}) {
    CHECK(exponential(x) >= 0.0F);
    CHECK(exponential(x) < 1.3e-38F);
  }
  for (const float x : {kInfinity, std::numeric_limits<float>::max(), 1e4F, 89.0F})
    CHECK(exponential(x) > 2e38F);
  for (const std::uint32_t bits : {0x7FC00000U, 0xFFC00000U, 0xFFFFFFFFU, 0x7FC12345U})
    CHECK(std::isnan(exponential(std::bit_cast<float>(bits))));
}

TEST_CASE("the exponential of a register of doubles is right to a unit and a half in the last place") {
  using V = sma::eigen::Register<double>;
  const auto exponential = [](double x) {
    V v[2] = {V{}, V{} + x};
    sma::eigen::exponential(v);
    return static_cast<double>(v[1][sma::eigen::kRegisterWidth<double> - 1]);
  };
  long double worst = 0;
  for (int i = -708000; i <= 709000; ++i) {
    const double x = static_cast<double>(i) * 1.00007e-3;
    const long double exact = std::exp(static_cast<long double>(x));
    worst = std::max(worst, std::abs(static_cast<long double>(exponential(x)) - exact) / exact);
  }
  CHECK(worst < 1.5L * 0x1p-53L);
  CHECK(exponential(0.0) == 1.0);
  CHECK(exponential(-0.0) == 1.0);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double x : {-kInfinity, std::numeric_limits<double>::lowest(), -1e4, -709.0}) {
    CHECK(exponential(x) >= 0.0);
    CHECK(exponential(x) < 2.3e-308);
  }
  for (const double x : {kInfinity, std::numeric_limits<double>::max(), 1e4, 710.0})
    CHECK(exponential(x) == kInfinity);
  CHECK(std::isnan(exponential(std::numeric_limits<double>::quiet_NaN())));
  CHECK(std::isnan(exponential(-std::numeric_limits<double>::quiet_NaN())));
}

TEST_CASE_TEMPLATE("the square root of a register is right to two units in the last place", T, float,
                   double) {
  using V = sma::eigen::Register<T>;
  const auto root = [](T x) {
    V v = V{} + x;
    sma::eigen::square_root(v);
    return static_cast<T>(v[0]);
  };
  using Limits = std::numeric_limits<T>;
  T worst = 0;
  for (int i = -60000; i <= 60000; ++i) {
    const T x = std::exp(static_cast<T>(i) * T(1e-3));
    worst = std::max(worst, std::abs(root(x) - std::sqrt(x)) / std::sqrt(x));
  }
  CHECK(worst <= 2 * Limits::epsilon());
  for (const T x : {T(0), T(1), T(4)}) CHECK(root(x) == std::sqrt(x));
  CHECK(root(Limits::min()) == doctest::Approx(std::sqrt(Limits::min())).epsilon(1e-6));
  CHECK(root(Limits::max()) == doctest::Approx(std::sqrt(Limits::max())).epsilon(1e-6));
  CHECK(std::isnan(root(T(-1))));
  CHECK(std::isnan(root(Limits::quiet_NaN())));
}

TEST_CASE_TEMPLATE("packed activations are their plain forms", T, float, double) {
  check_activation<T, sma::functions::SiLU, 5>();
  check_activation<T, sma::functions::SiLU, 64>();
  check_activation<T, sma::functions::Sigmoid, 37>();
}

TEST_CASE_TEMPLATE("the mask of dropout is the plain one, bit for bit", T, float, double) {
  check_dropout<T, 80>(80, 80);
  check_dropout<T, 64>(70, 70);  // a column block of wider rows
  check_dropout<T, 64>(64, 80);
  check_dropout<T, 200>(203, 200);
  check_dropout<T, 30>(30, 30);
  check_dropout<T, 7>(7, 7);
  check_dropout<T, 4>(4, 5);
  check_dropout<T, 1>(1, 1);
}

TEST_CASE_TEMPLATE("position codes from tables are the plain ones", T, float, double) {
  check_positions<T, 6>(0, 1, 1, 6);
  check_positions<T, 6>(127, 1000, 1, 6);
  check_positions<T, 6>(128, 1000, 1, 6);
  check_positions<T, 64>(300, 70, 1, 70);    // sequences; a column block of wider rows
  check_positions<T, 34>(400, 200, 81, 34);  // gaps, as after compress
  check_positions<T, 2>(16385, 16385, 1, 2);
}

TEST_CASE_TEMPLATE("lists without branches, gathered and extracted rows are the plain ones", T, float,
                   double) {
  for (const auto& lengths : shapes())
    for (const Index stride : {1, 3})
      for (const double rate : {0.0, 0.3, 1.0}) check_compaction<T>(lengths, stride, rate);
}

TEST_CASE_TEMPLATE("rows that are written past the caches are the others, wherever lines begin", T, float,
                   double) {
  check_streaming<T, 20>();
  check_streaming<T, 64>();
}

TEST_CASE("rows are written past the caches where they are many, whole lines and next to each other") {
  constexpr Index kEnough = sma::eigen::kStreamedBytes / (8 * static_cast<Index>(sizeof(float)));
  alignas(64) static float data[32];
  const auto streams = [](float* at, Index rows, Index stride) {
    return sma::eigen::streams(sma::Rows<float, 8>{at, rows, stride});
  };
#ifdef __SSE2__
  CHECK(streams(data, kEnough, 8));
  CHECK(streams(data + 4, kEnough, 8));
#endif
  CHECK_FALSE(streams(data, kEnough - 1, 8));
  CHECK_FALSE(streams(data + 1, kEnough, 8));
  CHECK_FALSE(streams(data, kEnough, 12));  // columns of wider rows
  CHECK_FALSE(sma::eigen::streams(sma::Rows<float, 7>{data, 2 * kEnough}));
}

TEST_CASE_TEMPLATE("column sums with rows outside are column sums", T, float, double) {
  for (const Index rows : {0, 1, 63, 64, 65, 300}) {
    const auto x = random_values<T>(rows * 20, 1);
    auto out = random_values<T>(20, 2);
    using Term = sma::ops::ElementTerm<T, 20>;
    check_override<T>(sma::ops::ColumnSum<T, 20, Term>{rows, Term{{x.data(), rows}}, out.data()}, {&out});
    using Square = sma::ops::ProductTerm<T, 20>;
    auto squares = random_values<T>(20, 3);
    auto expected = out;
    auto expected_squares = squares;
    sma::Context<sma::Eigen<T>> ctx;
    ctx.launch(sma::ops::ColumnSum<T, 20, Term>{rows, Term{{x.data(), rows}}, expected.data()});
    ctx.launch(sma::ops::ColumnSum<T, 20, Square>{rows, Square{{x.data(), rows}, {x.data(), rows}},
                                                  expected_squares.data()});
    ctx.launch(sma::ops::ColumnSums<T, 20, Term, Square>{rows, Term{{x.data(), rows}},
                                                         Square{{x.data(), rows}, {x.data(), rows}},
                                                         out.data(), squares.data()});
    check_equal(expected, out);
    check_equal(expected_squares, squares);
  }
}

TEST_CASE_TEMPLATE("Adam's update in packs is the plain one, and the same wherever it is cut", T, float,
                   double) {
  for (const Index size : {0, 1, 31, 32, 100})
    for (const T rectified : {T(1), T(0.5), T(-1)}) {
      auto w = random_values<T>(size, 1);
      const auto g = random_values<T>(size, 2);
      auto m = random_values<T>(size, 3);
      auto v = random_values<T>(size, 4);
      for (T& value : v) value = std::abs(value);
      const sma::ops::AdamUpdate<T> k{w.data(), g.data(), m.data(), v.data(), size,    T(0.7),   T(0.9),
                                      T(0.98),  T(0.01),  T(0.3),   T(1e-8),  T(0.99), rectified};
      const auto before = std::array{w, m, v};
      sma::Context<sma::Eigen<T>> ctx;
      const auto restore = [&] {
        std::copy(before[0].begin(), before[0].end(), w.begin());
        std::copy(before[1].begin(), before[1].end(), m.begin());
        std::copy(before[2].begin(), before[2].end(), v.begin());
      };
      for (const Index cut : {size / 3, size / 2}) {
        ctx.launch(k.part(0, cut));
        ctx.launch(k.part(cut, size - cut));
        const auto parts = std::array{w, m, v};
        restore();
        ctx.launch(k);
        CHECK(parts == std::array{w, m, v});
        restore();
      }
      check_override<T>(k, {&w, &m, &v});
    }
}

TEST_CASE_TEMPLATE("layer norm of several rows at a time is the plain one", T, float, double) {
  check_layer_norm<T, 32>();
  check_layer_norm<T, 80>();
  check_layer_norm<T, 33>();
}

TEST_CASE_TEMPLATE("matrix products are the plain sums, whatever the sizes", T, float, double) {
  struct Sizes {
    Index rows, in, out;
  };
  // Few outputs have functions of their own; the last two are larger than what is packed at a time.
  for (const auto& [rows, in, out] :
       {Sizes{0, 19, 33}, Sizes{1, 19, 33}, Sizes{5, 1, 1}, Sizes{256, 19, 33}, Sizes{300, 64, 16},
        Sizes{70, 31, 250}, Sizes{0, 19, 2}, Sizes{3, 5, 1}, Sizes{130, 147, 1}, Sizes{64, 83, 2},
        Sizes{129, 160, 2}, Sizes{30, 800, 7}, Sizes{900, 5, 800}}) {
    const auto x = random_values<T>(rows * in, 1);
    const auto w = random_values<T>(in * out, 2);
    const auto b = random_values<T>(out, 3);
    const auto dy = random_values<T>(rows * out, 4);
    auto y = random_values<T>(rows * out, 5);
    auto dx = random_values<T>(rows * in, 6);
    auto dw = random_values<T>(in * out, 7);
    auto db = random_values<T>(out, 8);
    check_override<T>(
        sma::ops::LinearForward<T>{
            {x.data(), rows, in, in}, {w.data(), out, in, in}, b.data(), {y.data(), rows, out, out}},
        {&y});
    check_override<T>(
        sma::ops::LinearForward<T>{
            {x.data(), rows, in, in}, {w.data(), out, in, in}, nullptr, {y.data(), rows, out, out}},
        {&y});
    check_override<T>(
        sma::ops::LinearBackwardInput<T>{
            {dy.data(), rows, out, out}, {w.data(), out, in, in}, {dx.data(), rows, in, in}},
        {&dx});
    const auto base_y = random_values<T>(rows * out, 9);
    const auto base_dx = random_values<T>(rows * in, 10);
    for (const bool inside : {false, true}) {  // y = base + ..., y += ...
      check_override<T>(sma::ops::LinearForward<T>{{x.data(), rows, in, in},
                                                   {w.data(), out, in, in},
                                                   b.data(),
                                                   {y.data(), rows, out, out},
                                                   {inside ? y.data() : base_y.data(), rows, out, out}},
                        {&y});
      check_override<T>(sma::ops::LinearBackwardInput<T>{{dy.data(), rows, out, out},
                                                         {w.data(), out, in, in},
                                                         {dx.data(), rows, in, in},
                                                         {inside ? dx.data() : base_dx.data(), rows, in, in}},
                        {&dx});
    }
    check_override<T>(
        sma::ops::LinearBackwardWeight<T>{
            {dy.data(), rows, out, out}, {x.data(), rows, in, in}, {dw.data(), out, in, in}, db.data()},
        {&dw, &db});
  }
}

TEST_CASE_TEMPLATE("the vectorised recurrence is the plain one", T, float, double) {
  for (const Index truncation : {0, 1, 7, 63, 64, 65, 1024}) {
    check_decay<T, 4, 5, false, false>(truncation);
    check_decay<T, 4, 5, true, true>(truncation);
    check_decay<T, 3, 33, true, false>(truncation);
    check_decay<T, 1, 16, false, true>(truncation);
    check_decay<T, 16, 20, false, true>(truncation);
  }
}

TEST_CASE_TEMPLATE("tiled attention is the plain one", T, float, double) {
  using namespace sma::ops;
  check_attention<T, SoftmaxAttention, NoBias, false, 4>();
  check_attention<T, SoftmaxAttention, Simple, false, 4>();
  check_attention<T, SoftmaxAttention, Simple, true, 0>();
  check_attention<T, SoftmaxAttention, Local64, true, 64>();
  check_attention<T, SoftmaxAttention, T5, false, 0>();
  check_attention<T, SoftmaxAttention, T5Causal, true, 100>();
  check_attention<T, Relu2Attention, Local, false, 4>();
  check_attention<T, Relu2Attention, Simple, false, 0>();
  check_attention<T, Relu2Attention, NoBias, true, 0>();
  check_attention<T, LaplaceAttention, Simple, false, 4>();
  check_attention<T, LaplaceAttention, NoBias, false, 0>();
}
