#pragma once

#include <thrust/copy.h>
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

/// Positions and ids of the listed rows.
struct NameRows {
  Sequences s;
  const std::int32_t* rows;
  Index count;
  Position* positions;
  std::int32_t* ids;
  SMA_HD Index extent() const { return count; }
  SMA_HD void operator()(Index c) const {
    positions[c] = s.positions[rows[c]];
    ids[c] = s.ids[rows[c]];
  }
};

}  // namespace ops
}  // namespace SMA_ISA

template <class System, class S>
void run(Context<Thrust<System, S>>& ctx, const ops::CountActive& k) {
  auto scope = ctx.scope();
  auto* ranks = ctx.template scratch<std::int32_t>(k.s.rows);
  const auto flags = ::thrust::make_transform_iterator(::thrust::counting_iterator<std::int32_t>(0),
                                                       ops::IsActive{k.active, k.stride});
  ::thrust::inclusive_scan(Thrust<System, S>::policy(), flags, flags + k.s.rows, ranks);
  ctx.launch(ops::CountFromRanks{k.s, ranks, k.offsets});
}

template <class System, class S>
void run(Context<Thrust<System, S>>& ctx, const ops::ScanOffsets& k) {
  ctx.launch(ops::Fill<std::int32_t>{k.offsets, 1, 0});
  ::thrust::inclusive_scan(Thrust<System, S>::policy(), k.offsets, k.offsets + k.count + 1, k.offsets);
}

template <class System, class S>
void run(Context<Thrust<System, S>>& ctx, const ops::ListActive& k) {
  const ::thrust::counting_iterator<std::int32_t> first(0);
  const std::int32_t* end =
      ::thrust::copy_if(Thrust<System, S>::policy(), first, first + static_cast<std::int32_t>(k.s.rows),
                        k.rows, ops::IsActive{k.active, k.stride});
  ctx.launch(ops::NameRows{k.s, k.rows, end - k.rows, k.positions, k.ids});
}

/// Zeros in parallel, whatever the gaps between active rows.
template <class System, class S, Index Width>
void run(Context<Thrust<System, S>>& ctx, const ops::ExtractRows<S, Width>& k) {
  ctx.launch(ops::FillRows<S, Width>{S(0), k.y});
  ctx.launch(ops::ScatterRows<S, Width>{k.x, k.rows, k.weight, k.weight_stride, k.y});
}

}  // namespace sma
