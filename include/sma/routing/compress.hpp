#pragma once

#include <sma/core/context.hpp>
#include <sma/core/sequences.hpp>
#include <sma/kernels/elementwise.hpp>

namespace sma {

inline namespace SMA_ISA {
namespace kernels {

/// offsets[q + 1] = active rows of sequence q.
struct CountActive {
  Sequences s;
  const std::uint8_t* active;  // (rows), elements `stride` apart
  Index stride;
  std::int32_t* offsets;  // (count + 1)
  SMA_HD Index extent() const { return s.count; }
  SMA_HD void operator()(Index q) const {
    std::int32_t total = 0;
    for (Index t = s.begin(q); t < s.end(q); ++t) total += active[t * stride] != 0 ? 1 : 0;
    offsets[q + 1] = total;
  }
};

/// Running sum of offsets, in place; offsets[0] = 0.
struct ScanOffsets {
  std::int32_t* offsets;
  Index count;
  SMA_HD Index extent() const { return 1; }
  SMA_HD void operator()(Index) const {
    offsets[0] = 0;
    for (Index q = 0; q < count; ++q) offsets[q + 1] += offsets[q];
  }
};

/// Lists the active rows of each sequence in order, with their positions and ids.
struct ListActive {
  Sequences s;
  const std::uint8_t* active;
  Index stride;
  const std::int32_t* offsets;  // (count + 1)
  std::int32_t* rows;
  Position* positions;
  std::int32_t* ids;
  SMA_HD Index extent() const { return s.count; }
  SMA_HD void operator()(Index q) const {
    std::int32_t at = offsets[q];
    for (Index t = s.begin(q); t < s.end(q); ++t) {
      if (active[t * stride] == 0) continue;
      rows[at] = static_cast<std::int32_t>(t);
      positions[at] = s.positions[t];
      ids[at] = s.ids[t];
      ++at;
    }
  }
};

/// y[c] = x[rows[c]].
template <class T, Index Width>
struct GatherRows {
  Rows<const T, Width> x;
  const std::int32_t* rows;
  Rows<T, Width> y;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index c) const {
    const T* from = x.row(rows[c]);
    T* to = y.row(c);
    for (Index j = 0; j < Width; ++j) to[j] = from[j];
  }
};

/// y[rows[c]] += weight[rows[c]] * x[c]; a null weight counts as 1.
template <class T, Index Width>
struct ScatterRows {
  Rows<const T, Width> x;
  const std::int32_t* rows;
  const T* weight;  // one a source row, `weight_stride` apart, or null
  Index weight_stride;
  Rows<T, Width> y;
  SMA_HD Index extent() const { return x.rows; }
  SMA_HD void operator()(Index c) const {
    const T* from = x.row(c);
    T* to = y.row(rows[c]);
    const T w = weight != nullptr ? weight[rows[c] * weight_stride] : T(1);
    for (Index j = 0; j < Width; ++j) to[j] += w * from[j];
  }
};

/// y[rows[c]] = weight[rows[c]] * x[c], and 0 in all other rows; a null weight counts as 1. One index is one compressed row and
/// the other rows before it; the last one those behind.
template <class T, Index Width>
struct ExtractRows {
  Rows<const T, Width> x;
  const std::int32_t* rows;
  const T* weight;  // one a source row, `weight_stride` apart, or null
  Index weight_stride;
  Rows<T, Width> y;
  SMA_HD Index extent() const { return x.rows + 1; }
  SMA_HD void operator()(Index c) const {
    const Index end = c < x.rows ? rows[c] : y.rows;
    for (Index r = c > 0 ? rows[c - 1] + 1 : 0; r < end; ++r)
      for (Index j = 0; j < Width; ++j) y(r, j) = 0;
    if (c == x.rows) return;
    const T w = weight != nullptr ? weight[end * weight_stride] : T(1);
    for (Index j = 0; j < Width; ++j) y(end, j) = w * x(c, j);
  }
};

/// A weight that can be divided by again: at least 1e-20 from zero, which no sum of gradients notices.
template <class T>
SMA_HD T divisible(T weight) {
  constexpr T kLeast = T(1e-20);
  if (weight > -kLeast && weight < kLeast) return weight < 0 ? -kLeast : kLeast;
  return weight;
}

/// ScatterRowsBackward without x: dx alone.
template <class T, Index Width>
struct GatherWeightedRows {
  Rows<const T, Width> dy;
  const std::int32_t* rows;
  const T* weight;
  Index weight_stride;
  Rows<T, Width> dx;
  SMA_HD Index extent() const { return dx.rows; }
  SMA_HD void operator()(Index c) const {
    const Index r = rows[c];
    const T* d = dy.row(r);
    T* to = dx.row(c);
    const T w = divisible(weight[r * weight_stride]);
    for (Index j = 0; j < Width; ++j) to[j] = w * d[j];
  }
};

/// Its dweight from dots[c] = dx[c] . x[c].
template <class T>
struct WeightGradients {
  const T* dots;
  const std::int32_t* rows;
  Index count;
  const T* weight;
  T* dweight;
  Index weight_stride;
  SMA_HD Index extent() const { return count; }
  SMA_HD void operator()(Index c) const {
    const Index r = rows[c] * weight_stride;
    dweight[r] = dots[c] / divisible(weight[r]);
  }
};

/// The gradients of y[r] = weight[r] * x[c], r = rows[c]:  dx[c] = weight[r] * dy[r],  dweight[r] = dy[r] . x[c].
template <class T, Index Width>
struct ScatterRowsBackward {
  Rows<const T, Width> dy, x;
  const std::int32_t* rows;
  const T* weight;
  T* dweight;
  Index weight_stride;
  Rows<T, Width> dx;
  SMA_HD Index extent() const { return x.rows; }
  SMA_HD void operator()(Index c) const {
    const Index r = rows[c];
    const T* d = dy.row(r);
    const T* out = x.row(c);
    T* to = dx.row(c);
    const T w = weight[r * weight_stride];
    dweight[r * weight_stride] = row_sum<T, Width>([d, out](Index j) { return d[j] * out[j]; });
    for (Index j = 0; j < Width; ++j) to[j] = w * d[j];
  }
};

}  // namespace kernels
}  // namespace SMA_ISA

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
  ctx.launch(kernels::CountActive{s, active, stride, offsets});
  ctx.launch(kernels::ScanOffsets{offsets, s.count});
  std::int32_t total = 0;
  C::Backend::download(&total, offsets + s.count, sizeof(total));
  auto* rows = ctx.template keep<std::int32_t>(total);
  auto* positions = ctx.template keep<Position>(total);
  auto* ids = ctx.template keep<std::int32_t>(total);
  ctx.launch(kernels::ListActive{s, active, stride, offsets, rows, positions, ids});
  return {{total, s.count, offsets, positions, ids}, rows};
}

/// compress: y[c] = x[selection.rows[c]]. x (rows, Width), y (active, Width).
template <class C, class S, Index Width>
void compress(C& ctx, const Selection& selection, Rows<const S, Width> x, Rows<S, Width> y) {
  ctx.launch(kernels::GatherRows<S, Width>{x, selection.rows, y});
}

/// extract, adding: y[selection.rows[c]] += x[c]. x (active, Width), y (rows, Width).
template <class C, class S, Index Width>
void extract_add(C& ctx, const Selection& selection, Rows<const S, Width> x, Rows<S, Width> y) {
  ctx.launch(kernels::ScatterRows<S, Width>{x, selection.rows, nullptr, 0, y});
}

/// extract: y = 0 but for y[selection.rows[c]] = x[c].
template <class C, class S, Index Width>
void extract(C& ctx, const Selection& selection, Rows<const S, Width> x, Rows<S, Width> y) {
  ctx.launch(kernels::ExtractRows<S, Width>{x, selection.rows, nullptr, 0, y});
}

}  // namespace sma
