#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <sma/base/random.hpp>
#include <sma/base/sequences.hpp>
#include <sma/shards/lane_cut.hpp>
#include <vector>

using sma::Index;

namespace {

/// Offsets of random sequences, a third of them empty.
std::vector<std::int32_t> random_offsets(Index count, std::uint64_t seed) {
  sma::RandomSequence random(seed, 0);
  std::vector<std::int32_t> offsets{0};
  for (Index q = 0; q < count; ++q) {
    const double u = random.uniform();
    offsets.push_back(offsets.back() + (u < 1.0 / 3.0 ? 0 : static_cast<std::int32_t>(u * u * 400)));
  }
  return offsets;
}

sma::Sequences of(const std::vector<std::int32_t>& offsets) {
  return {offsets.back(), static_cast<Index>(offsets.size()) - 1, offsets.data(), nullptr, nullptr};
}

}  // namespace

TEST_CASE("lanes are whole groups of sequences, in order, all of them, and not too many") {
  for (std::uint64_t seed = 0; seed < 200; ++seed)
    for (const Index group : {1, 2})
      for (const Index lanes : {1, 2, 3, 8}) {
        const auto count = static_cast<Index>(seed % 23) * group;
        const auto offsets = random_offsets(count, seed);
        sma::detail::LaneCut cut;
        cut.cut(of(offsets), lanes, group);
        REQUIRE(cut.lanes() >= 1);
        REQUIRE(cut.lanes() <= lanes);
        CHECK(cut.begin(0) == 0);
        CHECK(cut.end(cut.lanes() - 1) == count);
        for (Index lane = 0; lane < cut.lanes(); ++lane) {
          CHECK(cut.begin(lane) % group == 0);
          if (count > 0) CHECK(cut.begin(lane) < cut.end(lane));
          if (lane > 0) CHECK(cut.begin(lane) == cut.end(lane - 1));
        }
      }
}

TEST_CASE("the longest lanes come first") {
  const auto offsets = random_offsets(40, 5);
  const sma::Sequences s = of(offsets);
  sma::detail::LaneCut cut;
  cut.cut(s, 8, 1);
  std::vector<Index> order;
  for (Index turn = 0; turn < cut.lanes(); ++turn) order.push_back(cut.by_length(turn));
  const auto rows = [&](Index lane) {
    return offsets[static_cast<std::size_t>(cut.end(lane))] -
           offsets[static_cast<std::size_t>(cut.begin(lane))];
  };
  CHECK(std::is_sorted(order.begin(), order.end(), [&](Index a, Index b) { return rows(a) > rows(b); }));
  std::sort(order.begin(), order.end());
  std::vector<Index> all(order.size());
  std::iota(all.begin(), all.end(), Index{0});
  CHECK(order == all);
}

TEST_CASE("equal sequences make equal lanes") {
  std::vector<std::int32_t> offsets;
  for (std::int32_t q = 0; q <= 16; ++q) offsets.push_back(q * 100);
  sma::detail::LaneCut cut;
  cut.cut(of(offsets), 8, 1);
  CHECK(cut.lanes() == 8);
  for (Index lane = 0; lane < 8; ++lane) CHECK(cut.end(lane) - cut.begin(lane) == 2);
}

TEST_CASE("a cut that was used before is as a new one") {
  const auto many = random_offsets(50, 1);
  const auto few = random_offsets(3, 2);
  sma::detail::LaneCut used, fresh;
  used.cut(of(many), 8, 1);
  used.cut(of(few), 8, 1);
  fresh.cut(of(few), 8, 1);
  REQUIRE(used.lanes() == fresh.lanes());
  for (Index lane = 0; lane < fresh.lanes(); ++lane) {
    CHECK(used.begin(lane) == fresh.begin(lane));
    CHECK(used.by_length(lane) == fresh.by_length(lane));
  }
}
