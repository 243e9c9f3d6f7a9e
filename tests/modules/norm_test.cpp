#include <doctest/doctest.h>

#include <sma/compose/chain.hpp>
#include <sma/eigen.hpp>
#include <sma/modules/linear.hpp>
#include <sma/modules/norm.hpp>
#include <support/laws.hpp>

using sma::Index;
using Double = sma::Eigen<double>;

namespace {

constexpr Index kWidth = 5;
constexpr double kEpsilon = 1e-5;

/// f(row of x) against the module's output, row by row.
template <class M, class Formula>
void check_rows(const Formula& formula) {
  using Net = sma::Network<M, Double>;
  Net net(sma::Seed{1});
  laws::randomize(net, 1);
  const auto x = laws::random_input<Net>({4, 0, 9}, 1);
  const auto y = net.infer(x);
  const auto w = laws::parameters_of(net);
  std::vector<double> expected;
  for (Index t = 0; t < x.rows(); ++t)
    for (const double value : formula(std::vector<double>(x.view().row(t), x.view().row(t) + kWidth), w))
      expected.push_back(value);
  laws::check_close(laws::values_of(y), expected, 1e-13, "the formula");
}

using Vector = std::vector<double>;
double mean_of(const Vector& v, double power = 1) {
  double sum = 0;
  for (const double x : v) sum += std::pow(x, power);
  return sum / static_cast<double>(v.size());
}

}  // namespace

TEST_CASE("layer norm is its formula") {
  check_rows<sma::LayerNorm<kWidth>>([](Vector x, const Vector& w) {
    const double mean = mean_of(x);
    const double variance = mean_of(x, 2) - mean * mean;
    for (std::size_t j = 0; j < kWidth; ++j)
      x[j] = (x[j] - mean) / std::sqrt(variance + kEpsilon) * w[j] + w[kWidth + j];
    return x;
  });
}
TEST_CASE("rms norm and scale norm are their formulas") {
  check_rows<sma::RmsNorm<kWidth>>([](Vector x, const Vector& w) {
    const double r = 1 / std::sqrt(mean_of(x, 2) + kEpsilon);
    for (std::size_t j = 0; j < kWidth; ++j) x[j] *= r * w[j];
    return x;
  });
  check_rows<sma::ScaleNorm<kWidth>>([](Vector x, const Vector& w) {
    const double r = 1 / std::sqrt(mean_of(x, 2) + kEpsilon);
    for (double& value : x) value *= r * w[0];
    return x;
  });
}

TEST_CASE("layer norm obeys the laws") {
  laws::check_streaming_module<sma::LayerNorm<kWidth>, Double>(1);
  laws::check_streaming_module<sma::LayerNorm<kWidth, false>, Double>(2);
}
TEST_CASE("rms norm obeys the laws") {
  laws::check_streaming_module<sma::RmsNorm<kWidth>, Double>(3);
  laws::check_streaming_module<sma::RmsNorm<kWidth, false>, Double>(4);
}
TEST_CASE("scale norm obeys the laws") {
  laws::check_streaming_module<sma::ScaleNorm<kWidth>, Double>(5);
  laws::check_streaming_module<sma::ScaleNorm<kWidth, false>, Double>(6);
}

TEST_CASE("norms of rows wider than one block of partial sums obey the gradient law") {
  laws::check_gradients<sma::LayerNorm<37>, Double>({3}, 1);
  laws::check_gradients<sma::RmsNorm<37>, Double>({3}, 1);
}

TEST_CASE("batch norm's gradient is its finite difference, through the statistics of the batch") {
  for (const auto& lengths : laws::few_shapes_of<sma::BatchNorm<kWidth>>()) {
    laws::check_gradients<sma::BatchNorm<kWidth>, Double>(lengths, 1);
    laws::check_gradients<sma::BatchNorm<kWidth, false>, Double>(lengths, 2);
  }
}

TEST_CASE("threads change no bit of batch norm, lanes only its rounding") {
  for (const auto& lengths : laws::shapes())
    laws::check_threads<sma::Chain<sma::Linear<4, kWidth>, sma::BatchNorm<kWidth>>, Double>(lengths, 3);
}

