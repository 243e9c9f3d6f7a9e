#include <doctest/doctest.h>

#include <routing/router_by_hand.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>

// For each estimator: what the weights are, where gradient flows and where it is blocked.

namespace {

using sma::Index;
using Backend = sma::Eigen<double>;
constexpr Index kWidth = 4;
constexpr Index kRows = 30;

/// "same" hands its input through, so that y = w1 * x + w2 * map(x).
template <class Estimator>
using Mixture =
    sma::Router<sma::LatentConfigurator<kWidth, sma::Independent, Estimator>,
                sma::Branch<"same", sma::Identity<kWidth>>, sma::Branch<"map", sma::Linear<kWidth, kWidth>>>;

/// A training pass with fixed parameters, its trace, and the slices of its gradient.
template <class Estimator>
struct Run {
  using Net = sma::Network<Mixture<Estimator>, Backend>;
  using Input = sma::Batch<double, kWidth>;
  static constexpr std::size_t own = static_cast<std::size_t>(
      sma::parameter_count<sma::child_module<Mixture<Estimator>, 0>>);  // the configurator's parameters

  Net net{sma::Seed{11}};
  Input x = laws::random_input<Net>({kRows}, 5);
  laws::Pass<Net> pass;
  std::vector<double> trace = std::vector<double>(2 * kRows);

  explicit Run(const std::vector<double>& dy = laws::random_values<double>(kRows * kWidth, 6),
               std::uint64_t step = 1, double progress = 0.0) {
    laws::randomize(net, 9);
    net.settings().step = step;
    net.settings().progress = progress;
    pass = laws::train(net, x, dy);
    net.train(x, trace);
  }
  [[nodiscard]] std::vector<double> configurator_gradient() const {
    return {pass.gradients.begin(), pass.gradients.begin() + static_cast<std::ptrdiff_t>(own)};
  }
  [[nodiscard]] std::vector<double> branch_gradient() const {
    return {pass.gradients.begin() + static_cast<std::ptrdiff_t>(own), pass.gradients.end()};
  }
  [[nodiscard]] bool active(Index t, Index i) const {
    return trace[static_cast<std::size_t>(2 * t + i)] != 0;
  }
};

/// d loss / d output that is not zero only where `keep(t)`.
template <class Keep>
std::vector<double> gradient_where(const Keep& keep) {
  auto dy = laws::random_values<double>(kRows * kWidth, 6);
  for (Index t = 0; t < kRows; ++t)
    if (!keep(t)) std::fill_n(dy.begin() + t * kWidth, kWidth, 0.0);
  return dy;
}

bool all_zero(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return v == 0.0; });
}

/// No gradient at all comes from steps that every branch skipped.
template <class Estimator>
void check_skipped_steps_contribute_nothing() {
  const Run<Estimator> whole;
  const auto skipped = [&](Index t) { return !whole.active(t, 0) && !whole.active(t, 1); };
  Index count = 0;
  for (Index t = 0; t < kRows; ++t) count += skipped(t) ? 1 : 0;
  CHECK(count > 0);
  CHECK(count < kRows);
  const Run<Estimator> at_skipped(gradient_where(skipped));
  CHECK(all_zero(at_skipped.pass.gradients));
  CHECK(all_zero(at_skipped.pass.dx));
  const Run<Estimator> at_active(gradient_where([&](Index t) { return !skipped(t); }));
  laws::check_same_bits(at_active.pass.gradients, whole.pass.gradients, "gradient of the active steps");
}

}  // namespace

TEST_CASE_TEMPLATE("the router with each estimator is the run by hand", Estimator, sma::Confidence,
                   sma::StraightThrough, sma::Blocked, sma::SigmoidConfidence, sma::GumbelSoft,
                   sma::GumbelHard, by_hand::SquaredConfidence) {
  by_hand::check_router<Mixture<Estimator>, Backend>(by_hand::kind_of<sma::Independent, Estimator>(), 4);
  check_skipped_steps_contribute_nothing<Estimator>();
}

TEST_CASE("through Confidence the gradient of the active steps' probabilities reaches the configurator") {
  // One row has a gradient: du_run = p (1 - p) / tau * (dy . f(x)), du_skip = -du_run, for each active branch.
  const Run<sma::Confidence> whole;
  Index row = 0;
  while (!(whole.active(row, 0) && !whole.active(row, 1))) ++row;
  const auto dy = gradient_where([&](Index t) { return t == row; });
  Run<sma::Confidence> run(dy);
  const auto w = laws::parameters_of(run.net);
  const double tau = std::exp(w[Run<sma::Confidence>::own - 1]);
  const double p = run.trace[static_cast<std::size_t>(2 * row)];
  double dot = 0;
  for (Index j = 0; j < kWidth; ++j) dot += dy[static_cast<std::size_t>(row * kWidth + j)] * run.x(row, j);
  const double du = p * (1 - p) / tau * dot;
  const auto g = run.configurator_gradient();
  for (std::size_t k = 0; k < 4; ++k) {
    const double expected = k == 0 ? -du : (k == 1 ? du : 0.0);  // pairs (skip, run) of "same", then of "map"
    CHECK(g[4 * kWidth + k] == doctest::Approx(expected).epsilon(1e-12));
    for (std::size_t j = 0; j < kWidth; ++j)
      CHECK(g[k * kWidth + j] ==
            doctest::Approx(expected * run.x(row, static_cast<Index>(j))).epsilon(1e-12));
  }
  // p depends on v = (u_run - u_skip) / tau with dv / dtheta = -v, and v is the logit of p.
  CHECK(g.back() == doctest::Approx(-p * (1 - p) * std::log(p / (1 - p)) * dot).epsilon(1e-12));
}

