#include <doctest/doctest.h>

#include <sma/compose/chain.hpp>
#include <sma/eigen.hpp>
#include <sma/modules/dropout.hpp>
#include <support/laws.hpp>

using sma::Index;

namespace {

constexpr Index kWidth = 6;
using Dropout = sma::Dropout<kWidth, std::ratio<3, 10>>;
using Net = sma::Network<Dropout, sma::Eigen<double>>;

/// Which elements of a batch of ones survive, given seed and step.
std::vector<double> mask_of(Net& net, const laws::Lengths& lengths, std::uint64_t step) {
  auto x = laws::random_input<Net>(lengths, 1);
  for (double& value : x.values()) value = 1;
  net.settings().step = step;
  return laws::values_of(net.train(x));
}

}  // namespace

TEST_CASE("dropout keeps 1 - rate of the elements, scaled by 1 / (1 - rate)") {
  Net net(sma::Seed{1});
  const auto mask = mask_of(net, {5000}, 0);
  double kept = 0;
  for (const double value : mask) {
    CHECK((value == 0.0 || value == 1 / (1 - 0.3)));
    kept += value != 0 ? 1 : 0;
  }
  const double n = 5000 * kWidth;
  CHECK(std::abs(kept / n - 0.7) < 4 * std::sqrt(0.7 * 0.3 / n));  // four standard deviations
}

TEST_CASE("dropout drops the same elements forward and backward") {
  Net net(sma::Seed{1});
  const auto mask = mask_of(net, {50, 0, 3}, 2);
  const auto dy = laws::random_values<double>(53 * kWidth, 1);
  const auto x = laws::random_input<Net>({50, 0, 3}, 1);
  const auto pass = laws::train(net, x, dy);
  for (std::size_t e = 0; e < mask.size(); ++e) {
    CHECK(pass.y[e] == x.values()[e] * mask[e]);
    CHECK(pass.dx[e] == dy[e] * mask[e]);
  }
}

TEST_CASE("the mask depends on seed, step, module and row, and on nothing else") {
  Net net(sma::Seed{1});
  const auto mask = mask_of(net, {40}, 1);
  laws::check_same_bits(mask_of(net, {40}, 1), mask, "the same again");
  CHECK(mask_of(net, {40}, 2) != mask);
  Net other(sma::Seed{2});
  CHECK(mask_of(other, {40}, 1) != mask);
  // Cut into sequences, lanes and threads otherwise.
  laws::check_same_bits(mask_of(net, {13, 0, 27}, 1), mask, "other sequences");
  Net wide(sma::Seed{1}, {.threads = 2, .lanes = 4});
  laws::check_same_bits(mask_of(wide, {10, 10, 10, 10}, 1), mask, "other lanes");
  // Two modules of one network draw different masks.
  sma::Network<sma::Chain<Dropout, Dropout>, sma::Eigen<double>> twice(sma::Seed{1});
  sma::Batch<double, kWidth> ones{2000};
  for (double& value : ones.values()) value = 1;
  const auto y = twice.train(ones);
  double kept = 0;
  for (const double value : laws::values_of(y)) kept += value != 0 ? 1 : 0;
  const double n = 2000 * kWidth;
  CHECK(std::abs(kept / n - 0.49) < 4 * std::sqrt(0.49 * 0.51 / n));
}

TEST_CASE("channels and rows are dropped independently of each other") {
  Net net(sma::Seed{3});
  const Index rows = 4000;
  const auto mask = mask_of(net, {rows}, 0);
  const auto kept = [&](Index t, Index j) { return mask[static_cast<std::size_t>(t * kWidth + j)] != 0; };
  for (Index j = 0; j + 1 < kWidth; ++j) {
    double both = 0;
    double next = 0;
    for (Index t = 0; t + 1 < rows; ++t) {
      both += kept(t, j) && kept(t, j + 1) ? 1 : 0;
      next += kept(t, j) && kept(t + 1, j) ? 1 : 0;
    }
    const double allowed = 4.5 * std::sqrt(0.49 * 0.51 / static_cast<double>(rows));
    CHECK(std::abs(both / static_cast<double>(rows) - 0.49) < allowed);
    CHECK(std::abs(next / static_cast<double>(rows) - 0.49) < allowed);
  }
}

TEST_CASE("in inference, and at rate 0, dropout is the identity") {
  Net net(sma::Seed{1});
  const auto x = laws::random_input<Net>({5, 2}, 1);
  const std::vector<double> values(x.values().begin(), x.values().end());
  laws::check_same_bits(laws::values_of(net.infer(x)), values, "inference");
  sma::Network<sma::Dropout<kWidth, std::ratio<0>>, sma::Eigen<double>> none(sma::Seed{1});
  laws::check_same_bits(laws::values_of(none.train(x)), values, "rate 0");
}

TEST_CASE("dropout obeys the laws") { laws::check_streaming_module<Dropout, sma::Eigen<double>>(1); }
