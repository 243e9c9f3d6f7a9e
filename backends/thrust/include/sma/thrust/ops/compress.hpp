#pragma once

#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/transform_iterator.h>
#include <thrust/scan.h>
#include <sma/device/fill.hpp>
#include <sma/ops/compress.hpp>
#include <sma/ops/rows.hpp>

#include <sma/thrust/backend.hpp>
#include <sma/thrust/part.hpp>

/// Stream compaction with rows in parallel, where the plain kernels give a whole sequence to one index.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// 1 for an active row, otherwise 0.
struct IsActive {
  const std::uint8_t* active;
  Index stride;
  SMA_HD std::int32_t operator()(std::int32_t t) const { return active[t * stride] != 0 ? 1 : 0; }
};

/// offsets[q + 1] = active rows of sequence q, from the running count over the whole batch.
struct CountFromRanks {
  Sequences s;
  const std::int32_t* ranks;  // (rows) active rows up to and including this one
  std::int32_t* offsets;      // (count + 1)
  SMA_HD Index extent() const { return s.count; }
  SMA_HD void operator()(Index q) const { offsets[q + 1] = before(s.end(q)) - before(s.begin(q)); }
  SMA_HD std::int32_t before(Index t) const { return t > 0 ? ranks[t - 1] : 0; }
};

/// Each active row at its rank.
struct ListFromRanks {
  ListActive whole;
  const std::int32_t* ranks;  // (rows) active rows up to and including this one
  SMA_HD Index extent() const { return whole.s.rows; }
  SMA_HD void operator()(Index t) const {
    if (whole.active[t * whole.stride] == 0) return;
    const std::int32_t c = ranks[t] - 1;
    whole.rows[c] = static_cast<std::int32_t>(t);
    whole.positions[c] = whole.s.positions[t];
    whole.ids[c] = whole.s.ids[t];
  }
};

}  // namespace ops
}  // namespace SMA_ISA

namespace detail {

/// (rows) active rows up to and including each, in scratch memory.
template <class C>
std::int32_t* ranks_of_active(C& ctx, Index rows, ops::IsActive is_active) {
  auto* ranks = ctx.template scratch<std::int32_t>(rows);
  const auto flags =
      ::thrust::make_transform_iterator(::thrust::counting_iterator<std::int32_t>(0), is_active);
  ::thrust::inclusive_scan(ctx.backend().policy(), flags, flags + rows, ranks);
  return ranks;
}

}  // namespace detail

template <class System, class S>
void run(Context<Thrust<System, S>>& ctx, const ops::CountActive& k) {
  auto scope = ctx.scope();
  const auto* ranks = detail::ranks_of_active(ctx, k.s.rows, {k.active, k.stride});
  ctx.launch(ops::CountFromRanks{k.s, ranks, k.offsets});
}

template <class System, class S>
void run(Context<Thrust<System, S>>& ctx, const ops::ScanOffsets& k) {
  ctx.launch(ops::Fill<std::int32_t>{k.offsets, 1, 0});
  ::thrust::inclusive_scan(ctx.backend().policy(), k.offsets, k.offsets + k.count + 1, k.offsets);
}

template <class System, class S>
void run(Context<Thrust<System, S>>& ctx, const ops::ListActive& k) {
  auto scope = ctx.scope();
  ctx.launch(ops::ListFromRanks{k, detail::ranks_of_active(ctx, k.s.rows, {k.active, k.stride})});
}

/// Zeros in parallel, whatever the gaps between active rows.
template <class System, class Scalar, class S, Index Width>
void run(Context<Thrust<System, Scalar>>& ctx, const ops::ExtractRows<S, Width>& k) {
  ctx.launch(ops::FillRows<S, Width>{S(0), k.y});
  ctx.launch(ops::ScatterRows<S, Width>{k.x, k.rows, k.weight, k.weight_stride, k.y});
}

}  // namespace sma
