#pragma once

#include <sma/base/sequences.hpp>
#include <sma/device/context.hpp>
#include <sma/ops/compress.hpp>

namespace sma {

/// The active part of a packed batch: its own sequences (original positions kept) and where each row came from.
struct Selection {
  Sequences sequences;
  const std::int32_t* rows = nullptr;  // (sequences.rows) source row of each compressed row
};

/// Rows that are being counted: how many there are is on its way to the host.
struct Counting {
  const std::uint8_t* active = nullptr;
  Index stride = 1;
  std::int32_t* offsets = nullptr;      // (sequences + 1)
  const std::int32_t* total = nullptr;  // in host memory, once the backend has been waited for
};

/// Counts the rows whose flag is set. Flags stand `stride` bytes apart. Memory comes from `ctx.keep`. Does not wait.
template <class C>
Counting count_active(C& ctx, const Sequences& s, const std::uint8_t* active, Index stride = 1) {
  auto* offsets = ctx.template keep<std::int32_t>(s.count + 1);
  auto* total = ctx.template host<std::int32_t>(1);
  ctx.launch(ops::CountActive{s, active, stride, offsets});
  ctx.launch(ops::ScanOffsets{offsets, s.count});
  ctx.backend().download(total, offsets + s.count, sizeof(*total));
  return {active, stride, offsets, total};
}

/// Lists the rows that were counted, in order, over the whole packed batch. Memory comes from `ctx.keep`. Any number of rows may be
/// active, none included. The backend has been waited for since they were counted.
template <class C>
Selection list_active(C& ctx, const Sequences& s, const Counting& counted) {
  const Index total = *counted.total;
  auto* rows = ctx.template keep<std::int32_t>(total);
  auto* positions = ctx.template keep<Position>(total);
  auto* ids = ctx.template keep<std::int32_t>(total);
  ctx.launch(ops::ListActive{s, counted.active, counted.stride, counted.offsets, rows, positions, ids});
  return {{total, s.count, counted.offsets, positions, ids}, rows};
}

/// Both, with the wait in between.
template <class C>
Selection select_active(C& ctx, const Sequences& s, const std::uint8_t* active, Index stride = 1) {
  const Counting counted = count_active(ctx, s, active, stride);
  ctx.wait();
  return list_active(ctx, s, counted);
}

/// compress: y[c] = x[selection.rows[c]]. x (rows, Width), y (active, Width).
template <class C, class S, Index Width>
void compress(C& ctx, const Selection& selection, Rows<const S, Width> x, Rows<S, Width> y) {
  ctx.launch(ops::GatherRows<S, Width>{x, selection.rows, y});
}

/// extract, adding: y[selection.rows[c]] += x[c]. x (active, Width), y (rows, Width).
template <class C, class S, Index Width>
void extract_add(C& ctx, const Selection& selection, Rows<const S, Width> x, Rows<S, Width> y) {
  ctx.launch(ops::ScatterRows<S, Width>{x, selection.rows, nullptr, 0, y});
}

/// extract: y = 0 but for y[selection.rows[c]] = x[c].
template <class C, class S, Index Width>
void extract(C& ctx, const Selection& selection, Rows<const S, Width> x, Rows<S, Width> y) {
  ctx.launch(ops::ExtractRows<S, Width>{x, selection.rows, nullptr, 0, y});
}

}  // namespace sma