TEST_CASE("batch norm streams with its running statistics") {
  laws::check_stream_is_whole<sma::BatchNorm<kWidth>, Double>(20, 3);
}

TEST_CASE(
    "batch norm normalises over all rows and keeps running statistics, momentum 0.1, unbiased variance") {
  using Net = sma::Network<sma::BatchNorm<2, false>, Double>;
  Net net(sma::Seed{1}, {.threads = 1, .lanes = 3});
  auto x = laws::random_input<Net>({7, 0, 1, 12}, 1);
  for (Index t = 0; t < x.rows(); ++t) x(t, 1) = 3 * x(t, 1) + 100;
  const auto y = net.train(x);
  const double n = 20;
  for (Index c = 0; c < 2; ++c) {
    double mean = 0;
    double squares = 0;
    for (Index t = 0; t < 20; ++t) mean += x(t, c) / n;
    for (Index t = 0; t < 20; ++t) squares += (x(t, c) - mean) * (x(t, c) - mean);
    for (Index t = 0; t < 20; ++t)
      CHECK(y(t, c) == doctest::Approx((x(t, c) - mean) / std::sqrt(squares / n + kEpsilon)).epsilon(1e-9));
    CHECK(net.buffers()[static_cast<std::size_t>(c)] == doctest::Approx(0.1 * mean).epsilon(1e-12));
    CHECK(net.buffers()[static_cast<std::size_t>(2 + c)] ==
          doctest::Approx(0.9 + 0.1 * squares / (n - 1)).epsilon(1e-12));
  }
  // Inference uses them and does not touch them.
  const auto kept = laws::buffers_of(net);
  const auto z = net.infer(x);
  for (Index t = 0; t < 20; ++t)
    CHECK(z(t, 1) == doctest::Approx((x(t, 1) - kept[1]) / std::sqrt(kept[3] + kEpsilon)).epsilon(1e-12));
  laws::check_same_bits(laws::buffers_of(net), kept, "running statistics");
}

TEST_CASE("batch norm's statistics are the batch's where those of its shards differ, far from zero too") {
  using Net = sma::Network<sma::BatchNorm<1, false>, sma::Eigen<float>>;
  constexpr float kOffset = 1000;
  for (const Index lanes : {1, 2, 5}) {
    CAPTURE(lanes);
    Net net(sma::Seed{1}, {.threads = 1, .lanes = lanes});
    auto x = laws::random_input<Net>({30, 0, 41, 1, 60}, 1);
    for (Index t = 0; t < x.rows(); ++t) x(t, 0) = kOffset + x(t, 0) + (t < 30 ? 2.0F : 0.0F);
    const auto y = net.train(x);
    const auto n = static_cast<double>(x.rows());
    double mean = 0;
    double squares = 0;
    for (Index t = 0; t < x.rows(); ++t) mean += static_cast<double>(x(t, 0)) / n;
    for (Index t = 0; t < x.rows(); ++t) squares += std::pow(static_cast<double>(x(t, 0)) - mean, 2);
    for (Index t = 0; t < x.rows(); ++t)
      CHECK(static_cast<double>(y(t, 0)) ==
            doctest::Approx((static_cast<double>(x(t, 0)) - mean) / std::sqrt(squares / n + kEpsilon))
                .epsilon(1e-5));
    CHECK(static_cast<double>(net.buffers()[1]) ==
          doctest::Approx(0.9 + 0.1 * squares / (n - 1)).epsilon(1e-5));
  }
}

TEST_CASE("batch norm of no row or one row leaves the running variance alone and gives finite numbers") {
  using Net = sma::Network<sma::BatchNorm<2>, Double>;
  Net net(sma::Seed{1});
  laws::randomize(net, 1);
  const auto before = laws::buffers_of(net);
  for (const laws::Lengths& lengths : {laws::Lengths{}, {0}, {1}}) {
    const auto pass =
        laws::train(net, laws::random_input<Net>(lengths, 1), laws::random_output_gradient<Net>(lengths, 1));
    for (const double value : pass.y) CHECK(std::isfinite(value));
    for (const double value : pass.dx) CHECK(std::abs(value) < 1e-9);  // y does not depend on a lone row
    laws::check_same_bits(pass.buffers, before, "running statistics");
  }
}
