#pragma once

#include <sma/base/precision.hpp>
#include <sma/base/sequences.hpp>
#include <sma/base/views.hpp>
#include <sma/ops/sums.hpp>

/// The active rows of a batch: listed, compressed, extracted.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

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
  const compute_of<T>* weight;  // one a source row, `weight_stride` apart, or null
  Index weight_stride;
  Rows<T, Width> y;
  SMA_HD Index extent() const { return x.rows; }
  SMA_HD void operator()(Index c) const {
    const T* from = x.row(c);
    T* to = y.row(rows[c]);
    const compute_of<T> w = weight != nullptr ? weight[rows[c] * weight_stride] : compute_of<T>(1);
    for (Index j = 0; j < Width; ++j) to[j] += w * from[j];
  }
};

/// y[rows[c]] = weight[rows[c]] * x[c], and 0 in all other rows; a null weight counts as 1. One index is one compressed row and
/// the other rows before it; the last one those behind.
template <class T, Index Width>
struct ExtractRows {
  Rows<const T, Width> x;
  const std::int32_t* rows;
  const compute_of<T>* weight;  // one a source row, `weight_stride` apart, or null
  Index weight_stride;
  Rows<T, Width> y;
  SMA_HD Index extent() const { return x.rows + 1; }
  SMA_HD void operator()(Index c) const {
    const Index end = c < x.rows ? rows[c] : y.rows;
    for (Index r = c > 0 ? rows[c - 1] + 1 : 0; r < end; ++r)
      for (Index j = 0; j < Width; ++j) y(r, j) = 0;
    if (c == x.rows) return;
    const compute_of<T> w = weight != nullptr ? weight[end * weight_stride] : compute_of<T>(1);
    for (Index j = 0; j < Width; ++j) y(end, j) = w * x(c, j);
  }
};

/// The gradients of y[r] = weight[r] * x[c], r = rows[c]:  dx[c] = weight[r] * dy[r],  dweight[r] = dy[r] . x[c]. dx may be x.
template <class T, Index Width>
struct ScatterRowsBackward {
  Rows<const T, Width> dy, x;
  const std::int32_t* rows;
  const compute_of<T>* weight;
  compute_of<T>* dweight;
  Index weight_stride;
  Rows<T, Width> dx;
  SMA_HD Index extent() const { return x.rows; }
  SMA_HD void operator()(Index c) const {
    const Index r = rows[c];
    const T* d = dy.row(r);
    const T* out = x.row(c);
    T* to = dx.row(c);
    const compute_of<T> w = weight[r * weight_stride];
    dweight[r * weight_stride] = row_sum<compute_of<T>, Width>([d, out](Index j) { return d[j] * out[j]; });
    for (Index j = 0; j < Width; ++j) to[j] = w * d[j];
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
