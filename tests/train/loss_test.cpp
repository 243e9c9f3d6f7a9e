#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/loss.hpp>
#include <support/laws.hpp>

using sma::Index;

namespace {

using Net = sma::Network<sma::Chain<sma::MeanPool<4>, sma::Linear<4, 3>>, sma::Eigen<double>>;
using Targets = std::vector<std::int32_t>;

sma::LossSum accumulate(Net& net, const laws::Input<Net>& x, const Targets& targets, double scale,
                        const sma::CrossEntropy& loss = {}) {
  net.zero_gradients();
  return net.accumulate(x, std::span<const std::int32_t>(targets), loss, scale);
}

}  // namespace

TEST_CASE("a target that is no class is refused in words, in training and evaluation, and nothing has run") {
  Net net(sma::Seed{1}, {.threads = 1, .lanes = 2});
  const auto x = laws::random_input<Net>({2, 5, 1, 3}, 1);
  for (const std::int32_t wrong : {3, -1, -100, 100000000}) {
    const std::string words =
        "sma::CrossEntropy: row 2: found target " + std::to_string(wrong) + ", expected 0 to 2";
    const Targets targets{0, 2, wrong, 1};
    CHECK_THROWS_WITH_AS(accumulate(net, x, targets, 0.25), words.c_str(), sma::Error);
    for (const double g : net.gradients()) CHECK(g == 0);
    CHECK_THROWS_WITH_AS(sma::CrossEntropy::evaluate(net.infer(x), targets), words.c_str(), sma::Error);
  }
}

TEST_CASE("evaluation wants one target an output row") {
  Net net(sma::Seed{1});
  const auto x = laws::random_input<Net>({2, 5}, 1);
  for (const std::size_t count : {std::size_t{1}, std::size_t{3}}) {
    const std::string words = "sma::CrossEntropy::evaluate: found " + std::to_string(count) +
                              " targets, expected 2, one an output row";
    CHECK_THROWS_WITH_AS(sma::CrossEntropy::evaluate(net.infer(x), Targets(count)), words.c_str(),
                         sma::Error);
  }
}

TEST_CASE("rows with the ignored target count nowhere: the batch without them gives the same") {
  const sma::CrossEntropy loss{.ignored = -100};
  Net net(sma::Seed{1}, {.threads = 1, .lanes = 3});
  const auto all = laws::random_input<Net>({2, 5, 1, 3}, 1);
  laws::Input<Net> some;
  for (const Index q : {0, 2}) {
    const sma::Sequences s = all.sequences();
    some.append(all.values().subspan(static_cast<std::size_t>(s.begin(q) * 4),
                                     static_cast<std::size_t>(s.length(q) * 4)));
  }
  const auto found = accumulate(net, all, {1, -100, 2, -100}, 0.5, loss);
  const auto gradients = laws::gradients_of(net);
  const auto expected = accumulate(net, some, {1, 2}, 0.5);
  CHECK(found.loss == doctest::Approx(expected.loss).epsilon(1e-14));
  CHECK(found.correct == expected.correct);
  CHECK(found.counted == 2);
  laws::check_close(gradients, laws::gradients_of(net), 1e-14, "gradients");
  const auto evaluated = sma::CrossEntropy::evaluate(net.infer(all), Targets{1, -100, 2, -100}, loss);
  CHECK(evaluated.loss == doctest::Approx(2 * expected.loss).epsilon(1e-14));
  CHECK(evaluated.counted == 2);
  CHECK_THROWS_WITH_AS(accumulate(net, all, {0, 0, -1, 0}, 0.5, loss),
                       "sma::CrossEntropy: row 2: found target -1, expected 0 to 2 or the ignored -100",
                       sma::Error);
  const auto none = accumulate(net, all, {-100, -100, -100, -100}, 0.5, loss);
  CHECK(none.loss == 0);
  CHECK(none.counted == 0);
  for (const double g : net.gradients()) CHECK(g == 0);
}

TEST_CASE("logits that are not numbers are no right answer, and their loss says so") {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  for (const auto& row :
       {std::array{kNan, 0.0, 1.0}, std::array{1.0, kNan, 0.0}, std::array{kNan, kNan, kNan}}) {
    const sma::Output<double, 3> y{sma::Rows<const double, 3>{row.data(), 1}};
    for (const std::int32_t target : {0, 1, 2}) {
      const auto sum = sma::CrossEntropy::evaluate(y, Targets{target});
      CHECK(sum.correct == 0);
      CHECK(std::isnan(sum.loss));
    }
  }
}

TEST_CASE("the loss stays finite where logits are far apart") {
  const std::array<double, 3> row{1e300, -1e300, 0};
  const sma::Output<double, 3> y{sma::Rows<const double, 3>{row.data(), 1}};
  CHECK(sma::CrossEntropy::evaluate(y, Targets{0}).loss == 0);
  CHECK(sma::CrossEntropy::evaluate(y, Targets{1}).loss == 2e300);
}
