#include <doctest/doctest.h>

#include <cmath>
#include <sma/compose/chain.hpp>
#include <sma/eigen.hpp>
#include <sma/modules/linear.hpp>
#include <sma/modules/map.hpp>
#include <support/laws.hpp>

using sma::Index;
using Double = sma::Eigen<double>;

namespace {

struct Mish {
  template <class T>
  SMA_HD static T value(const T& x) {
    using std::exp, std::log, std::tanh;
    return x * tanh(log(1 + exp(x)));
  }
};

/// As functions.hpp has it, without the derivative.
struct ValueOfSiLU {
  static constexpr bool vectorizes = true;
  template <class T>
  SMA_HD static T value(const T& x) {
    using std::exp;
    return x / (1 + exp(-x));
  }
};

/// x + sin(a x)^2 / (1 + b^2), a and b learned a channel.
struct Snake {
  using Learned = sma::Numbers<sma::Number<"a", sma::init::Ones>, sma::Number<"b">>;
  template <class T>
  SMA_HD static T value(const T& x, const T& a, const T& b) {
    using std::sin;
    const T wave = sin(a * x);
    return x + wave * wave / (1 + b * b);
  }
};

/// Every function that a Dual has.
struct Everything {
  template <class T>
  SMA_HD static T value(const T& x) {
    using std::abs, std::cos, std::erf, std::exp, std::log, std::max, std::min, std::sin, std::sqrt,
        std::tanh;
    T y = sqrt(1 + x * x) + erf(x) - cos(x) / 3;
    y += max(x, T(0.25)) * min(x, T(-0.25));
    y *= T(0.5);
    y -= abs(x);
    y /= 2 + log(1 + exp(x)) + sin(x) * tanh(x);
    return x > T(1) ? -y : y;
  }
};

}  // namespace

TEST_CASE("the derivative of a map follows from its value") {
  for (double x = -3.03; x < 3; x += 0.17) {
    CAPTURE(x);
    using Derived = sma::detail::Derived<Everything>;
    const double h = 1e-6;
    const double slope = (Everything::value(x + h) - Everything::value(x - h)) / (2 * h);
    CHECK(Derived::derivative(x) == doctest::Approx(slope).epsilon(1e-7));
    CHECK(sma::detail::Derived<ValueOfSiLU>::derivative(x) ==
          doctest::Approx(sma::functions::SiLU::derivative(x)).epsilon(1e-13));
    const sma::Dual<double> cube = pow(sma::Dual<double>(x * x, 2 * x), 1.5);
    CHECK(cube.slope == doctest::Approx(3 * x * std::abs(x)).epsilon(1e-12));
  }
}

TEST_CASE("maps obey the laws of modules, learned numbers too") {
  laws::check_streaming_module<sma::Map<5, Mish>, Double>(1);
  laws::check_streaming_module<sma::Chain<sma::Map<5, Snake>, sma::Linear<5, 3>, sma::Map<3, ValueOfSiLU>>,
                               Double>(2);
}

TEST_CASE("learned numbers have names, one of each a channel") {
  const auto entries = sma::parameter_entries<sma::Map<4, Snake>>();
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].name == "a");
  CHECK(entries[1].name == "b");
  CHECK(entries[1].shape == std::vector<Index>{4});
  sma::Network<sma::Map<4, Snake>, Double> net(sma::Seed{1});
  CHECK(net.parameters()[0] == 1);
  CHECK(net.parameters()[4] == 0);
}

TEST_CASE("a map that vectorizes is the activation, to rounding") {
  using Net = sma::Network<sma::Map<9, ValueOfSiLU>, sma::Eigen<float>>;
  using Reference = sma::Network<sma::SiLU<9>, sma::Eigen<float>>;
  Net net(sma::Seed{1});
  Reference reference(sma::Seed{1});
  const auto x = laws::random_input<Net>({20, 0, 7}, 2);
  const auto dy = laws::random_output_gradient<Net>({20, 0, 7}, 3);
  laws::check_close_pass(laws::train(net, x, dy), laws::train(reference, x, dy),
                         ", of a map and an activation");
}
