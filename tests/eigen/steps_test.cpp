#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <sma/eigen.hpp>
#include <sma/ops/functions.hpp>
#include <support/plain_forms.hpp>
#include <vector>

/// The kernels of a step of a stream, and the sums and functions of registers that they are made of.
namespace {

using plain_forms::check_override;
using plain_forms::random_values;
using sma::Index;
using sma::Position;

template <class T, Index In, Index Out>
void check_linear() {
  CAPTURE(In);
  CAPTURE(Out);
  const auto x = random_values<T>(In, 1);
  const auto w = random_values<T>(In * Out, 2);
  const auto bias = random_values<T>(Out, 3);
  std::vector<T> y(static_cast<std::size_t>(Out));
  check_override<T>(sma::ops::LinearStep<T, T, In, Out>{x.data(), w.data(), bias.data(), y.data()}, {&y});
  check_override<T>(sma::ops::LinearStep<T, T, In, Out>{x.data(), w.data(), nullptr, y.data()}, {&y});
}

template <class T, Index Channels, Index States>
void check_decay() {
  CAPTURE(Channels);
  constexpr Index size = Channels * States;
  const auto x = random_values<T>(Channels, 1);
  const auto skip = random_values<T>(Channels, 2);
  const auto leaving = random_values<T>(Channels, 3);
  const auto decay = random_values<T>(size, 4, 0.5);
  const auto weight = random_values<T>(size, 5);
  const auto cut = random_values<T>(size, 6);
  std::vector<T> state = random_values<T>(size, 7);
  std::vector<T> y(static_cast<std::size_t>(Channels));
  for (const T* out : {static_cast<const T*>(nullptr), leaving.data()})
    check_override<T>(
        sma::ops::DecayStep<T, Channels, States>{x.data(), y.data(), decay.data(), weight.data(), skip.data(),
                                                 state.data(), cut.data(), out},
        {&state, &y});
}

template <class T, class Activation, class Bias, Index Z, Index V, Index W>
void check_attention() {
  const auto q = random_values<T>(Z, 1);
  const auto keys = random_values<T>((W + 1) * Z, 2);
  const auto values = random_values<T>((W + 1) * V, 3);
  const auto table = random_values<T>(std::max<Index>(Bias::table_size, 1), 4);
  std::vector<T> scores(static_cast<std::size_t>(W + 1));
  std::vector<T> out(static_cast<std::size_t>(V));
  for (const Index number : {Index{0}, Index{1}, W - 1, W, W + 1, 5 * W + 3}) {
    CAPTURE(number);
    std::vector<Position> positions(static_cast<std::size_t>(W + 1));
    for (Index n = std::max<Index>(number - W, 0); n <= number; ++n)
      positions[static_cast<std::size_t>(n % (W + 1))] = static_cast<Position>(3 * n);
    check_override<T>(sma::ops::StreamAttention<T, Z, V, Activation, Bias, W>{q.data(),
                                                                              keys.data(),
                                                                              values.data(),
                                                                              positions.data(),
                                                                              number,
                                                                              {table.data()},
                                                                              scores.data(),
                                                                              out.data()},
                      {&out});
  }
}

template <class T, class Bias>
void check_activations() {
  check_attention<T, sma::ops::SoftmaxAttention, Bias, 8, 20, 5>();
  check_attention<T, sma::ops::Relu2Attention, Bias, 8, 20, 5>();
  check_attention<T, sma::ops::LaplaceAttention, Bias, 8, 20, 5>();
}

/// Largest error of f(x) relative to the exact value, x from -range to range.
template <class F, class T>
double worst_error(double range, long double (*exact)(long double)) {
  double worst = 0;
  sma::eigen::Pack<T, 1> pack;
  constexpr Index kWidth = sma::eigen::kRegisterWidth<T>;
  for (int i = -200000; i <= 200000; i += kWidth) {
    T x[static_cast<std::size_t>(kWidth)], y[static_cast<std::size_t>(kWidth)];
    for (Index l = 0; l < kWidth; ++l) x[l] = static_cast<T>(range * static_cast<double>(i + l) / 200000);
    pack = sma::eigen::Pack<T, 1>::load(x);
    F::value(pack).store(y);
    for (Index l = 0; l < kWidth; ++l) {
      const long double right = exact(static_cast<long double>(x[l]));
      if (right != 0)
        worst =
            std::max(worst, static_cast<double>(std::abs((static_cast<long double>(y[l]) - right) / right)));
      else
        CHECK(y[l] == 0);
    }
  }
  return worst;
}

}  // namespace

