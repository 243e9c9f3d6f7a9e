#include <doctest/doctest.h>

#include <routing/router_by_hand.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>

// The auxiliary losses against their formulas, their gradients against finite differences of loss + weighted losses.

namespace {

using sma::Index;
using Backend = sma::Eigen<double>;

template <class Rule, class Estimator>
using Mixture =
    sma::Router<sma::LatentConfigurator<4, Rule, Estimator>, sma::Branch<"map", sma::Linear<4, 4>>,
                sma::SkipBranch, sma::Branch<"same", sma::Identity<4>>>;

/// Load balance, z-loss and budget by their definitions, means over sequences; an empty sequence counts with 0.
std::vector<double> losses_of(const by_hand::Configurator& c, const sma::Sequences& s, double target) {
  double balance = 0;
  double z = 0;
  double budget = 0;
  for (Index q = 0; q < s.count; ++q) {
    const auto length = static_cast<double>(s.length(q));
    if (length == 0) continue;
    for (std::size_t i = 0; i < 3; ++i) {
      double rate = 0;
      double mean = 0;
      for (Index t = s.begin(q); t < s.end(q); ++t) {
        rate += c.active[static_cast<std::size_t>(t)][i] ? 1 / length : 0;
        mean += c.steps[static_cast<std::size_t>(t)].p[i] / length;
      }
      balance += 3 * rate * mean;
      budget += (mean - target) * (mean - target);
    }
    for (Index t = s.begin(q); t < s.end(q); ++t) {
      const auto& u = c.steps[static_cast<std::size_t>(t)].u;
      const auto squared = [&](double sum) { return std::log(sum) * std::log(sum) / length; };
      if (c.kind.shape.competes)
        z += squared(std::exp(u[0]) + std::exp(u[1]) + std::exp(u[2]));
      else
        for (std::size_t i = 0; i < 3; ++i)
          z +=
              squared(c.kind.shape.paired ? std::exp(u[2 * i]) + std::exp(u[2 * i + 1]) : 1 + std::exp(u[i]));
    }
  }
  const auto count = static_cast<double>(s.count);
  return {balance / count, z / count, budget / count};
}

template <class Rule, class Estimator>
void check_losses(std::uint64_t seed) {
  using R = Mixture<Rule, Estimator>;
  using Net = sma::Network<R, Backend>;
  Net net(sma::Seed{seed}, {.threads = 1, .lanes = 3});
  laws::randomize(net, seed);
  net.settings().auxiliary.budget_target = 0.3;
  const auto x = laws::random_input<Net>({30, 0, 1, 12}, seed);
  net.infer(x);
  std::vector<double> found;
  for (const sma::TensorEntry& entry : sma::metric_entries<R>())
    for (const char* name : {"configurator.load_balance", "configurator.z_loss", "configurator.budget"})
      if (entry.name == name) found.push_back(net.metric_values()[static_cast<std::size_t>(entry.offset)]);
  const auto [first, size] = by_hand::range_of<R>("configurator.");
  const auto w = laws::parameters_of(net);
  by_hand::Configurator hand{
      by_hand::kind_of<Rule, Estimator>(),
      4,
      3,
      0.0,
      {w.begin() + static_cast<std::ptrdiff_t>(first), w.begin() + static_cast<std::ptrdiff_t>(first + size)},
      net.settings(),
      1};
  hand.forward(x.sequences(), {x.values().begin(), x.values().end()});
  laws::check_close(found, losses_of(hand, x.sequences(), 0.3), 1e-12, "load balance, z-loss, budget");
}

/// Each loss alone and all together, added to sum(y * g).
template <class Rule, class Estimator>
void check_loss_gradients(std::uint64_t seed) {
  using R = Mixture<Rule, Estimator>;
  const sma::AuxiliaryWeights kWeights[] = {
      {.load_balance = 0.7}, {.z_loss = 0.2}, {.budget = 1.5}, {0.3, 0.1, 0.4, 0.25}};
  for (const auto& weights : kWeights)
    laws::check_gradients<R, Backend>({11, 0, 1, 5}, seed,
                                      [&](auto& net) { net.settings().auxiliary = weights; });
}

/// All logits are `logit`: the z-loss of a step, and its slope.
template <class Rule, class Estimator>
void check_far_logits(double logit, double z_loss) {
  using R = Mixture<Rule, Estimator>;
  using Net = sma::Network<R, Backend>;
  Net net(sma::Seed{1});
  std::vector<double> w(static_cast<std::size_t>(Net::parameter_count));
  const auto entries = sma::parameter_entries<R>();
  for (const sma::TensorEntry& entry : entries)
    if (entry.name == "configurator.bias")
      std::fill_n(w.begin() + static_cast<std::ptrdiff_t>(entry.offset), entry.size, logit);
  net.set_parameters(w);
  net.settings().auxiliary = {.load_balance = 1, .z_loss = 1, .budget = 1, .budget_target = 0.3};
  const auto x = laws::random_input<Net>({5, 2}, 1);
  const auto pass = laws::train(net, x, std::vector<double>(7 * 4, 0.0));
  for (const sma::TensorEntry& entry : sma::metric_entries<R>())
    if (entry.name == "configurator.z_loss")
      CHECK(net.metric_values()[static_cast<std::size_t>(entry.offset)] ==
            doctest::Approx(z_loss).epsilon(1e-12));
  for (const double metric : pass.metrics) CHECK(std::isfinite(metric));
  for (const double gradient : pass.gradients) CHECK(std::isfinite(gradient));
}

}  // namespace

