#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ratio>
#include <set>
#include <sma/base/random.hpp>
#include <sma/eigen.hpp>
#include <sma/module/parameters.hpp>
#include <vector>

namespace {

std::array<std::uint32_t, 4> words(std::uint64_t key, std::uint64_t low, std::uint64_t high) {
  const auto block = sma::Philox::generate(key, low, high);
  return {block.word[0], block.word[1], block.word[2], block.word[3]};
}
using Words = std::array<std::uint32_t, 4>;

/// The first `moments` moments of n draws against the given ones, within `deviations` standard errors.
template <class Draw>
std::vector<double> draws_of(int n, const Draw& draw) {
  std::vector<double> values;
  for (int i = 0; i < n; ++i) values.push_back(draw(i));
  return values;
}
double moment(const std::vector<double>& values, int power) {
  double sum = 0;
  for (const double v : values) sum += std::pow(v, power);
  return sum / static_cast<double>(values.size());
}

template <class Init>
std::vector<double> initial(int n) {
  sma::RandomSequence random(5, 9);
  return draws_of(n, [&](int i) { return Init::value(random, i); });
}

constexpr int kDraws = 40000;
const double kError = 1 / std::sqrt(static_cast<double>(kDraws));  // of a mean of unit variance

}  // namespace

TEST_CASE("Philox 4x32-10 gives Random123's known answers") {
  CHECK(words(0, 0, 0) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr std::uint64_t ones = ~std::uint64_t{0};
  CHECK(words(ones, ones, ones) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  // Counter and key are the digits of pi: 243f6a88 85a308d3 13198a2e 03707344, a4093822 299f31d0.
  CHECK(words(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("uniform numbers lie inside (0, 1), never on its ends") {
  CHECK(sma::to_unit(0) > 0.0);
  CHECK(sma::to_unit(~std::uint32_t{0}) < 1.0);
  sma::RandomSequence random(1, 1);
  const auto values = draws_of(kDraws, [&](int) { return random.uniform(); });
  CHECK(std::abs(moment(values, 1) - 0.5) < 4 * kError * std::sqrt(1.0 / 12));
  CHECK(std::abs(moment(values, 2) - 1.0 / 3) < 4 * kError * std::sqrt(4.0 / 45));
}

TEST_CASE("normal numbers have mean 0, variance 1, no skew and kurtosis 3") {
  sma::RandomSequence random(1, 2);
  const auto values = draws_of(kDraws, [&](int) { return random.normal(); });
  CHECK(std::abs(moment(values, 1)) < 4 * kError);
  CHECK(std::abs(moment(values, 2) - 1) < 4 * kError * std::sqrt(2.0));
  CHECK(std::abs(moment(values, 3)) < 4 * kError * std::sqrt(15.0));
  CHECK(std::abs(moment(values, 4) - 3) < 4 * kError * std::sqrt(96.0));
}

TEST_CASE("streams of different seeds and numbers share no draw, and a stream starts again the same") {
  std::set<double> seen;
  for (std::uint64_t key = 0; key < 10; ++key)
    for (std::uint64_t stream = 0; stream < 10; ++stream) {
      sma::RandomSequence random(key, stream);
      sma::RandomSequence again(key, stream);
      for (int i = 0; i < 10; ++i) {
        const double value = random.uniform();
        CHECK(again.uniform() == value);
        seen.insert(value);
      }
    }
  // 1000 draws of 32 bits: the chance of any coincidence is about 1e-4.
  CHECK(seen.size() == 1000);
}

TEST_CASE("masks and noise of all steps, modules and uses share no numbers, nor with initial values") {
  constexpr std::uint64_t kSeed = 7;
  std::set<double> seen;
  std::size_t drawn = 0;
  sma::Context<sma::Eigen<float>> ctx;
  ctx.settings.seed = kSeed;
  // Steps, instances and uses that fields of 16, 20 or 4 bits would mix up.
  for (const std::uint64_t step : {0ULL, 1ULL, 2ULL, 1ULL << 40, 1ULL << 44, (1ULL << 44) + 1})
    for (const sma::Index instance : {0, 1, 2, 65535, 65536, 131072})
      for (const std::uint64_t use : {0ULL, 1ULL, 15ULL, 16ULL, 32ULL}) {
        ctx.settings.step = step;
        const sma::RandomStream random = ctx.random(instance, use);
        for (const std::int32_t id : {0, 1}) {
          seen.insert(random.uniform(id, 0));
          ++drawn;
        }
      }
  CHECK(seen.size() == drawn);  // the chance of a coincidence is 3e-5
  for (std::uint64_t offset = 0; offset < 2000; offset += 16) {
    sma::RandomSequence initial(kSeed, offset);
    for (int i = 0; i < 4; ++i) {
      seen.insert(initial.uniform());
      ++drawn;
    }
  }
  CHECK(seen.size() == drawn);
}

TEST_CASE("every element of a random stream has a number of its own") {
  const sma::RandomStream random{3, 4};
  std::set<double> seen;
  for (std::int32_t id : {0, 1, 2, 1000000, 2147483647})
    for (sma::Index column = 0; column < 100; ++column) {
      const double value = random.uniform(id, column);
      CHECK(value == sma::to_unit(random.block(id, column / 4).word[column % 4]));
      seen.insert(value);
    }
  CHECK(seen.size() == 500);
}

TEST_CASE("initial values follow their distributions") {
  for (const double v : initial<sma::init::Zeros>(5)) CHECK(v == 0.0);
  for (const double v : initial<sma::init::Ones>(5)) CHECK(v == 1.0);

  const auto normal = initial<sma::init::Normal<std::ratio<1, 10>>>(kDraws);
  CHECK(std::abs(std::sqrt(moment(normal, 2)) - 0.1) < 4 * 0.1 * kError);

  // Cut at two, a normal's variance is 1 - 4 phi(2) / (2 Phi(2) - 1) = 0.7737.
  const auto truncated = initial<sma::init::TruncatedNormal<std::ratio<2, 100>>>(kDraws);
  CHECK(std::abs(moment(truncated, 1)) < 4 * 0.02 * kError);
  CHECK(std::abs(moment(truncated, 2) / 0.0004 - 0.7737) < 4 * kError);
  CHECK(*std::max_element(truncated.begin(), truncated.end()) <= 0.04);
  CHECK(*std::min_element(truncated.begin(), truncated.end()) >= -0.04);
  CHECK(*std::max_element(truncated.begin(), truncated.end()) > 0.0395);

  const auto scaled = initial<sma::init::InverseRootNormal<64>>(kDraws);
  CHECK(std::abs(std::sqrt(moment(scaled, 2)) - 0.125) < 4 * 0.125 * kError);

  const double bound = std::sqrt(6.0 / 30);
  const auto xavier = initial<sma::init::XavierUniform<10, 20>>(kDraws);
  CHECK(std::abs(moment(xavier, 2) - bound * bound / 3) < 4 * kError * bound * bound * std::sqrt(4.0 / 45));
  CHECK(*std::max_element(xavier.begin(), xavier.end()) < bound);
  CHECK(*std::min_element(xavier.begin(), xavier.end()) > -bound);
}