TEST_CASE_TEMPLATE("the lanes of many registers are summed in order, with the roundings of one register's", T,
                   float, double) {
  constexpr Index kWidth = sma::eigen::kRegisterWidth<T>;
  using V = sma::eigen::Register<T>;
  const auto numbers = random_values<T>(kWidth * kWidth, 1);
  V each[static_cast<std::size_t>(kWidth)];
  sma::eigen::load_registers(numbers.data(), each);
  V sums[static_cast<std::size_t>(kWidth)];
  std::copy(std::begin(each), std::end(each), sums);
  sma::eigen::sum_each_lanes<T>(sums);
  for (Index r = 0; r < kWidth; ++r) {
    V one = each[r];
    sma::eigen::sum_lanes<T>(one);
    for (Index l = 0; l < kWidth; ++l) CHECK(T(one[l]) == T(sums[0][r]));
    const T* first = numbers.data() + r * kWidth;
    CHECK(T(one[0]) == doctest::Approx(std::accumulate(first, first + kWidth, T(0))).epsilon(1e-5));
  }
}

TEST_CASE_TEMPLATE("one row's product is the plain one, whatever the sizes", T, float, double) {
  check_linear<T, 1, 1>();
  check_linear<T, 1, 16>();
  check_linear<T, 3, 5>();
  check_linear<T, 16, 1>();
  check_linear<T, 8, 8>();
  check_linear<T, 17, 33>();
  check_linear<T, 64, 30>();
  check_linear<T, 16, 16>();
  check_linear<T, 80, 98>();
}

TEST_CASE_TEMPLATE("a step of the recurrence is the plain one", T, float, double) {
  check_decay<T, 1, 16>();
  check_decay<T, 21, 16>();
  check_decay<T, 16, 32>();
  check_decay<T, 5, 3>();
}

TEST_CASE_TEMPLATE("a stream's attention is the plain one, before and after its ring has filled", T, float,
                   double) {
  check_activations<T, sma::ops::NoBias<T>>();
  check_activations<T, sma::ops::SimpleBias<T, 40>>();
  check_activations<T, sma::ops::LocalBias<T, 5>>();
  check_activations<T, sma::ops::T5Bias<T, true>>();
  check_attention<T, sma::ops::SoftmaxAttention, sma::ops::NoBias<T>, 33, 161, 128>();
}

TEST_CASE("the hyperbolic tangent of a pack is right to a few units in the last place") {
  const auto tanh = [](long double x) { return std::tanh(x); };
  CHECK(worst_error<sma::functions::Tanh, float>(12, tanh) < 4 * 0x1p-24);
  CHECK(worst_error<sma::functions::Tanh, float>(1e-3, tanh) < 4 * 0x1p-24);
  CHECK(worst_error<sma::functions::Tanh, double>(25, tanh) < 4 * 0x1p-53);
  CHECK(worst_error<sma::functions::Tanh, double>(1e-3, tanh) < 4 * 0x1p-53);
}

TEST_CASE_TEMPLATE("functions of a pack do with infinity and NaN what they do with one number", T, float,
                   double) {
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  const auto of = [](auto f, T x) {
    T values[static_cast<std::size_t>(sma::eigen::kRegisterWidth<T>)];
    std::fill(std::begin(values), std::end(values), x);
    f(sma::eigen::Pack<T, 1>::load(values)).store(values);
    return values[sma::eigen::kRegisterWidth<T> - 1];
  };
  const auto tanh = [](const auto& x) { return sma::functions::Tanh::value(x); };
  const auto relu = [](const auto& x) { return sma::functions::ReLU::value(x); };
  const auto slope = [](const auto& x) { return sma::functions::ReLU::derivative(x); };
  for (const T x : {-kInfinity, T(-1e5), T(-2), T(-0.0), T(0), T(0.25), T(1e5), kInfinity}) {
    CAPTURE(x);
    CHECK(of(tanh, x) == doctest::Approx(std::tanh(x)).epsilon(1e-6));
    CHECK(of(relu, x) == relu(x));
    CHECK(of(slope, x) == slope(x));
  }
  CHECK(std::isnan(of(tanh, std::numeric_limits<T>::quiet_NaN())));
  CHECK(std::isnan(of(relu, std::numeric_limits<T>::quiet_NaN())));
}