TEST_CASE("losses and gradients of far logits are finite, in every gate") {
  const auto squared = [](double value) { return value * value; };
  for (const double logit : {-800.0, 800.0}) {
    check_far_logits<sma::Independent, sma::Confidence>(logit, 3 * squared(logit + std::log(2.0)));
    check_far_logits<sma::Switch, sma::Confidence>(logit, squared(logit + std::log(3.0)));
    check_far_logits<sma::Independent, sma::SigmoidConfidence>(logit, logit > 0 ? 3 * squared(logit) : 0.0);
  }
}

TEST_CASE("auxiliary losses are their formulas") {
  check_losses<sma::Independent, sma::Confidence>(1);
  check_losses<sma::Switch, sma::Confidence>(2);
  check_losses<sma::Independent, sma::SigmoidConfidence>(3);
}

TEST_CASE("auxiliary losses' gradients are finite differences") {
  check_loss_gradients<sma::Independent, sma::Confidence>(4);
  check_loss_gradients<sma::Switch, sma::Confidence>(5);
  check_loss_gradients<sma::Independent, sma::SigmoidConfidence>(6);
}

TEST_CASE("auxiliary losses reach the configurator where its estimator is blocked, and it alone") {
  using R = Mixture<sma::Independent, sma::Blocked>;
  using Net = sma::Network<R, Backend>;
  Net net(sma::Seed{1});
  laws::randomize(net, 7);
  net.settings().auxiliary = {0.3, 0.1, 0.4, 0.25};
  const auto x = laws::random_input<Net>({9, 4}, 7);
  const auto pass = laws::train(net, x, std::vector<double>(13 * 4, 0.0));
  const auto [first, size] = by_hand::range_of<R>("configurator.");
  for (std::size_t i = 0; i < pass.gradients.size(); ++i) {
    CAPTURE(i);
    if (i >= first && i < first + size)
      CHECK(pass.gradients[i] != 0.0);
    else
      CHECK(pass.gradients[i] == 0.0);
  }
}

TEST_CASE("auxiliary losses are off by default and are reported all the same") {
  using R = Mixture<sma::Independent, sma::Confidence>;
  using Net = sma::Network<R, Backend>;
  Net net(sma::Seed{1});
  laws::randomize(net, 7);
  const auto x = laws::random_input<Net>({9, 4}, 7);
  const auto pass = laws::train(net, x, std::vector<double>(13 * 4, 0.0));
  CHECK(std::count(pass.gradients.begin(), pass.gradients.end(), 0.0) ==
        static_cast<std::ptrdiff_t>(pass.gradients.size()));
  CHECK(laws::auxiliary_loss(net) == 0.0);
  net.settings().auxiliary.load_balance = 1.0;
  CHECK(laws::auxiliary_loss(net) > 0.0);
}
