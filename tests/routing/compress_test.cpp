#include <doctest/doctest.h>

#include <numeric>
#include <sma/eigen.hpp>
#include <sma/routing/compress.hpp>
#include <support/laws.hpp>
#include <vector>

namespace {

using sma::Index;
constexpr Index kWidth = 3;

/// Law 1 on one batch and one mask, flags `stride` bytes apart, for a batch that itself was compressed once: its positions and
/// ids are no longer row numbers.
template <class S>
void check_law(const laws::Lengths& lengths, const std::vector<std::uint8_t>& mask, Index stride) {
  INFO(laws::text_of(lengths));
  sma::Context<sma::Eigen<S>> ctx;
  const sma::Batch<S, kWidth> batch{std::span<const Index>(lengths)};
  sma::Sequences s = batch.sequences();
  const auto rows = static_cast<std::size_t>(s.rows);
  std::vector<sma::Position> positions(rows);
  std::vector<std::int32_t> ids(rows);
  for (std::size_t t = 0; t < rows; ++t) {
    positions[t] = 3 * s.positions[t] + 1;
    ids[t] = 2 * s.ids[t] + 5;
  }
  s.positions = positions.data();
  s.ids = ids.data();
  const auto x = laws::random_values<S>(rows * kWidth, 1);
  std::vector<std::uint8_t> flags(rows * static_cast<std::size_t>(stride) + 1, 1);
  for (std::size_t t = 0; t < rows; ++t) flags[t * static_cast<std::size_t>(stride)] = mask[t];

  const sma::Selection selection = sma::select_active(ctx, s, flags.data(), stride);
  const sma::Sequences& z = selection.sequences;
  std::vector<S> compressed(static_cast<std::size_t>(z.rows * kWidth));
  const sma::Rows<const S, kWidth> from{x.data(), s.rows};
  const sma::Rows<S, kWidth> to{compressed.data(), z.rows};
  sma::compress(ctx, selection, from, to);

  REQUIRE(z.count == s.count);
  REQUIRE(z.begin(0) == 0);
  Index c = 0;
  for (Index q = 0; q < s.count; ++q) {
    CHECK(z.begin(q) == c);
    for (Index t = s.begin(q); t < s.end(q); ++t) {
      if (mask[static_cast<std::size_t>(t)] == 0) continue;
      REQUIRE(c < z.rows);
      CHECK(selection.rows[c] == t);
      CHECK(z.positions[c] == s.positions[t]);
      CHECK(z.ids[c] == s.ids[t]);
      for (Index j = 0; j < kWidth; ++j) CHECK(to(c, j) == from(t, j));
      ++c;
    }
    CHECK(z.end(q) == c);
  }
  CHECK(z.rows == c);

  std::vector<S> masked(x);
  for (std::size_t e = 0; e < masked.size(); ++e) masked[e] = mask[e / kWidth] != 0 ? x[e] : S(0);
  std::vector<S> back(x.size(), S(7));
  const sma::Rows<S, kWidth> out{back.data(), s.rows};
  sma::extract(ctx, selection, sma::Rows<const S, kWidth>(to), out);
  laws::check_same_bits(back, masked, "extract(compress(x)) = mask * x");
  sma::extract_add(ctx, selection, sma::Rows<const S, kWidth>(to), out);
  for (S& value : masked) value += value;
  laws::check_same_bits(back, masked, "extract_add adds to what is there");
}

template <class S>
void check_masks() {
  auto all = laws::shapes();
  all.push_back({5, 500, 0, 5});
  for (const auto& lengths : all)
    for (const double rate : {0.0, 0.01, 0.5, 1.0}) {
      sma::RandomSequence random(3, static_cast<std::uint64_t>(rate * 100));
      std::vector<std::uint8_t> mask(
          static_cast<std::size_t>(std::accumulate(lengths.begin(), lengths.end(), Index{0})));
      for (auto& flag : mask) flag = random.uniform() < rate ? 1 : 0;
      check_law<S>(lengths, mask, 1);
      check_law<S>(lengths, mask, 3);
    }
}

}  // namespace

TEST_CASE("extract of compress is the mask, with positions and ids kept, in double") {
  check_masks<double>();
}
TEST_CASE("extract of compress is the mask, with positions and ids kept, in float") { check_masks<float>(); }

TEST_CASE("selecting everything is the batch itself and selecting nothing keeps its sequences, empty") {
  sma::Context<sma::Eigen<float>> ctx;
  const sma::Batch<float, 1> batch{2, 0, 3};
  const sma::Sequences s = batch.sequences();
  const std::vector<std::uint8_t> ones(5, 1);
  const std::vector<std::uint8_t> zeros(5, 0);
  const sma::Selection all = sma::select_active(ctx, s, ones.data());
  CHECK(std::equal(s.offsets, s.offsets + 4, all.sequences.offsets));
  CHECK(std::equal(s.positions, s.positions + 5, all.sequences.positions));
  const sma::Selection none = sma::select_active(ctx, s, zeros.data());
  CHECK(none.sequences.rows == 0);
  CHECK(none.sequences.count == 3);
  CHECK(std::count(none.sequences.offsets, none.sequences.offsets + 4, 0) == 4);
}

TEST_CASE("compressing what is compressed is compressing by both masks") {
  sma::Context<sma::Eigen<double>> ctx;
  const sma::Batch<double, 1> batch{6, 4};
  const std::vector<std::uint8_t> first{1, 0, 1, 1, 0, 1, 0, 1, 1, 1};
  const std::vector<std::uint8_t> second{0, 1, 1, 0, 1, 0, 1};  // of the seven rows that are left
  const auto outer = sma::select_active(ctx, batch.sequences(), first.data());
  const auto inner = sma::select_active(ctx, outer.sequences, second.data());
  const std::vector<sma::Position> expected{2, 3, 1, 3};
  REQUIRE(inner.sequences.rows == 4);
  CHECK(std::equal(expected.begin(), expected.end(), inner.sequences.positions));
  CHECK(inner.sequences.length(0) == 2);
  CHECK(inner.sequences.length(1) == 2);
}
