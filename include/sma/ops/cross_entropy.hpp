#pragma once

#include <cmath>
#include <sma/base/precision.hpp>
#include <sma/base/views.hpp>

/// Cross entropy of rows of logits.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// One row: loss = log sum exp(y) - y[target]; dy = scale * (softmax(y) - onehot(target)); right when target is the argmax. A row
/// whose target is `ignored` has loss 0, gradient 0 and is not right; a row with a NaN has a NaN loss and is not right.
template <class T, Index Classes>
struct CrossEntropyRow {
  Rows<const T, Classes> y;
  Rows<T, Classes> dy;  // null: no gradient wanted
  const std::int32_t* targets;
  compute_of<T> scale;
  double* losses;   // (rows)
  double* correct;  // (rows)
  bool ignores;     // whether there is a target that is ignored
  std::int32_t ignored;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    using A = compute_of<T>;
    const T* logits = y.row(i);
    const Index target = targets[i];
    if (ignores && targets[i] == ignored) {
      losses[i] = 0;
      correct[i] = 0;
      if (dy)
        for (Index c = 0; c < Classes; ++c) dy(i, c) = 0;
      return;
    }
    Index best = 0;
    for (Index c = 1; c < Classes; ++c) best = logits[c] > logits[best] ? c : best;
    const A top = logits[best];
    A sum = 0;
    for (Index c = 0; c < Classes; ++c) sum += std::exp(logits[c] - top);
    losses[i] = static_cast<double>(std::log(sum)) + static_cast<double>(top - logits[target]);
    correct[i] = best == target && sum > 0 ? 1.0 : 0.0;  // the sum is NaN when a logit is
    if (!dy) return;
    for (Index c = 0; c < Classes; ++c)
      dy(i, c) = scale * (std::exp(logits[c] - top) / sum - (c == target ? A(1) : A(0)));
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
