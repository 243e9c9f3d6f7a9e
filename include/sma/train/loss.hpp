#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <sma/core/context.hpp>
#include <sma/core/network.hpp>
#include <span>
#include <string>

namespace sma {

inline namespace SMA_ISA {
namespace kernels {

/// One row: loss = log sum exp(y) - y[target]; dy = scale * (softmax(y) - onehot(target)); right when target is the argmax. A row
/// whose target is `ignored` has loss 0, gradient 0 and is not right; a row with a NaN has a NaN loss and is not right.
template <class T, Index Classes>
struct CrossEntropyRow {
  Rows<const T, Classes> y;
  Rows<T, Classes> dy;  // null: no gradient wanted
  const std::int32_t* targets;
  T scale;
  double* losses;   // (rows)
  double* correct;  // (rows)
  bool ignores;     // whether there is a target that is ignored
  std::int32_t ignored;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
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
    const T top = logits[best];
    T sum = 0;
    for (Index c = 0; c < Classes; ++c) sum += std::exp(logits[c] - top);
    losses[i] = static_cast<double>(std::log(sum)) + static_cast<double>(top - logits[target]);
    correct[i] = best == target && sum > 0 ? 1.0 : 0.0;  // the sum is NaN when a logit is
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
}  // namespace SMA_ISA

/// Cross entropy in nats between logits (rows, Classes) and class numbers 0 .. Classes - 1, for `Network::accumulate` and evaluation.
/// Rows whose target is `ignored`, where that is set, count nowhere: no loss, no gradient, no right answer.
/// Throws `Error` for any other number that is no class.
/// PyTorch: nn.CrossEntropyLoss(reduction="sum", ignore_index=ignored) times the scale.
struct CrossEntropy {
  std::optional<std::int32_t> ignored{};

  /// How many of the targets count.
  [[nodiscard]] Index count(std::span<const std::int32_t> targets) const {
    const auto all = static_cast<Index>(targets.size());
    return ignored ? all - std::count(targets.begin(), targets.end(), *ignored) : all;
  }

  /// Throws `Error` for the first target that is neither a class nor ignored.
  SMA_NOINLINE void check(std::span<const std::int32_t> targets, Index classes) const {
    for (std::size_t i = 0; i < targets.size(); ++i)
      if ((targets[i] < 0 || targets[i] >= classes) && targets[i] != ignored)
        throw Error("sma::CrossEntropy: row " + std::to_string(i) + ": found target " +
                    std::to_string(targets[i]) + ", expected 0 to " + std::to_string(classes - 1) +
                    (ignored ? " or the ignored " + std::to_string(*ignored) : ""));
  }

  template <class C, class S, Index Classes>
  LossSum operator()(C& ctx, Rows<const S, Classes> y, Rows<S, Classes> dy,
                     std::span<const std::int32_t> targets, S scale) const {
    auto scope = ctx.scope();
    auto* device_targets = ctx.template scratch<std::int32_t>(y.rows);
    C::Backend::upload(device_targets, targets.data(), targets.size_bytes());
    auto* losses = ctx.template scratch<double>(y.rows);
    auto* correct = ctx.template scratch<double>(y.rows);
    auto* sums = ctx.template scratch<double>(2);
    ctx.launch(kernels::CrossEntropyRow<S, Classes>{y, dy, device_targets, scale, losses, correct,
                                                    ignored.has_value(), ignored.value_or(0)});
    ctx.launch(kernels::OrderedSum{losses, y.rows, sums});
    ctx.launch(kernels::OrderedSum{correct, y.rows, sums + 1});
    double host[2];
    C::Backend::download(host, sums, sizeof(host));
    return {host[0], host[1], static_cast<double>(count(targets))};
  }

  /// The sums over rows in host memory, one target a row, without gradient. Throws `Error` for another number of targets too.
  template <class S, Index Classes>
  static LossSum evaluate(const Output<S, Classes>& y, std::span<const std::int32_t> targets) {
    return evaluate(y, targets, CrossEntropy());
  }
  template <class S, Index Classes>
  static LossSum evaluate(const Output<S, Classes>& y, std::span<const std::int32_t> targets,
                          const CrossEntropy& loss) {
    if (static_cast<Index>(targets.size()) != y.count)
      throw Error("sma::CrossEntropy::evaluate: found " + std::to_string(targets.size()) +
                  " targets, expected " + std::to_string(y.count) + ", one an output row");
    loss.check(targets, Classes);
    LossSum total;
    for (Index i = 0; i < y.count; ++i) {
      double row_loss = 0;
      double correct = 0;
      const Rows<const S, Classes> row{y.rows.row(i), 1};
      kernels::CrossEntropyRow<S, Classes>{row,
                                           {},
                                           &targets[static_cast<std::size_t>(i)],
                                           S(0),
                                           &row_loss,
                                           &correct,
                                           loss.ignored.has_value(),
                                           loss.ignored.value_or(0)}(0);
      total.loss += row_loss;
      total.correct += correct;
    }
    total.counted = static_cast<double>(loss.count(targets));
    return total;
  }
};

}  // namespace sma
