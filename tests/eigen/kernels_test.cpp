#include <doctest/doctest.h>

#include <cmath>
#include <sma/eigen.hpp>
#include <sma/kernels/activations.hpp>
#include <sma/kernels/norm.hpp>
#include <vector>

/// Every kernel that the Eigen backend overrides is held against its plain form.
namespace {

using sma::Index;

template <class T>
constexpr double tolerance = std::is_same_v<T, double> ? 1e-11 : 2e-4;

template <class T>
std::vector<T> random_values(Index count, std::uint64_t seed, double scale = 1.0) {
  sma::RandomSequence random(seed, 1);
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& v : values) v = static_cast<T>(scale * random.normal());
  return values;
}

template <class T>
void check_equal(const std::vector<T>& a, const std::vector<T>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 1.0;
  double difference = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a[i])));
    difference = std::max(difference, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    REQUIRE(std::isfinite(b[i]));
  }
  CHECK(difference <= tolerance<T> * largest);
}

/// Runs a kernel in its plain form and through the backend; `outputs` are what it writes, restored in between.
template <class T, class Kernel>
void check_override(const Kernel& kernel, std::vector<std::vector<T>*> outputs) {
  sma::Context<sma::Eigen<T>> ctx;
  std::vector<std::vector<T>> before;
  std::vector<std::vector<T>> plain;
  for (auto* out : outputs) before.push_back(*out);
  for (Index i = 0; i < kernel.extent(); ++i) kernel(i);
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    plain.push_back(*outputs[o]);
    std::copy(before[o].begin(), before[o].end(), outputs[o]->begin());
  }
  ctx.launch(kernel);
  for (std::size_t o = 0; o < outputs.size(); ++o) check_equal(plain[o], *outputs[o]);
}

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
    check_override<T>(
        sma::kernels::Apply<T, Width, Function>{ConstRows{x.data(), rows}, Rows{y.data(), rows}}, {&y});
    check_override<T>(
        sma::kernels::ApplyBackward<T, Width, Function>{ConstRows{x.data(), rows}, ConstRows{dy.data(), rows},
                                                        Rows{y.data(), rows}},
        {&y});
  }
}

template <class T, Index Width>
void check_dropout(Index stride) {
  for (const Index rows : {0, 1, 3, 37})
    for (const double rate : {0.0, 0.1, 0.5, 0.999}) {
      const auto x = random_values<T>(rows * stride, 1);
      auto y = random_values<T>(rows * stride, 2);
      auto plain = y;
      std::vector<std::int32_t> ids;
      for (Index i = 0; i < rows; ++i) ids.push_back(static_cast<std::int32_t>(1000000 * i + 7));
      sma::kernels::Dropout<T, Width> kernel{{x.data(), rows, stride},
                                             {plain.data(), rows, stride},
                                             ids.data(),
                                             {11, 0x123456789ABCDEF0U},
                                             rate};
      for (Index i = 0; i < kernel.extent(); ++i) kernel(i);
      kernel.y.data = y.data();
      sma::Context<sma::Eigen<T>> ctx;
      ctx.launch(kernel);
      CHECK(y == plain);
    }
}

template <class T, Index States, Index Width, bool Reverse>
void check_decay(Index truncation) {
  std::uint64_t seed = 1;
  for (const auto& lengths : shapes()) {
    sma::Batch<T, Width> x{std::span<const Index>(lengths)};
    const sma::Sequences s = x.sequences();
    const auto in = random_values<T>(s.rows * Width, ++seed);
    const auto dy = random_values<T>(s.rows * Width, ++seed);
    std::vector<T> decay(Width * States);
    sma::RandomSequence random(seed, 9);
    for (T& q : decay) q = static_cast<T>(random.uniform());
    const auto weight = random_values<T>(Width * States, ++seed);
    auto y = random_values<T>(s.rows * Width, ++seed);
    const sma::Rows<const T, Width> rows_in{in.data(), s.rows};
    check_override<T>(
        sma::kernels::DecayForward<T, Width, States, Reverse, true>{
            s, rows_in, {y.data(), s.rows}, decay.data(), weight.data(), truncation},
        {&y});
    check_override<T>(
        sma::kernels::DecayForward<T, Width, States, Reverse, false>{
            s, rows_in, {y.data(), s.rows}, decay.data(), weight.data(), truncation},
        {&y});
    auto ddecay = random_values<T>(Width * States, ++seed);
    auto dweight = random_values<T>(Width * States, ++seed);
    check_override<T>(sma::kernels::DecayBackwardParameters<T, Width, States, Reverse>{s,
                                                                                       rows_in,
                                                                                       {dy.data(), s.rows},
                                                                                       decay.data(),
                                                                                       weight.data(),
                                                                                       truncation,
                                                                                       ddecay.data(),
                                                                                       dweight.data()},
                      {&ddecay, &dweight});
  }
}

