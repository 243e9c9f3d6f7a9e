#include <doctest/doctest.h>

#include <tasks/common/statistics.hpp>

namespace {

std::array<std::int64_t, 24> octaves(const std::vector<sma::Index>& active, sma::Index window, bool causal) {
  tasks::Spans spans;
  spans.add(active, window, causal);
  return spans.octaves();
}

}  // namespace

TEST_CASE("a causal memory's distances are those to the elements before, as many as its window holds") {
  // Of 9: to 8 (1) and 4 (5); of 8: to 4 (4) and 0 (8); of 4: to 0 (4).
  const auto found = octaves({0, 4, 8, 9}, 2, true);
  CHECK(found[0] == 1);
  CHECK(found[1] == 0);
  CHECK(found[2] == 3);
  CHECK(found[3] == 1);
}

TEST_CASE("a memory of both sides sees each pair twice, and one without a window all of them") {
  const auto found = octaves({0, 4, 9}, 1, false);
  CHECK(found[2] == 4);
  CHECK(octaves({0, 4, 9}, 0, false)[3] == 2);
}

TEST_CASE("a memory's reach is the distance to the farthest element that it sees") {
  tasks::Spans spans;
  spans.add({0, 4, 8, 9}, 2, true);
  CHECK(spans.mean_reach() == (0 + 4 + 8 + 5) / 4.0);
  CHECK(spans.mean() == (1 + 5 + 4 + 8 + 4) / 5.0);
  tasks::Spans alone;
  alone.add({7}, 2, true);
  alone.add({}, 2, true);
  CHECK(alone.mean() == 0);
}
