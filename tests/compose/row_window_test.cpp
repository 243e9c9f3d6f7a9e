#include <doctest/doctest.h>

#include <sma/compose/row_window.hpp>
#include <sma/eigen.hpp>

using sma::Index;

namespace {

using Backend = sma::Eigen<float>;
using Context = sma::Context<Backend>;
constexpr Index kBlock = Backend::row_block;

/// Only the sequences count.
using Batch = sma::Batch<float, 1>;

}  // namespace

TEST_CASE("blocks of rows are the batch, each row fresh once, with all rows that it meets") {
  for (const Index rows : {Index{0}, Index{1}, kBlock, kBlock + 1, 5 * kBlock + 77})
    for (const Index reach : {Index{0}, Index{1}, Index{128}, kBlock, rows}) {
      CAPTURE(rows);
      CAPTURE(reach);
      const Batch batch{rows};
      const sma::Sequences s = batch.sequences();
      Context ctx;
      const sma::RowWindow window(ctx, s, reach);
      Index end = 0;
      Index fresh = 0;
      Index calls = 0;
      window.for_each([&](const sma::RowBlock& b) {
        ++calls;
        CHECK(b.begin == end);
        CHECK(b.fresh == fresh);
        CHECK(b.first == std::max<Index>(0, b.begin - reach));
        CHECK(b.last == std::min(rows, b.end + reach));
        CHECK(b.last - b.first <= window.most_rows());
        if (b.end < rows) CHECK(b.end - b.begin >= 3 * reach);
        CHECK(b.first + window.done(b) == (b.end == rows ? rows : b.end - reach));
        end = b.end;
        fresh = b.last;
      });
      CHECK(calls >= 1);
      CHECK(end == rows);
      CHECK(fresh == rows);
    }
}

TEST_CASE("a block finds what the one before has made of the rows that both hold") {
  const Index reach = 40;
  const Batch batch{900, 0, 2 * kBlock, 333};
  const sma::Sequences s = batch.sequences();
  Context ctx;
  const sma::RowWindow window(ctx, s, reach);
  const auto made = ctx.scratch_rows<2>(window.most_rows());
  window.for_each([&](const sma::RowBlock& b) {
    window.carry(b, made);
    for (Index row = b.fresh; row < b.last; ++row) made(row - b.first, 0) = static_cast<float>(row);
    bool here = true;
    for (Index row = b.first; row < b.last; ++row)
      here = here && made(row - b.first, 0) == static_cast<float>(row);
    CHECK(here);
  });
}

TEST_CASE("a block's sequences are those of its rows, empty ones and parts of them too") {
  const Index reach = 40;
  const Batch batch{900, 0, 2 * kBlock, 333};
  const sma::Sequences s = batch.sequences();
  Context ctx;
  const sma::RowWindow window(ctx, s, reach);
  window.for_each([&](const sma::RowBlock& b) {
    const sma::Sequences around = window.around(b);
    CHECK(around.rows == b.last - b.first);
    CHECK(around.count == s.count);
    for (Index q = 0; q < s.count; ++q) {
      CHECK(around.begin(q) == std::clamp(s.begin(q), b.first, b.last) - b.first);
      CHECK(around.end(q) == std::clamp(s.end(q), b.first, b.last) - b.first);
    }
    CHECK(around.positions == s.positions + b.first);
  });
}
