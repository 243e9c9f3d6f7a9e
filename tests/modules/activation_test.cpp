#include <doctest/doctest.h>

#include <sma/compose/sum.hpp>
#include <sma/eigen.hpp>
#include <sma/modules/activation.hpp>
#include <support/laws.hpp>

using sma::Index;
using Double = sma::Eigen<double>;

namespace {

template <class Function>
void check_function(double (*formula)(double)) {
  for (double x = -6.1; x < 6; x += 0.37) {
    CAPTURE(x);
    CHECK(Function::value(x) == doctest::Approx(formula(x)).epsilon(1e-14));
    const double h = 1e-5;
    // Truncation of the central difference: h^2 f''' / 6, below 1e-10 here.
    CHECK(Function::derivative(x) ==
          doctest::Approx((formula(x + h) - formula(x - h)) / (2 * h)).epsilon(1e-8));
  }
}

}  // namespace

TEST_CASE("activation functions are their formulas and derivatives") {
  check_function<sma::functions::SiLU>([](double x) { return x / (1 + std::exp(-x)); });
  check_function<sma::functions::Sigmoid>([](double x) { return 1 / (1 + std::exp(-x)); });
  check_function<sma::functions::Tanh>([](double x) { return std::tanh(x); });
  check_function<sma::functions::GELU>([](double x) { return x / 2 * std::erfc(-x / std::sqrt(2.0)); });
  check_function<sma::functions::ReLU>([](double x) { return std::max(x, 0.0); });
  check_function<sma::functions::ReLU2>([](double x) { return std::max(x, 0.0) * std::max(x, 0.0); });
  check_function<sma::functions::Identity>([](double x) { return x; });
}

TEST_CASE("saturated activations stay finite") {
  for (const float x : {-200.0F, -89.0F, 89.0F, 200.0F}) {
    CAPTURE(x);
    CHECK(std::isfinite(sma::functions::Sigmoid::value(x)));
    CHECK(std::isfinite(sma::functions::SiLU::value(x)));
    CHECK(std::isfinite(sma::functions::SiLU::derivative(x)));
    CHECK(std::isfinite(sma::functions::GELU::derivative(x)));
  }
}

TEST_CASE("every activation obeys the laws") {
  constexpr Index w = 5;
  laws::check_streaming_module<sma::Sum<sma::SiLU<w>, sma::GELU<w>, sma::ReLU<w>>, Double>(1);
  laws::check_streaming_module<sma::Sum<sma::ReLU2<w>, sma::Tanh<w>, sma::Sigmoid<w>, sma::Identity<w>>,
                               Double>(2);
}

TEST_CASE("an activation of a row does not depend on where the row lies") {
  // Whole SIMD packs and what is left over must give the same bits.
  using Net = sma::Network<sma::SiLU<7>, sma::Eigen<float>>;
  Net net(sma::Seed{1});
  const auto row = laws::random_values<float>(7, 1);
  sma::Batch<float, 7> x;
  std::vector<float> many;
  for (int i = 0; i < 50; ++i) many.insert(many.end(), row.begin(), row.end());
  x.append(many);
  const auto y = net.infer(x);
  for (Index t = 1; t < 50; ++t)
    for (Index j = 0; j < 7; ++j) CHECK(y(t, j) == y(0, j));
}
