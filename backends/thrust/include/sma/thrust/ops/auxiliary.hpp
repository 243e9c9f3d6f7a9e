#pragma once

#include <sma/ops/auxiliary.hpp>
#include <sma/ops/sums.hpp>
#include <sma/thrust/backend.hpp>
#include <sma/thrust/part.hpp>

/// Statistics of a router with a thread a sequence.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// A router's metrics of each sequence on its own.
template <class Metrics, Index Slots>
struct SequenceMetrics {
  Metrics whole;
  Rows<double, Slots> partial;  // (sequences, Slots)
  SMA_HD Index extent() const { return partial.rows; }
  SMA_HD void operator()(Index q) const {
    Metrics one = whole;
    one.s.rows = whole.s.length(q);
    one.s.count = 1;
    one.s.offsets += q;
    one.slots = partial.row(q);
    for (Index i = 0; i < Slots; ++i) one.slots[i] = 0;
    one(0);
  }
};

}  // namespace ops
}  // namespace SMA_ISA

template <class System, class S, class T, class Gate, Index M>
void run(Context<Thrust<System, S>>& ctx, const ops::RouterMetrics<T, Gate, M>& k) {
  constexpr Index slots = 4 + 2 * M;
  auto scope = ctx.scope();
  const Rows<double, slots> partial{ctx.template scratch<double>(k.s.count * slots), k.s.count};
  using Element = ops::ElementTerm<double, slots>;
  ctx.launch(ops::SequenceMetrics<ops::RouterMetrics<T, Gate, M>, slots>{k, partial});
  ctx.launch(ops::ColumnSum<double, slots, Element>{k.s.count, Element{partial}, k.slots});
}

}  // namespace sma
