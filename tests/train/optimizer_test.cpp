#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/loss.hpp>
#include <sma/train/optimizer.hpp>
#include <sma/train/schedule.hpp>
#include <vector>

namespace {

using Net = sma::Network<sma::Linear<3, 2>, sma::Eigen<double>>;

/// Adam with decoupled weight decay in PyTorch's order of operations, one number at a time: AdamW adds epsilon to the
/// corrected root, RAdam to the root.
struct Oracle {
  double m = 0, v = 0;
  int t = 0;
  double step(double w, double g, double lr, const sma::AdamOptions& o, bool rectified) {
    ++t;
    m = o.beta1 * m + (1 - o.beta1) * g;
    v = o.beta2 * v + (1 - o.beta2) * g * g;
    w *= 1 - lr * o.weight_decay;
    const double m_hat = m / (1 - std::pow(o.beta1, t));
    const double correction = 1 - std::pow(o.beta2, t);
    if (!rectified) return w - lr * m_hat / (std::sqrt(v) / std::sqrt(correction) + o.epsilon);
    const double limit = 2 / (1 - o.beta2) - 1;
    const double rho = limit - 2 * t * std::pow(o.beta2, t) / correction;
    if (rho <= 5) return w - lr * m_hat;
    const double r = std::sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho));
    return w - m_hat * lr * (std::sqrt(correction) / (std::sqrt(v) + o.epsilon)) * r;
  }
};

template <bool Rectified>
void check_against_oracle(int steps, double epsilon) {
  Net net(sma::Seed{1});
  const sma::AdamOptions options{.epsilon = epsilon, .weight_decay = 0.05};
  sma::Adam<Net, Rectified> optimizer(net, options);
  std::vector<Oracle> oracles(net.parameters().size());
  std::vector<double> w(net.parameters().begin(), net.parameters().end());
  sma::RandomSequence random(1, 2);
  for (int t = 0; t < steps; ++t) {
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

/// Three parameters after step t.
struct After {
  int t;
  double w[3];
};

/// Steps on the gradients sin(i + 0.7 t), clipped to norm 1.2, and compares.
template <bool Rectified>
void check_against_table(const std::vector<After>& table) {
  using Three = sma::Network<sma::Linear<2, 1>, sma::Eigen<double>>;
  Three net(sma::Seed{1});
  sma::Adam<Three, Rectified> optimizer(net, {.epsilon = 1e-2, .weight_decay = 0.05});
  const double start[] = {-0.3, 0.1, 0.5};
  std::copy_n(start, 3, net.parameters().begin());
  int t = 0;
  for (const After& after : table) {
    while (t < after.t) {
      ++t;
      for (int i = 0; i < 3; ++i) net.gradients()[static_cast<std::size_t>(i)] = std::sin(i + 0.7 * t);
      optimizer.step(0.01, sma::clip_factor(optimizer.gradient_norm(), 1.2));
    }
    CAPTURE(t);
    for (std::size_t i = 0; i < 3; ++i)
      CHECK(net.parameters()[i] == doctest::Approx(after.w[i]).epsilon(1e-13));
  }
}

}  // namespace

TEST_CASE("AdamW follows its formula, at any epsilon") {
  check_against_oracle<false>(30, 1e-8);
  check_against_oracle<false>(300, 1e-2);
}

TEST_CASE("RAdam follows its formula, before and after the variance is tractable, at any epsilon") {
  check_against_oracle<true>(30, 1e-8);
  check_against_oracle<true>(300, 1e-2);
}

// torch.optim.AdamW and torch.optim.RAdam(decoupled_weight_decay=True) of PyTorch 2.15 in float64, with lr=0.01,
// betas=(0.9, 0.98), eps=1e-2, weight_decay=0.05, after torch.nn.utils.clip_grad_norm_(parameters, 1.2).
TEST_CASE("AdamW gives PyTorch's numbers") {
  check_against_table<false>({{5, {-0.3440614064836277, 0.07075934853025832, 0.5062186054873188}},
                              {6, {-0.34613848025669247, 0.07400643464167514, 0.5127158926416706}},
                              {50, {-0.347551991245598, 0.0712366868701635, 0.5096231801275953}}});
}

TEST_CASE("RAdam gives PyTorch's numbers") {
  check_against_table<true>({{5, {-0.33273321388193716, 0.076070027242856, 0.5066447558487293}},
                             {6, {-0.3328197306460252, 0.07640157207076984, 0.5071478599083173}},
                             {50, {-0.32975978937237876, 0.07314202685353603, 0.4986678224633462}}});
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
  CHECK(sma::clip_factor(HUGE_VAL, 1.0) == 0.0);
  CHECK(std::isnan(sma::clip_factor(std::nan(""), 1.0)));  // no update hides it
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
