#pragma once

#include <cmath>
#include <sma/base/random.hpp>
#include <sma/base/sequences.hpp>
#include <sma/base/views.hpp>
#include <sma/ops/gate.hpp>

/// From logits to probabilities, decisions and weights of M branches, and back.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// Logits to probabilities of M branches, and the way back, for one step. K logits: 2M (skip, run pairs) or M.
template <class T, class Rule, class Estimator, Index M>
struct Gating {
  static constexpr bool paired = Rule::competition == Competition::each && Estimator::gate == Gate::softmax;
  static constexpr bool competes =
      Rule::competition == Competition::among && Estimator::gate == Gate::softmax;
  static constexpr Index logits = paired ? 2 * M : M;

  const T* theta;  // learned log temperature, or null
  T temperature;   // used when theta is null
  T act_bias;      // added to u_skip
  bool noisy;      // add Gumbel noise
  RandomStream random;

  SMA_HD T tau() const { return theta != nullptr ? std::exp(theta[0]) : temperature; }

  /// (u + noise) / tau, for pairs (u_run - u_skip - act_bias + noise) / tau: what probabilities are made of, M numbers.
  SMA_HD void scores(const T* u, std::int32_t id, T* v) const {
    const T inverse = Estimator::gate == Gate::sigmoid ? T(1) : 1 / tau();
    for (Index i = 0; i < M; ++i) {
      T score = paired ? u[2 * i + 1] - (u[2 * i] + act_bias) : u[i];
      if (noisy) {
        score += gumbel(id, 2 * i);
        if (paired) score -= gumbel(id, 2 * i + 1);
      }
      v[i] = score * inverse;
    }
  }
  SMA_HD T gumbel(std::int32_t id, Index column) const {
    return static_cast<T>(-std::log(-std::log(random.uniform(id, column))));
  }

  /// NaN where a score is NaN or infinite.
  SMA_HD static void probabilities(const T* v, T* p) {
    if constexpr (competes) {
      T top = v[0];
      for (Index i = 1; i < M; ++i) top = v[i] > top ? v[i] : top;
      T sum = 0;
      for (Index i = 0; i < M; ++i) sum += p[i] = std::exp(v[i] - top);
      for (Index i = 0; i < M; ++i) p[i] = p[i] / sum + (v[i] - v[i]);
    } else {
      for (Index i = 0; i < M; ++i) p[i] = 1 / (1 + std::exp(-v[i])) + (v[i] - v[i]);
    }
  }

  /// du += from dp; returns d loss / d theta of this step.
  SMA_HD T backward(const T* v, const T* p, const T* dp, T* du) const {
    const T inverse = Estimator::gate == Gate::sigmoid ? T(1) : 1 / tau();
    T mean = 0;
    if (competes)
      for (Index i = 0; i < M; ++i) mean += p[i] * dp[i];
    T dtheta = 0;
    for (Index i = 0; i < M; ++i) {
      const T dv = competes ? p[i] * (dp[i] - mean) : p[i] * (1 - p[i]) * dp[i];
      dtheta -= dv * v[i];
      if (paired) {
        du[2 * i + 1] += dv * inverse;
        du[2 * i] -= dv * inverse;
      } else {
        du[i] += dv * inverse;
      }
    }
    return dtheta;
  }

  /// Log-sum-exp of the logits that group g of a step is made of, for the z-loss; adds d(lse^2) * factor to du unless null.
  static constexpr Index groups = competes ? 1 : M;
  SMA_HD static T squared_log_sum(const T* u, Index g, T factor, T* du) {
    const Index first = competes ? 0 : (paired ? 2 * g : g);
    const Index count = competes ? M : (paired ? 2 : 1);
    T top = u[first];
    for (Index i = 1; i < count; ++i) top = u[first + i] > top ? u[first + i] : top;
    if (count == 1 && top < 0) top = 0;  // a sigmoid's other logit is 0
    T sum = count == 1 ? std::exp(-top) : T(0);
    for (Index i = 0; i < count; ++i) sum += std::exp(u[first + i] - top);
    const T value = top + std::log(sum);
    if (du != nullptr)
      for (Index i = 0; i < count; ++i) du[first + i] += factor * 2 * value * std::exp(u[first + i] - value);
    return value * value;
  }
};

