#pragma once

#include <cmath>
#include <sma/core/context.hpp>
#include <sma/core/network.hpp>
#include <span>

namespace sma {

namespace kernels {

/// One row: loss = log sum exp(y) - y[target]; dy = scale * (softmax(y) - onehot(target)); right when target is the argmax.
template <class T, Index Classes>
struct CrossEntropyRow {
  Rows<const T, Classes> y;
  Rows<T, Classes> dy;  // null: no gradient wanted
  const std::int32_t* targets;
  T scale;
  double* losses;   // (rows)
  double* correct;  // (rows)
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    const T* logits = y.row(i);
    const Index target = targets[i];
    Index best = 0;
    for (Index c = 1; c < Classes; ++c) best = logits[c] > logits[best] ? c : best;
    const T top = logits[best];
    T sum = 0;
    for (Index c = 0; c < Classes; ++c) sum += std::exp(logits[c] - top);
    losses[i] = static_cast<double>(std::log(sum)) + static_cast<double>(top - logits[target]);
    correct[i] = best == target ? 1.0 : 0.0;
    if (!dy) return;
    for (Index c = 0; c < Classes; ++c)
      dy(i, c) = scale * (std::exp(logits[c] - top) / sum - (c == target ? T(1) : T(0)));
  }
};

/// out[0] = sum of x, in order.
struct OrderedSum {
  const double* x;
  Index count;
  double* out;
  SMA_HD Index extent() const { return 1; }
  SMA_HD void operator()(Index) const {
    double total = 0;
    for (Index i = 0; i < count; ++i) total += x[i];
    out[0] = total;
  }
};

}  // namespace kernels

/// Cross entropy in nats between logits (rows, Classes) and class numbers, for `Network::accumulate` and evaluation.
/// PyTorch: nn.CrossEntropyLoss(reduction="sum") times the scale.
struct CrossEntropy {
  template <class C, class S, Index Classes>
  LossSum operator()(C& ctx, Rows<const S, Classes> y, Rows<S, Classes> dy,
                     std::span<const std::int32_t> targets, S scale) const {
    auto scope = ctx.scope();
    auto* device_targets = ctx.template scratch<std::int32_t>(y.rows);
    C::Backend::upload(device_targets, targets.data(), targets.size_bytes());
    auto* losses = ctx.template scratch<double>(y.rows);
    auto* correct = ctx.template scratch<double>(y.rows);
    auto* sums = ctx.template scratch<double>(2);
    ctx.launch(kernels::CrossEntropyRow<S, Classes>{y, dy, device_targets, scale, losses, correct});
    ctx.launch(kernels::OrderedSum{losses, y.rows, sums});
    ctx.launch(kernels::OrderedSum{correct, y.rows, sums + 1});
    double host[2];
    C::Backend::download(host, sums, sizeof(host));
    return {host[0], host[1]};
  }

  /// The same over rows in host memory, without gradient.
  template <class S, Index Classes>
  static LossSum evaluate(const Output<S, Classes>& y, std::span<const std::int32_t> targets) {
    LossSum total;
    for (Index i = 0; i < y.count; ++i) {
      double loss = 0;
      double correct = 0;
      const Rows<const S, Classes> row{y.rows.row(i), 1};
      kernels::CrossEntropyRow<S, Classes>{row,  {},    &targets[static_cast<std::size_t>(i)],
                                           S(0), &loss, &correct}(0);
      total.loss += loss;
      total.correct += correct;
    }
    return total;
  }
};

}  // namespace sma
