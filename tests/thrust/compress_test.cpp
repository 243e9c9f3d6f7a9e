#include <algorithm>
#include <cstdint>
#include <vector>

#include "thrust/system.hpp"

namespace {

using sma::Index;
constexpr Index kWidth = 3;

/// A vector's copy in the backend's memory.
template <class B, class T>
struct OnBackend {
  sma::detail::DeviceBuffer<B, T> buffer;
  OnBackend(sma::Context<B>& ctx, const std::vector<T>& host)
      : buffer(ctx.backend(), static_cast<Index>(host.size())) {
    buffer.upload(host.data(), static_cast<Index>(host.size()));
  }
  operator const T*() const { return buffer.data(); }  // NOLINT: implicit
};

template <class T, class B>
std::vector<T> host_copy(sma::Context<B>& ctx, const T* data, Index count) {
  std::vector<T> host(static_cast<std::size_t>(count));
  ctx.backend().download(host.data(), data, host.size() * sizeof(T));
  ctx.wait();
  return host;
}

/// Flags of `rows` rows, `stride` bytes apart; what lies between is set, to be passed over.
std::vector<std::uint8_t> flags(Index rows, Index stride, double rate, std::uint64_t seed) {
  std::vector<std::uint8_t> active(static_cast<std::size_t>(rows * stride), 1);
  sma::RandomSequence random(seed, 1);
  for (Index t = 0; t < rows; ++t)
    active[static_cast<std::size_t>(t * stride)] = random.uniform() < rate ? 1 : 0;
  return active;
}

/// Selects, compresses and extracts on the backend, and the same on the host from the definition.
template <class S>
void check_round_trip(const laws::Lengths& lengths, Index stride, double rate) {
  using B = on::Backend<S>;
  INFO(laws::text_of(lengths) << ", rate " << rate);
  sma::Batch<S, kWidth> x{std::span<const Index>(lengths)};
  sma::RandomSequence random(5, 2);
  for (S& value : x.values()) value = static_cast<S>(random.normal());
  const auto active = flags(x.rows(), stride, rate, 7);

  std::vector<std::int32_t> rows, offsets{0}, ids;
  std::vector<sma::Position> positions;
  std::vector<S> compressed, masked(x.values().begin(), x.values().end());
  const auto shape = x.sequences();
  for (Index q = 0; q < x.count(); ++q) {
    for (Index t = shape.begin(q); t < shape.end(q); ++t) {
      const bool runs = active[static_cast<std::size_t>(t * stride)] != 0;
      if (runs) {
        rows.push_back(static_cast<std::int32_t>(t));
        positions.push_back(t - shape.begin(q));
        ids.push_back(static_cast<std::int32_t>(t));
      }
      for (Index j = 0; j < kWidth; ++j) {
        if (runs)
          compressed.push_back(x(t, j));
        else
          masked[static_cast<std::size_t>(t * kWidth + j)] = 0;
      }
    }
    offsets.push_back(static_cast<std::int32_t>(rows.size()));
  }

  sma::Context<B> ctx;
  const OnBackend<B, S> values(ctx, {x.values().begin(), x.values().end()});
  const OnBackend<B, std::int32_t> device_offsets(ctx, {shape.offsets, shape.offsets + shape.count + 1});
  const OnBackend<B, sma::Position> device_positions(ctx, {shape.positions, shape.positions + shape.rows});
  const OnBackend<B, std::int32_t> device_ids(ctx, {shape.ids, shape.ids + shape.rows});
  const OnBackend<B, std::uint8_t> device_active(ctx, active);
  const sma::Sequences s{shape.rows, shape.count, device_offsets, device_positions, device_ids};
  const auto selected = sma::select_active(ctx, s, device_active, stride);
  const Index count = selected.sequences.rows;
  REQUIRE(count == static_cast<Index>(rows.size()));
  CHECK(selected.sequences.count == x.count());
  CHECK(host_copy(ctx, selected.rows, count) == rows);
  CHECK(host_copy(ctx, selected.sequences.offsets, x.count() + 1) == offsets);
  CHECK(host_copy(ctx, selected.sequences.positions, count) == positions);
  CHECK(host_copy(ctx, selected.sequences.ids, count) == ids);

  const sma::Rows<const S, kWidth> in{values, x.rows()};
  const auto c = ctx.template keep_rows<kWidth>(count);
  const auto y = ctx.template keep_rows<kWidth>(x.rows());
  sma::compress(ctx, selected, in, c);
  CHECK(host_copy<S>(ctx, c.data, count * kWidth) == compressed);
  ctx.launch(sma::ops::Fill<S>{y.data, y.rows * kWidth, S(17)});  // extract overwrites
  sma::extract(ctx, selected, sma::Rows<const S, kWidth>(c), y);
  CHECK(host_copy<S>(ctx, y.data, y.rows * kWidth) == masked);
}

/// Column sums of whole numbers, which no order of summation rounds.
template <class S>
void check_column_sums(Index rows) {
  using B = on::Backend<S>;
  using Element = sma::ops::ElementTerm<S, kWidth>;
  INFO("rows " << rows);
  std::vector<S> x(static_cast<std::size_t>(rows * kWidth)), expected{1, 2, 3};
  for (Index i = 0; i < rows * kWidth; ++i) {
    x[static_cast<std::size_t>(i)] = static_cast<S>(i % 7 - 2);
    expected[static_cast<std::size_t>(i % kWidth)] += static_cast<S>(i % 7 - 2);
  }
  sma::Context<B> ctx;
  const OnBackend<B, S> device(ctx, x);
  const OnBackend<B, S> sums(ctx, std::vector<S>{1, 2, 3});
  ctx.launch(sma::ops::ColumnSum<S, kWidth, Element>{rows, Element{{device, rows}}, sums.buffer.data()});
  CHECK(host_copy<S>(ctx, sums, kWidth) == expected);
}

TEST_CASE_TEMPLATE("extract of compress is the mask times x", S, float, double) {
  for (const auto& lengths : laws::shapes())
    for (const double rate : {0.0, 0.5, 1.0}) check_round_trip<S>(lengths, 1, rate);
  check_round_trip<S>({3, 0, 3000, 1, 700}, 1, 0.02);
}

TEST_CASE("flags of several branches may stand side by side") {
  check_round_trip<float>({}, 3, 0.5);
  check_round_trip<float>({0, 40, 0, 2}, 3, 0.5);
}

TEST_CASE("column sums are added to, whatever the number of rows") {
  for (const Index rows : {0, 1, 63, 64, 65, 4096, 4097, 300000}) check_column_sums<double>(rows);
  check_column_sums<float>(300000);
}

}  // namespace