TEST_CASE("through StraightThrough weights are exactly 1 and the gradient is Confidence's") {
  const Run<sma::StraightThrough> straight;
  const Run<sma::Confidence> confidence;
  for (Index t = 0; t < kRows; ++t) {
    for (Index i = 0; i < 2; ++i) {
      CHECK(straight.active(t, i) == confidence.active(t, i));
      if (straight.active(t, i)) CHECK(straight.trace[static_cast<std::size_t>(2 * t + i)] == 1.0);
    }
    if (straight.active(t, 0) && !straight.active(t, 1))
      for (Index j = 0; j < kWidth; ++j)
        CHECK(straight.pass.y[static_cast<std::size_t>(t * kWidth + j)] == straight.x(t, j));
  }
  laws::check_same_bits(straight.configurator_gradient(), confidence.configurator_gradient(),
                        "the configurator's gradient");
  CHECK_FALSE(all_zero(straight.configurator_gradient()));
  CHECK(straight.branch_gradient() != confidence.branch_gradient());  // its outputs weigh 1
}

TEST_CASE("through Blocked nothing reaches the configurator and the rest is Confidence's") {
  const Run<sma::Blocked> blocked;
  const Run<sma::Confidence> confidence;
  CHECK(all_zero(blocked.configurator_gradient()));
  laws::check_same_bits(blocked.pass.y, confidence.pass.y, "output");
  laws::check_same_bits(blocked.branch_gradient(), confidence.branch_gradient(), "the branches' gradient");
  // The input's gradient lacks the path through the configurator only.
  CHECK(blocked.pass.dx != confidence.pass.dx);
  CHECK_FALSE(all_zero(blocked.pass.dx));
}

TEST_CASE("SigmoidConfidence weighs by sigmoid(u), active above 1/2") {
  Run<sma::SigmoidConfidence> run;
  const auto w = laws::parameters_of(run.net);
  for (Index t = 0; t < kRows; ++t)
    for (Index i = 0; i < 2; ++i) {
      double u = w[static_cast<std::size_t>(2 * kWidth + i)];
      for (Index j = 0; j < kWidth; ++j) u += w[static_cast<std::size_t>(i * kWidth + j)] * run.x(t, j);
      CHECK(run.active(t, i) == (u > 0));
      CHECK(run.trace[static_cast<std::size_t>(2 * t + i)] ==
            doctest::Approx(u > 0 ? 1 / (1 + std::exp(-u)) : 0.0).epsilon(1e-12));
    }
  CHECK_FALSE(all_zero(run.configurator_gradient()));
}

TEST_CASE("hard Gumbel weights are exactly 1 or 0 and its gradient is the soft one's") {
  const Run<sma::GumbelHard> hard;
  const Run<sma::GumbelSoft> soft;
  for (std::size_t e = 0; e < hard.trace.size(); ++e) {
    CHECK((hard.trace[e] == 1.0 || hard.trace[e] == 0.0));
    CHECK((soft.trace[e] != 0) == (hard.trace[e] != 0));
    if (soft.trace[e] != 0) CHECK((soft.trace[e] > 0.5 && soft.trace[e] < 1.0));
  }
  laws::check_same_bits(hard.configurator_gradient(), soft.configurator_gradient(), "gradient");
  CHECK_FALSE(all_zero(hard.configurator_gradient()));
}

TEST_CASE("Gumbel noise is drawn anew each step of training and never in inference") {
  Run<sma::GumbelSoft> first(laws::random_values<double>(kRows * kWidth, 6), 1);
  const Run<sma::GumbelSoft> again(laws::random_values<double>(kRows * kWidth, 6), 1);
  const Run<sma::GumbelSoft> second(laws::random_values<double>(kRows * kWidth, 6), 2);
  laws::check_same_bits(again.trace, first.trace, "the same step");
  CHECK(second.trace != first.trace);

  auto& net = first.net;
  std::vector<double> quiet(first.trace.size()), later(first.trace.size());
  net.infer(first.x, quiet);
  net.settings().step = 2;
  net.infer(first.x, later);
  laws::check_same_bits(quiet, later, "inference");
  CHECK(quiet != first.trace);
  // Without noise the temperature (2 at the start) changes the weights but no decision.
  net.settings().progress = 0.5;
  net.infer(first.x, later);
  for (std::size_t e = 0; e < quiet.size(); ++e) {
    CHECK((later[e] != 0) == (quiet[e] != 0));
    if (quiet[e] == 0) continue;
    const double logit = std::log(quiet[e] / (1 - quiet[e])) * 2.0;
    CHECK(later[e] == doctest::Approx(1 / (1 + std::exp(-logit / 0.5))).epsilon(1e-9));
  }
}

TEST_CASE_TEMPLATE("a backward that is the forward's derivative is its finite difference", Estimator,
                   sma::SigmoidConfidence, sma::GumbelSoft, by_hand::SquaredConfidence) {
  static_assert(by_hand::is_exact<Estimator>);
  const auto setup = [](auto& net) { net.settings().progress = 0.4; };
  laws::check_gradients<Mixture<Estimator>, Backend>({9, 0, 1}, 3, setup);
}
