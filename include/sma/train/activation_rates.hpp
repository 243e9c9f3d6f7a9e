#pragma once

#include <cstddef>
#include <sma/module/module.hpp>
#include <span>
#include <utility>
#include <vector>

namespace sma {

/// Activation rate of each router in the last pass, in the order of the layers: active branch steps / (steps * branches); 0
/// where a router saw no step.
template <class Net>
std::vector<double> activation_rates(const Net& net);

namespace detail {

/// Where a router's configurator counts its steps and, branch by branch, the active ones.
struct RouterSlots {
  Index rows;
  Index active;
  Index branches;
};

/// Appends the slots of a configurator whose metrics begin at `at`; nothing when it does not report both.
[[gnu::cold]] inline void append_router(std::span<const TensorRow> metrics, Index at,
                                        std::vector<RouterSlots>& out) {
  RouterSlots slots{-1, -1, 0};
  for (const TensorRow& metric : metrics) {
    if (metric.name == "rows" && metric.size == 1) slots.rows = at;
    if (metric.name == "active") {
      slots.active = at;
      slots.branches = metric.size;
    }
    at += metric.size;
  }
  if (slots.rows >= 0 && slots.active >= 0) out.push_back(slots);
}

/// Appends the routers inside M, whose metrics begin at `at`.
template <class M>
void append_routers(Index at, std::vector<RouterSlots>& out) {
  if constexpr (requires { M::configures; }) append_router(metrics_of<M>::table, at, out);
  [&]<std::size_t... N>(std::index_sequence<N...>) {
    (
        [&] {
          using Entry = typename children_of<M>::template at<N>;
          for (Index k = 0; k < Entry::count; ++k)
            append_routers<typename Entry::module>(
                at + child_offset<M, N>().metrics + k * extent_of<typename Entry::module>.metrics, out);
        }(),
        ...);
  }(std::make_index_sequence<children_of<M>::size>{});
}

template <class M>
std::vector<RouterSlots> routers_of() {
  std::vector<RouterSlots> out;
  append_routers<M>(0, out);
  return out;
}

/// Active branch steps and branch steps of each router, summed over passes.
class ActivationSums {
 public:
  ActivationSums() = default;
  explicit ActivationSums(std::vector<RouterSlots> routers)
      : routers_(std::move(routers)), active_(routers_.size()), steps_(routers_.size()) {}

  /// Adds a pass, given as its `metric_values()`.
  [[gnu::cold]] void add(std::span<const double> metrics) {
    for (std::size_t r = 0; r < routers_.size(); ++r) {
      const RouterSlots& at = routers_[r];
      for (Index i = 0; i < at.branches; ++i) active_[r] += metrics[static_cast<std::size_t>(at.active + i)];
      steps_[r] += metrics[static_cast<std::size_t>(at.rows)] * static_cast<double>(at.branches);
    }
  }
  [[gnu::cold]] void add(const ActivationSums& o) {
    for (std::size_t r = 0; r < active_.size(); ++r) {
      active_[r] += o.active_[r];
      steps_[r] += o.steps_[r];
    }
  }
  [[nodiscard]] [[gnu::cold]] std::vector<double> rates() const {
    std::vector<double> out;
    for (std::size_t r = 0; r < active_.size(); ++r)
      out.push_back(steps_[r] > 0 ? active_[r] / steps_[r] : 0.0);
    return out;
  }
  [[nodiscard]] std::span<double> active() { return active_; }
  [[nodiscard]] std::span<double> steps() { return steps_; }
  void clear() {
    active_.assign(active_.size(), 0);
    steps_.assign(steps_.size(), 0);
  }

 private:
  std::vector<RouterSlots> routers_;
  std::vector<double> active_;
  std::vector<double> steps_;
};

}  // namespace detail

template <class Net>
std::vector<double> activation_rates(const Net& net) {
  detail::ActivationSums sums(detail::routers_of<typename Net::description>());
  sums.add(net.metric_values());
  return sums.rates();
}

}  // namespace sma