template <class T, class Activation, template <class> class MakeBias, bool Causal, Index Window>
void check_attention() {
  constexpr Index kZ = 6;
  constexpr Index kV = 10;
  using Bias = MakeBias<T>;
  using Problem = sma::kernels::AttentionProblem<T, kZ, kV, Activation, Bias, Causal, Window>;
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
    check_override<T>(sma::kernels::AttentionForward<T, Problem>{p, {out.data(), s.rows}, normalizer.data()},
                      {&out, &normalizer});
    std::vector<T> dq(q.size());
    std::vector<T> dk(k.size());
    std::vector<T> dv(v.size());
    auto dtable = random_values<T>(std::max<Index>(Bias::table_size, 1), ++seed);
    check_override<T>(sma::kernels::AttentionBackward<T, Problem>{p,
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

template <class T>
using Simple = sma::kernels::SimpleBias<T, 40>;
template <class T>
using Local = sma::kernels::LocalBias<T, 4>;
template <class T>
using Local64 = sma::kernels::LocalBias<T, 64>;
template <class T>
using T5 = sma::kernels::T5Bias<T, false>;
template <class T>
using T5Causal = sma::kernels::T5Bias<T, true>;

}  // namespace

TEST_CASE_TEMPLATE("packed activations are their plain forms", T, float, double) {
  check_activation<T, sma::functions::SiLU, 5>();
  check_activation<T, sma::functions::SiLU, 64>();
  check_activation<T, sma::functions::Sigmoid, 37>();
}

TEST_CASE_TEMPLATE("the mask of dropout is the plain one, bit for bit", T, float, double) {
  check_dropout<T, 80>(80);
  check_dropout<T, 64>(70);  // a column block of wider rows
  check_dropout<T, 7>(7);
  check_dropout<T, 1>(1);
}

TEST_CASE_TEMPLATE("column sums with rows outside are column sums", T, float, double) {
  for (const Index rows : {0, 1, 63, 64, 65, 300}) {
    const auto x = random_values<T>(rows * 20, 1);
    auto out = random_values<T>(20, 2);
    using Term = sma::kernels::ElementTerm<T, 20>;
    check_override<T>(sma::kernels::ColumnSum<T, 20, Term>{rows, Term{{x.data(), rows}}, out.data()}, {&out});
  }
}

TEST_CASE_TEMPLATE("Eigen's matrix products are the plain sums", T, float, double) {
  constexpr Index kIn = 19;
  constexpr Index kOut = 33;
  for (const Index rows : {0, 1, 5, 256, 300}) {
    const auto x = random_values<T>(rows * kIn, 1);
    const auto w = random_values<T>(kIn * kOut, 2);
    const auto b = random_values<T>(kOut, 3);
    const auto dy = random_values<T>(rows * kOut, 4);
    auto y = random_values<T>(rows * kOut, 5);
    auto dx = random_values<T>(rows * kIn, 6);
    auto dw = random_values<T>(kIn * kOut, 7);
    auto db = random_values<T>(kOut, 8);
    check_override<T>(
        sma::kernels::LinearForward<T>{
            {x.data(), rows, kIn, kIn}, {w.data(), kOut, kIn, kIn}, b.data(), {y.data(), rows, kOut, kOut}},
        {&y});
    check_override<T>(
        sma::kernels::LinearForward<T>{
            {x.data(), rows, kIn, kIn}, {w.data(), kOut, kIn, kIn}, nullptr, {y.data(), rows, kOut, kOut}},
        {&y});
    check_override<T>(
        sma::kernels::LinearBackwardInput<T>{
            {dy.data(), rows, kOut, kOut}, {w.data(), kOut, kIn, kIn}, {dx.data(), rows, kIn, kIn}},
        {&dx});
    check_override<T>(sma::kernels::LinearBackwardWeight<T>{{dy.data(), rows, kOut, kOut},
                                                            {x.data(), rows, kIn, kIn},
                                                            {dw.data(), kOut, kIn, kIn},
                                                            db.data()},
                      {&dw, &db});
  }
}

TEST_CASE_TEMPLATE("the vectorised recurrence is the plain one", T, float, double) {
  for (const Index truncation : {0, 1, 7}) {
    check_decay<T, 4, 5, false>(truncation);
    check_decay<T, 4, 5, true>(truncation);
    check_decay<T, 3, 33, true>(truncation);
  }
}

TEST_CASE_TEMPLATE("tiled attention is the plain one", T, float, double) {
  using namespace sma::kernels;
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
