#pragma once

#include <sma/ops/attention.hpp>
#include <sma/ops/sums.hpp>
#include <sma/thrust/backend.hpp>
#include <sma/thrust/part.hpp>

/// The gradient of attention's bias table by blocks of queries: the plain form is one index for all of it, which on a GPU is one thread
/// (98 % of a training step of a layer on an H200).
namespace sma {

namespace detail {
/// Queries that one index sums into a table of its own.
inline constexpr Index kQueriesPerTable = 16;
}  // namespace detail

inline namespace SMA_ISA {
namespace ops {

/// tables[b] = what the queries of block b add to the bias table's gradient.
template <class T, class Problem>
struct TableBlocks {
  static constexpr Index table_size = decltype(Problem::bias)::table_size;
  AttentionBackward<T, Problem> whole;
  Rows<compute_of<T>, table_size> tables;  // (blocks, table_size)
  SMA_HD Index extent() const { return tables.rows; }
  SMA_HD void operator()(Index b) const {
    AttentionBackward<T, Problem> block = whole;
    block.dtable = tables.row(b);
    for (Index slot = 0; slot < table_size; ++slot) block.dtable[slot] = 0;
    const Index first = whole.queries.begin + b * sma::detail::kQueriesPerTable;
    const Index end = first + sma::detail::kQueriesPerTable;
    for (Index i = first; i < end && i < whole.queries.end; ++i) block.add_to_table(i);
  }
};

}  // namespace ops
}  // namespace SMA_ISA

template <class System, class S, class T, class Problem>
void run(Context<Thrust<System, S>>& ctx, const ops::AttentionBackward<T, Problem>& k) {
  ops::AttentionBackward<T, Problem> rows = k;
  rows.dtable = nullptr;
  ctx.backend().for_each_index(rows.extent(), rows);
  if constexpr (Problem::has_bias) {
    if (k.dtable == nullptr) return;
    constexpr Index size = ops::TableBlocks<T, Problem>::table_size;
    using A = compute_of<T>;
    using Element = ops::ElementTerm<A, size>;
    auto scope = ctx.scope();
    const Index blocks = (k.count() + detail::kQueriesPerTable - 1) / detail::kQueriesPerTable;
    const auto tables = ctx.template scratch_rows<size, A>(blocks);
    ctx.launch(ops::TableBlocks<T, Problem>{k, tables});
    ctx.launch(ops::ColumnSum<A, size, Element>{blocks, Element{tables}, k.dtable});
  }
}

}  // namespace sma
