#include <doctest/doctest.h>

#include <sma/compose/chain.hpp>
#include <sma/eigen.hpp>
#include <sma/modules/activation.hpp>
#include <sma/modules/linear.hpp>
#include <sma/modules/pool.hpp>
#include <support/laws.hpp>

using sma::Index;
using Double = sma::Eigen<double>;

TEST_CASE("the mean over a sequence obeys the laws") { laws::check_module<sma::MeanPool<4>, Double>(1); }

TEST_CASE("the mean over a sequence is its mean, and zero for an empty one") {
  sma::Network<sma::MeanPool<2>, Double> net(sma::Seed{1}, {.threads = 1, .lanes = 2});
  sma::Batch<double, 2> x;
  x.append(std::vector<double>{1, 2, 3, 4, 8, 9});
  x.append(std::vector<double>{});
  x.append(std::vector<double>{-1, 7});
  const auto y = net.infer(x);
  REQUIRE(y.count == 3);
  CHECK(laws::values_of(y) == std::vector<double>{4, 5, 0, 0, -1, 7});
}

TEST_CASE("features of pairs of pooled documents obey the laws") {
  using Pairs = sma::Chain<sma::Linear<3, 2>, sma::MeanPool<2>, sma::PairFeatures<2>, sma::Linear<8, 3>>;
  static_assert(sma::Network<Pairs, Double>::sequence_group == 2);
  laws::check_module<Pairs, Double>(2);
}

TEST_CASE("features of a pair are second, first, product and difference") {
  sma::Network<sma::Chain<sma::MeanPool<1>, sma::PairFeatures<1>>, Double> net(sma::Seed{1});
  sma::Batch<double, 1> x;
  x.append(std::vector<double>{2, 4});
  x.append(std::vector<double>{5});
  x.append(std::vector<double>{});
  x.append(std::vector<double>{7});
  const auto y = net.infer(x);
  REQUIRE(y.count == 2);
  CHECK(laws::values_of(y) == std::vector<double>{5, 3, 15, -2, 7, 0, 0, -7});
}

TEST_CASE("a pair's documents stay in one lane and an odd number of them is refused") {
  using Net = sma::Network<sma::Chain<sma::MeanPool<1>, sma::PairFeatures<1>>, Double>;
  for (const auto& lengths : laws::shapes_of<Net::description>())
    laws::check_threads<Net::description, Double>(lengths, 1);
  Net net(sma::Seed{1});
  const sma::Batch<double, 1> odd{1, 2, 3};
  CHECK_THROWS_WITH_AS(net.infer(odd), "sma::Network: found 3 sequences, expected a multiple of 2",
                       sma::Error);
}

TEST_CASE("features of a pair of sequences that nobody pooled are refused") {
  sma::Network<sma::PairFeatures<1>, Double> net(sma::Seed{1});
  CHECK_THROWS_WITH_AS(net.infer({2, 3}),
                       "sma::PairFeatures: found 2 sequences of 5 rows, expected one row each (pool first)",
                       sma::Error);
  CHECK(net.infer({1, 1}).count == 1);
}

TEST_CASE("rows made by pooling are sequences of their own: what follows sees one row each") {
  using M = sma::Chain<sma::MeanPool<2>, sma::SiLU<2>, sma::MeanPool<2>>;
  sma::Network<M, Double> net(sma::Seed{1});
  sma::Batch<double, 2> x;
  x.append(std::vector<double>{1, 2, 3, 4});
  x.append(std::vector<double>{});
  const auto y = net.infer(x);
  REQUIRE(y.count == 2);
  CHECK(y(0, 0) == doctest::Approx(2 / (1 + std::exp(-2.0))));
  CHECK(y(1, 0) == 0.0);
}
