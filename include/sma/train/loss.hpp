#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <sma/device/context.hpp>
#include <sma/network/network.hpp>
#include <sma/ops/cross_entropy.hpp>
#include <sma/ops/sums.hpp>
#include <span>
#include <string>

namespace sma {

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
  PendingLossSum operator()(C& ctx, Rows<const S, Classes> y, Rows<S, Classes> dy,
                            std::span<const std::int32_t> targets, compute_of<S> scale) const {
    auto scope = ctx.scope();
    auto* device_targets = ctx.template scratch<std::int32_t>(y.rows);
    ctx.backend().upload(device_targets, targets.data(), targets.size_bytes());
    auto* losses = ctx.template scratch<double>(y.rows);
    auto* correct = ctx.template scratch<double>(y.rows);
    auto* sums = ctx.template scratch<double>(2);
    ctx.launch(ops::CrossEntropyRow<S, Classes>{y, dy, device_targets, scale, losses, correct,
                                                ignored.has_value(), ignored.value_or(0)});
    ctx.launch(ops::OrderedSum{losses, y.rows, sums});
    ctx.launch(ops::OrderedSum{correct, y.rows, sums + 1});
    auto* host = ctx.template host<double>(2);
    ctx.backend().download(host, sums, 2 * sizeof(double));
    return PendingLossSum{host, static_cast<double>(count(targets))};
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
    const Rows<const S, Classes> rows = y.host();
    for (Index i = 0; i < y.count; ++i) {
      double row_loss = 0;
      double correct = 0;
      const Rows<const S, Classes> row{rows.row(i), 1};
      ops::CrossEntropyRow<S, Classes>{row,
                                       {},
                                       &targets[static_cast<std::size_t>(i)],
                                       compute_of<S>(0),
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