/// Probabilities, decisions (for rules that decide a step at a time) and weights of each row.
template <class T, class Rule, class Estimator, Index M>
struct Decide {
  Gating<T, Rule, Estimator, M> gating;
  Rows<const T, Gating<T, Rule, Estimator, M>::logits> u;
  const std::int32_t* ids;
  T* p;                  // (rows, M)
  std::uint8_t* active;  // (rows, M)
  SMA_HD Index extent() const { return u.rows; }
  SMA_HD void operator()(Index t) const {
    T v[array_bound<M>];
    gating.scores(u.row(t), ids[t], v);
    gating.probabilities(v, p + t * M);
    if constexpr (sma::detail::selects_steps<Rule, T, M>)
      Rule::template select<T, M>(p + t * M, active + t * M);
  }
};

/// Decisions of rules that look at whole sequences.
template <class T, class Rule, Index M>
struct DecideSequence {
  Sequences s;
  const T* p;
  std::uint8_t* active;
  SMA_HD Index extent() const { return s.count; }
  SMA_HD void operator()(Index q) const {
    Rule::template select_sequence<T, M>(p + s.begin(q) * M, s.length(q), active + s.begin(q) * M);
  }
};

/// The weights of decisions. A branch whose probability is NaN runs, with the weight NaN: what is not a number shows in the output, whatever
/// rule and estimator make of it.
///
/// One index is one branch of one row. Not a loop over the branches of a row: g++ 12 miscompiles that for two branches with -O3
/// and AVX2 or AVX-512 (a masked load in an interleaved group).
template <class T, class Estimator, Index M>
struct WeighDecisions {
  const T* p;
  std::uint8_t* active;
  Index rows;
  T* weight;
  T* trace;  // null, or (batch rows, trace_columns) keyed by id
  Index trace_columns;
  Index trace_first;
  const std::int32_t* ids;
  SMA_HD Index extent() const { return rows * M; }
  SMA_HD void operator()(Index e) const {
    const bool is_number = same_number(p[e], p[e]);
    if (!is_number) active[e] = 1;
    weight[e] = !is_number ? p[e] : active[e] != 0 ? Estimator::weight(p[e]) : T(0);
    if (trace != nullptr)
      trace[static_cast<Index>(ids[e / M]) * trace_columns + trace_first + e % M] = weight[e];
  }
};

/// dweight (rows, M) to du (rows, K) and the rows' parts of dtheta.
template <class T, class Rule, class Estimator, Index M>
struct DecideBackward {
  using Gate = Gating<T, Rule, Estimator, M>;
  Gate gating;
  Rows<const T, Gate::logits> u;
  const std::int32_t* ids;
  const T* p;
  const std::uint8_t* active;
  const T* dweight;       // (rows, M)
  const T* dp_auxiliary;  // (rows, M) or null
  Rows<T, Gate::logits> du;
  T* dtheta;  // (rows)
  SMA_HD Index extent() const { return u.rows; }
  SMA_HD void operator()(Index t) const {
    T v[array_bound<M>];
    T dp[array_bound<M>];
    gating.scores(u.row(t), ids[t], v);
    for (Index i = 0; i < M; ++i) {
      const Index e = t * M + i;
      dp[i] = active[e] != 0 ? Estimator::slope(p[e]) * dweight[e] : T(0);
      if (dp_auxiliary != nullptr) dp[i] += dp_auxiliary[e];
    }
    for (Index c = 0; c < Gate::logits; ++c) du(t, c) = 0;
    dtheta[t] = gating.backward(v, p + t * M, dp, du.row(t));
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
