#include <doctest/doctest.h>

#include <routing/by_hand.hpp>
#include <sma/eigen.hpp>
#include <vector>

namespace {

using sma::Index;
using Backend = sma::Eigen<double>;
constexpr Index kWidth = 5;
constexpr Index kBranches = 3;
constexpr auto kM = static_cast<std::size_t>(kBranches);

struct Biased : sma::ConfiguratorDefaults {
  using act_bias = std::ratio<1, 4>;
};

/// The configurator alone, in a context of its own, against the one by hand: decisions, weights, statistics, and the gradients
/// of weights, bias, temperature and input for a random d loss / d weight.
template <class Rule, class Estimator>
void check_configurator(bool training, std::uint64_t seed) {
  using Configurator =
      typename sma::LatentConfigurator<kWidth, Rule, Estimator, Biased>::template For<kBranches>;
  sma::Context<Backend> ctx;
  ctx.settings.mode = training ? sma::Mode::training : sma::Mode::inference;
  ctx.settings.seed = seed;
  ctx.settings.step = 3;
  ctx.settings.progress = 0.2;
  const Index instance = 6;

  const sma::Batch<double, kWidth> batch{4, 0, 1, 17};
  const sma::Sequences s = batch.sequences();
  const auto rows = static_cast<std::size_t>(s.rows);
  const auto x = laws::random_values<double>(rows * kWidth, seed);
  const auto w =
      laws::random_values<double>(static_cast<std::size_t>(sma::parameter_count<Configurator>), seed + 1);
  const auto dweight = laws::random_values<double>(rows * kM, seed + 2);

  double metrics[1 + 2 * kM + 3] = {};
  const sma::Weights<Configurator, double> weights{w.data(), nullptr, metrics, 0, instance};
  typename Configurator::template Saved<double> saved{};
  const auto made = Configurator::forward(ctx, s, {x.data(), s.rows}, weights, saved);

  by_hand::Configurator hand{
      by_hand::kind_of<Rule, Estimator>(), kWidth, kBranches, 0.25, w, ctx.settings, instance};
  hand.forward(s, x);
  std::vector<bool> active(made.active, made.active + rows * kM);
  std::vector<bool> hand_active;
  for (const auto& row : hand.active) hand_active.insert(hand_active.end(), row.begin(), row.end());
  CHECK(active == hand_active);
  CHECK(std::count(active.begin(), active.end(), true) > 0);
  CHECK(std::count(active.begin(), active.end(), false) > 0);
  laws::check_close(std::span<const double>(made.weight, rows * kM), std::span<const double>(hand.weight),
                    1e-12, "weights");

  // The router hands down zero for skipped branches.
  std::vector<double> masked(dweight);
  for (std::size_t e = 0; e < masked.size(); ++e) masked[e] *= active[e] ? 1 : 0;
  std::vector<double> dw(w.size()), dx(x.size()), found_dw(w.size()), found_dx(x.size());
  hand.backward(x, dweight, dw, dx);
  Configurator::backward(ctx, s, {x.data(), s.rows}, masked.data(),
                         sma::Target<double, kWidth>({found_dx.data(), s.rows}), weights,
                         sma::Gradients<Configurator, double>{found_dw.data()}, saved);
  laws::check_close(found_dw, dw, 1e-12, "parameter gradients");
  laws::check_close(found_dx, dx, 1e-12, "input gradient");

  std::vector<double> reported(metrics, metrics + 1 + 2 * kM), expected{static_cast<double>(rows)};
  for (std::size_t i = 0; i < kM; ++i) expected.push_back(hand.statistics(i).first);
  for (std::size_t i = 0; i < kM; ++i) expected.push_back(hand.statistics(i).second);
  laws::check_close(reported, expected, 1e-12, "statistics");
}

template <class Rule>
void check_estimators() {
  for (const bool training : {false, true}) {
    CAPTURE(training);
    check_configurator<Rule, sma::Confidence>(training, 1);
    check_configurator<Rule, sma::StraightThrough>(training, 2);
    check_configurator<Rule, sma::Blocked>(training, 3);
    check_configurator<Rule, sma::SigmoidConfidence>(training, 4);
    check_configurator<Rule, sma::GumbelSoft>(training, 5);
    check_configurator<Rule, sma::GumbelHard>(training, 6);
    check_configurator<Rule, by_hand::SquaredConfidence>(training, 7);
  }
}

}  // namespace

