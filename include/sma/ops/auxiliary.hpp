#pragma once

#include <sma/base/sequences.hpp>
#include <sma/ops/gate.hpp>
#include <sma/ops/gating.hpp>

/// Statistics and auxiliary losses of a router.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// Statistics and auxiliary losses of each sequence, added to the metric slots in order.
/// Slots: rows, active[M], confidence[M], load_balance, z_loss, budget; losses are divided by the batch's sequences.
template <class T, class Gate, Index M>
struct RouterMetrics {
  Sequences s;
  const T* u;
  const T* p;
  const std::uint8_t* active;
  double budget_target;
  double inverse_sequences;
  double* slots;
  SMA_HD Index extent() const { return 1; }
  SMA_HD void operator()(Index) const {
    slots[0] += static_cast<double>(s.rows);
    for (Index q = 0; q < s.count; ++q) {
      if (s.length(q) == 0) continue;
      const double inverse = 1.0 / static_cast<double>(s.length(q));
      double balance = 0;
      double budget = 0;
      for (Index i = 0; i < M; ++i) {
        double chosen = 0;
        double total = 0;
        double confidence = 0;
        for (Index t = s.begin(q); t < s.end(q); ++t) {
          const Index e = t * M + i;
          total += static_cast<double>(p[e]);
          if (active[e] == 0) continue;
          chosen += 1;
          confidence += static_cast<double>(p[e]);
        }
        slots[1 + i] += chosen;
        slots[1 + M + i] += confidence;
        balance += chosen * inverse * total * inverse;
        budget += (total * inverse - budget_target) * (total * inverse - budget_target);
      }
      double z = 0;
      for (Index t = s.begin(q); t < s.end(q); ++t)
        for (Index g = 0; g < Gate::groups; ++g)
          z += static_cast<double>(Gate::squared_log_sum(u + t * Gate::logits, g, T(0), nullptr));
      slots[1 + 2 * M] += static_cast<double>(M) * balance * inverse_sequences;
      slots[2 + 2 * M] += z * inverse * inverse_sequences;
      slots[3 + 2 * M] += budget * inverse_sequences;
    }
  }
};

/// dp of load balance and budget, du of the z-loss, a sequence at a time.
template <class T, class Gate, Index M>
struct AuxiliaryBackward {
  Sequences s;
  const T* u;
  const T* p;
  const std::uint8_t* active;
  T load_balance, z_loss, budget;  // weights, divided by the batch's sequences
  T budget_target;
  T* dp;  // (rows, M), written
  T* du;  // (rows, K), added to; null in the first pass
  SMA_HD Index extent() const { return s.count; }
  SMA_HD void operator()(Index q) const {
    if (s.length(q) == 0) return;
    const T inverse = 1 / static_cast<T>(s.length(q));
    if (du != nullptr) {
      for (Index t = s.begin(q); t < s.end(q); ++t)
        for (Index g = 0; g < Gate::groups; ++g)
          Gate::squared_log_sum(u + t * Gate::logits, g, z_loss * inverse, du + t * Gate::logits);
      return;
    }
    for (Index i = 0; i < M; ++i) {
      T chosen = 0;
      T total = 0;
      for (Index t = s.begin(q); t < s.end(q); ++t) {
        chosen += active[t * M + i] != 0 ? T(1) : T(0);
        total += p[t * M + i];
      }
      const T slope =
          (load_balance * T(M) * chosen * inverse + budget * 2 * (total * inverse - budget_target)) * inverse;
      for (Index t = s.begin(q); t < s.end(q); ++t) dp[t * M + i] = slope;
    }
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
