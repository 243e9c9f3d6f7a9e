#include <doctest/doctest.h>

#include <routing/router_by_hand.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <support/neighbour.hpp>

// Law 2 for every rule: the sparse run is the run by hand, and where a branch is row-wise, the dense masked run.

namespace {

using Backend = sma::Eigen<double>;

/// Three unlike branches: two layers, a look at the neighbour, a normalised map.
template <class Rule>
struct Mixture
    : sma::Router<sma::LatentConfigurator<6, Rule, sma::Confidence>,
                  sma::Branch<"mlp", sma::FeedForward<6, 5>>, sma::Branch<"neighbour", user::Neighbour<6>>,
                  sma::Branch<"map", sma::Chain<sma::RmsNorm<6>, sma::Linear<6, 6>>>> {};

struct Reluctant : sma::ConfiguratorDefaults {
  using act_bias = std::ratio<1, 2>;
};

template <class Rule>
void check_rule(std::uint64_t seed) {
  const auto kind = by_hand::kind_of<Rule, sma::Confidence>();
  for (const auto decision : {laws::Decision::mixed, laws::Decision::none, laws::Decision::all})
    by_hand::check_router<Mixture<Rule>, Backend>(kind, seed, laws::Force{decision});
}

}  // namespace

TEST_CASE("any subset of the branches by the independent rule is the run by hand") {
  check_rule<sma::Independent>(1);
}
TEST_CASE("a threshold's router is the run by hand") { check_rule<sma::Threshold<std::ratio<2, 3>>>(2); }
TEST_CASE("the switch's router is the run by hand") { check_rule<sma::Switch>(3); }
TEST_CASE("the best two branches' router is the run by hand") { check_rule<sma::TopK<2>>(4); }
TEST_CASE("a user's rule's router is the run by hand") { check_rule<by_hand::FirstLikely>(5); }
TEST_CASE("the router of a user's rule over whole sequences is the run by hand") {
  check_rule<by_hand::HalfOfTheSteps>(6);
}

TEST_CASE("skip branches among others give exact zero and no parameters") {
  using R = sma::Router<sma::LatentConfigurator<6, sma::Switch, sma::Confidence>, sma::SkipBranch,
                        sma::Branch<"neighbour", user::Neighbour<6>>, sma::Branch<"rest", sma::Skip>>;
  static_assert(sma::parameter_count<R> == 3 * 6 + 3 + 1 + 2 * 6);
  by_hand::check_router<R, Backend>(by_hand::kind_of<sma::Switch, sma::Confidence>(), 7);

  sma::Network<R, Backend> net(sma::Seed{1});
  laws::randomize(net, 3);
  const auto x = laws::random_input<sma::Network<R, Backend>>({40}, 1);
  std::vector<double> trace(40 * 3);
  const auto y = net.infer(x, trace);
  int skipped = 0;
  for (sma::Index t = 0; t < 40; ++t) {
    if (trace[static_cast<std::size_t>(3 * t + 1)] != 0) continue;
    ++skipped;
    for (sma::Index j = 0; j < 6; ++j) CHECK(y(t, j) == 0.0);
  }
  CHECK(skipped > 0);
  CHECK(skipped < 40);
}

TEST_CASE("a router with one branch is the run by hand, act_bias included") {
  using R = sma::Router<sma::LatentConfigurator<6, sma::Independent, sma::Confidence, Reluctant>,
                        sma::Branch<"neighbour", user::Neighbour<6>>>;
  by_hand::check_router<R, Backend>(by_hand::kind_of<sma::Independent, sma::Confidence>(), 8, {}, 0.5);
}
