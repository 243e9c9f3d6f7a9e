/// The snippets of docs/training.md that the tutorial does not hold.

#include <doctest/doctest.h>

#include <cmath>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/optimizer.hpp>
#include <sma/train/schedule.hpp>
#include <span>
#include <vector>

namespace {

template <class S, sma::Index Width>
struct SquaredErrorRow {
  sma::Rows<const S, Width> y;
  sma::Rows<S, Width> dy;
  const S* targets;  // (rows)
  S scale;
  double* losses;  // (rows)
  SMA_HD sma::Index extent() const { return y.rows; }
  SMA_HD void operator()(sma::Index i) const {
    const S error = y(i, 0) - targets[i];
    losses[i] = static_cast<double>(error * error);
    dy(i, 0) = scale * 2 * error;
  }
};

/// (y - target)^2 for one number a row.
struct SquaredError {
  template <class C, class S>
  sma::LossSum operator()(C& ctx, sma::Rows<const S, 1> y, sma::Rows<S, 1> dy, std::span<const S> targets,
                          S scale) const {
    auto scope = ctx.scope();
    double* losses = ctx.template scratch<double>(y.rows);
    ctx.launch(SquaredErrorRow<S, 1>{y, dy, targets.data(), scale, losses});
    sma::LossSum sum;
    for (sma::Index i = 0; i < y.rows; ++i) sum.loss += losses[i];
    return sum;
  }
};

}  // namespace

TEST_CASE("a loss of one's own trains by hand, as training.md says") {
  using Model = sma::Chain<sma::Linear<2, 8>, sma::Tanh<8>, sma::Linear<8, 1>>;
  sma::Network<Model, sma::Eigen<float>> net{sma::Seed{1}};
  sma::Batch<float, 2> x{40, 24};
  std::vector<float> targets;
  for (sma::Index i = 0; i < x.rows(); ++i) {
    x(i, 0) = static_cast<float>(i % 8) / 8;
    x(i, 1) = static_cast<float>(i / 8) / 8;
    targets.push_back(x(i, 0) - x(i, 1));
  }

  sma::AdamW<decltype(net)> optimizer(net, {.weight_decay = 0.001});
  const sma::Schedule schedule{
      .peak = 0.02, .total = 200, .warmup = 20, .decay = sma::Schedule::Decay::cosine};
  double first = 0;
  double last = 0;
  for (int step = 1; step <= 200; ++step) {
    net.zero_gradients();
    last = net.accumulate(x, std::span<const float>(targets), SquaredError{}, 1.0 / 64).loss;
    const double norm = optimizer.gradient_norm();
    optimizer.step(schedule.at(step), sma::clip_factor(norm, 1.0));
    if (step == 1) first = last;
  }
  CHECK(last < 0.1 * first);
  CHECK(schedule.at(20) == doctest::Approx(0.02));
  CHECK(schedule.at(110) == doctest::Approx(0.01));
  CHECK(schedule.at(200) == doctest::Approx(0.0));
}