TEST_CASE("the independent rule with every estimator is the configurator by hand") {
  check_estimators<sma::Independent>();
}
TEST_CASE("a threshold with every estimator is the configurator by hand") {
  check_estimators<sma::Threshold<std::ratio<3, 10>>>();
}
TEST_CASE("the switch with every estimator is the configurator by hand") { check_estimators<sma::Switch>(); }
TEST_CASE("the best two with every estimator are the configurator by hand") {
  check_estimators<sma::TopK<2>>();
}
TEST_CASE("a user's rule with every estimator is the configurator by hand") {
  check_estimators<by_hand::FirstLikely>();
}
TEST_CASE("a user's rule over whole sequences with every estimator is the configurator by hand") {
  check_estimators<by_hand::HalfOfTheSteps>();
}

TEST_CASE("the temperature starts at s * sqrt(width)") {
  using Configurator = sma::LatentConfigurator<9, sma::Independent, sma::Confidence,
                                               sma::TemperatureScale<std::ratio<3, 10>>>::For<1>;
  double w[sma::parameter_count<Configurator>];
  sma::initialize<Configurator>(w, static_cast<double*>(nullptr), 1);
  CHECK(w[sma::parameter_count<Configurator> - 1] == doctest::Approx(std::log(0.3 * 3.0)).epsilon(1e-15));
}

TEST_CASE("a tie skips") {
  std::uint8_t active[2] = {7, 7};
  const double p[2] = {0.5, std::nextafter(0.5, 1.0)};
  sma::Independent::select<double, 2>(p, active);
  CHECK(active[0] == 0);
  CHECK(active[1] == 1);
}

TEST_CASE("a probability that is the threshold skips") {
  std::uint8_t active[3] = {7, 7, 7};
  const double p[3] = {0.75, std::nextafter(0.75, 1.0), std::nextafter(0.75, 0.0)};
  sma::Threshold<std::ratio<3, 4>>::select<double, 3>(p, active);
  CHECK(active[0] == 0);
  CHECK(active[1] == 1);
  CHECK(active[2] == 0);
}

TEST_CASE("of equals the best K take the first") {
  std::uint8_t active[4];
  const double p[4] = {0.2, 0.3, 0.3, 0.2};
  sma::TopK<1>::select<double, 4>(p, active);
  CHECK((active[0] == 0 && active[1] == 1 && active[2] == 0 && active[3] == 0));
  sma::TopK<3>::select<double, 4>(p, active);
  CHECK((active[0] == 1 && active[1] == 1 && active[2] == 1 && active[3] == 0));
}

TEST_CASE("the Gumbel temperature falls from 2 to 1/2 over the first half of training and stays") {
  CHECK(sma::GumbelSoft::temperature(0.0) == 2.0);
  CHECK(sma::GumbelSoft::temperature(0.25) == doctest::Approx(1.0));
  CHECK(sma::GumbelSoft::temperature(0.5) == 0.5);
  CHECK(sma::GumbelHard::temperature(1.0) == 0.5);
  for (int i = 0; i < 50; ++i)
    CHECK(sma::GumbelSoft::temperature(i / 100.0) > sma::GumbelSoft::temperature((i + 1) / 100.0));
}

TEST_CASE("a rule says in its type whether it is causal") {
  static_assert(sma::Independent::causal && sma::Switch::causal && sma::TopK<2>::causal);
  static_assert(sma::Threshold<std::ratio<1, 3>>::causal);
  using First = sma::LatentConfigurator<4, by_hand::FirstLikely, sma::Confidence>;
  using Half = sma::LatentConfigurator<4, by_hand::HalfOfTheSteps, sma::Confidence>;
  CHECK(sma::is_causal<First::For<2>>());
  CHECK_FALSE(sma::is_causal<Half::For<2>>());
}
