#include <doctest/doctest.h>

#include <cmath>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/loss.hpp>
#include <sma/train/optimizer.hpp>
#include <sma/train/schedule.hpp>
#include <vector>

namespace {

using Net = sma::Network<sma::Linear<3, 2>, sma::Eigen<double>>;

/// Textbook Adam with decoupled weight decay, one number at a time.
struct Oracle {
  double m = 0, v = 0;
  int t = 0;
  double step(double w, double g, double lr, const sma::AdamOptions& o, bool rectified) {
    ++t;
    m = o.beta1 * m + (1 - o.beta1) * g;
    v = o.beta2 * v + (1 - o.beta2) * g * g;
    w *= 1 - lr * o.weight_decay;
    const double m_hat = m / (1 - std::pow(o.beta1, t));
    const double v_hat = v / (1 - std::pow(o.beta2, t));
    if (!rectified) return w - lr * m_hat / (std::sqrt(v_hat) + o.epsilon);
    const double limit = 2 / (1 - o.beta2) - 1;
    const double rho = limit - 2 * t * std::pow(o.beta2, t) / (1 - std::pow(o.beta2, t));
    if (rho <= 5) return w - lr * m_hat;
    const double r = std::sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho));
    return w - lr * r * m_hat / (std::sqrt(v_hat) + o.epsilon);
  }
};

template <bool Rectified>
void check_against_oracle() {
  Net net(sma::Seed{1});
  const sma::AdamOptions options{.weight_decay = 0.05};
  sma::Adam<Net, Rectified> optimizer(net, options);
  std::vector<Oracle> oracles(net.parameters().size());
  std::vector<double> w(net.parameters().begin(), net.parameters().end());
  sma::RandomSequence random(1, 2);
  for (int t = 0; t < 30; ++t) {
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double g = random.normal();
      net.gradients()[i] = g;
      w[i] = oracles[i].step(w[i], g * 0.5, 0.01, options, Rectified);
    }
    optimizer.step(0.01, 0.5);
  }
  for (std::size_t i = 0; i < w.size(); ++i)
    CHECK(net.parameters()[i] == doctest::Approx(w[i]).epsilon(1e-12));
}

}  // namespace

TEST_CASE("AdamW follows its formula") { check_against_oracle<false>(); }

TEST_CASE("RAdam follows its formula, before and after the variance is tractable") {
  check_against_oracle<true>();
}

TEST_CASE("the gradient norm is Euclidean and clipping brings it to the limit") {
  Net net(sma::Seed{1});
  sma::AdamW<Net> optimizer(net);
  double sum = 0;
  for (std::size_t i = 0; i < net.gradients().size(); ++i) {
    net.gradients()[i] = static_cast<double>(i) - 2.5;
    sum += net.gradients()[i] * net.gradients()[i];
  }
  CHECK(optimizer.gradient_norm() == doctest::Approx(std::sqrt(sum)));
  CHECK(sma::clip_factor(4.0, 1.0) == doctest::Approx(0.25).epsilon(1e-5));
  CHECK(sma::clip_factor(0.5, 1.0) == 1.0);
  CHECK(sma::clip_factor(4.0, 0.0) == 1.0);
}

TEST_CASE("the schedule warms up by its power and then falls to zero") {
  sma::Schedule linear{.peak = 0.01, .total = 20, .warmup = 4};
  CHECK(linear.at(1) == doctest::Approx(0.002500075));
  CHECK(linear.at(4) == doctest::Approx(0.01));
  CHECK(linear.at(5) == doctest::Approx(0.009375));
  CHECK(linear.at(20) == 0.0);
  sma::Schedule squared{.peak = 0.01, .total = 20, .warmup = 4, .initial = 0, .power = 2};
  CHECK(squared.at(2) == doctest::Approx(0.0025));
  sma::Schedule cosine{.peak = 0.01, .total = 20, .warmup = 4, .decay = sma::Schedule::Decay::cosine};
  CHECK(cosine.at(12) == doctest::Approx(0.005));
  CHECK(cosine.at(20) == doctest::Approx(0.0));
}

TEST_CASE("the cross entropy's gradient is its finite difference") {
  Net net(sma::Seed{4});
  sma::Batch<double, 3> x{2, 0, 3};
  sma::RandomSequence random(1, 3);
  for (auto& value : x.values()) value = random.normal();
  const std::vector<std::int32_t> targets{0, 1, 1, 0, 1};
  const auto loss = [&] {
    net.zero_gradients();
    return net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy{}, 0.2).loss;
  };
  loss();
  const std::vector<double> gradient(net.gradients().begin(), net.gradients().end());
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    double& w = net.parameters()[i];
    const double kept = w;
    w = kept + 1e-6;
    const double up = loss();
    w = kept - 1e-6;
    const double down = loss();
    w = kept;
    CHECK(gradient[i] == doctest::Approx((up - down) / 2e-6).epsilon(1e-7));
  }
}
