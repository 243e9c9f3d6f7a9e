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

/// Lists the rows whose flag is set, in order, over the whole packed batch. Flags stand `stride` bytes apart.
/// Memory comes from `ctx.keep`. Any number of rows may be active, none included.
template <class C>
Selection select_active(C& ctx, const Sequences& s, const std::uint8_t* active, Index stride = 1) {
  auto* offsets = ctx.template keep<std::int32_t>(s.count + 1);
  ctx.launch(ops::CountActive{s, active, stride, offsets});
  ctx.launch(ops::ScanOffsets{offsets, s.count});
  std::int32_t total = 0;
  C::Backend::download(&total, offsets + s.count, sizeof(total));
  auto* rows = ctx.template keep<std::int32_t>(total);
  auto* positions = ctx.template keep<Position>(total);
  auto* ids = ctx.template keep<std::int32_t>(total);
  ctx.launch(ops::ListActive{s, active, stride, offsets, rows, positions, ids});
  return {{total, s.count, offsets, positions, ids}, rows};
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
