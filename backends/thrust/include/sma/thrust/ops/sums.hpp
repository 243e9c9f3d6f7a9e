#pragma once

#include <sma/device/fill.hpp>
#include <sma/ops/sums.hpp>
#include <sma/thrust/backend.hpp>
#include <sma/thrust/part.hpp>

/// Sums over the rows of a batch with rows in parallel, in an order that depends on the number of rows alone: the same bits
/// with any number of threads, which Thrust's own reductions do not promise.
namespace sma {

namespace detail {
/// Rows that one index sums; sums of so few keep single precision honest over long batches.
inline constexpr Index kRowsPerSum = 64;
}  // namespace detail

inline namespace SMA_ISA {
namespace ops {

/// partial[b][c] = sum of term(r, c) over the rows r of block b.
template <class T, Index Width, class Term>
struct BlockSums {
  Index rows;
  Term term;
  Rows<T, Width> partial;  // (blocks, Width)
  SMA_HD Index extent() const { return partial.rows * Width; }
  SMA_HD void operator()(Index e) const {
    const Index block = e / Width;
    const Index c = e % Width;
    const Index first = block * sma::detail::kRowsPerSum;
    const Index last = first + sma::detail::kRowsPerSum < rows ? first + sma::detail::kRowsPerSum : rows;
    T total = 0;
    for (Index r = first; r < last; ++r) total += term(r, c);
    partial(block, c) = total;
  }
};

}  // namespace ops
}  // namespace SMA_ISA

/// Blocks of rows first, then the blocks' sums in the same way, until few are left.
template <class System, class S, class T, Index Width, class Term>
void run(Context<Thrust<System, S>>& ctx, const ops::ColumnSum<T, Width, Term>& k) {
  if (k.rows <= detail::kRowsPerSum) {
    ctx.backend().for_each_index(k.extent(), k);
    return;
  }
  auto scope = ctx.scope();
  const Index blocks = (k.rows + detail::kRowsPerSum - 1) / detail::kRowsPerSum;
  const Rows<T, Width> partial{ctx.template scratch<T>(blocks * Width), blocks};
  using Element = ops::ElementTerm<T, Width>;
  ctx.launch(ops::BlockSums<T, Width, Term>{k.rows, k.term, partial});
  ctx.launch(ops::ColumnSum<T, Width, Element>{blocks, Element{partial}, k.out});
}

template <class System, class S>
void run(Context<Thrust<System, S>>& ctx, const ops::OrderedSum& k) {
  using Element = ops::ElementTerm<double, 1>;
  ctx.launch(ops::Fill<double>{k.out, 1, 0.0});
  ctx.launch(ops::ColumnSum<double, 1, Element>{k.count, Element{{k.x, k.count}}, k.out});
}

}  // namespace sma
