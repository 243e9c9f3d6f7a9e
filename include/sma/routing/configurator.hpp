#pragma once

#include <cmath>
#include <ratio>
#include <sma/core/context.hpp>
#include <sma/core/module.hpp>
#include <sma/kernels/elementwise.hpp>
#include <sma/modules/linear.hpp>
#include <sma/routing/estimators.hpp>
#include <sma/routing/rules.hpp>

namespace sma {

/// What a configurator decides for a packed batch with M branches.
template <class S, Index M>
struct Decisions {
  std::uint8_t* active = nullptr;  // (rows, M) decision vectors a
  S* weight = nullptr;             // (rows, M) a * c: what multiplies a branch's output, 0 where skipped
};

namespace detail {

template <class Estimator>
constexpr bool is_noisy() {
  if constexpr (requires { Estimator::noisy; })
    return Estimator::noisy;
  else
    return false;
}
template <class Estimator>
constexpr bool anneals() {
  return requires { Estimator::temperature(0.5); };
}
template <class Rule, class T, Index M>
inline constexpr bool selects_steps =
    requires(const T* p, std::uint8_t* a) { Rule::template select<T, M>(p, a); };

template <class Rule, class T, Index M>
inline constexpr bool selects_sequences = requires(const T* p, Index length, std::uint8_t* a) {
  Rule::template select_sequence<T, M>(p, length, a);
};

/// What LatentConfigurator needs, whatever the scalar type.
template <class Rule>
concept SelectionRule = requires {
  { Rule::causal } -> std::convertible_to<bool>;
  { Rule::competition } -> std::convertible_to<Competition>;
} && (selects_steps<Rule, float, 1> || selects_sequences<Rule, float, 1>);
template <class Estimator>
concept GradientEstimator = requires(float p) {
  { Estimator::gate } -> std::convertible_to<Gate>;
  { Estimator::weight(p) } -> std::convertible_to<float>;
  { Estimator::slope(p) } -> std::convertible_to<float>;
};

template <class Rule, class Estimator, Index M>
constexpr bool check_configurator() {
  if constexpr (!SelectionRule<Rule>) {
    static_assert(
        is_not_a_rule<Rule>,
        "sma::LatentConfigurator<Width, Rule, Estimator> requires 'Rule' to have causal, competition, "
        "and select or select_sequence");
    return false;
  } else if constexpr (!GradientEstimator<Estimator>) {
    static_assert(
        is_not_an_estimator<Estimator>,
        "sma::LatentConfigurator<Width, Rule, Estimator> requires 'Estimator' to have gate, weight(p) "
        "and slope(p)");
    return false;
  } else if constexpr (Rule::competition == Competition::among && M == 1) {
    static_assert(
        cannot_learn<Rule, Has<M>>,
        "sma::Router<Configurator, Branch<Name, M>, ...> requires more than one branch where they compete");
    return false;
  } else if constexpr (requires { requires Rule::chosen == M; }) {
    static_assert(cannot_learn<Rule, Has<M>>,
                  "sma::Router<Configurator, Branch<Name, M>, ...> requires more branches than its selection "
                  "rule always chooses");
    return false;
  } else if constexpr (requires { requires Rule::least_branches > M; }) {
    static_assert(too_few_branches<Rule, Has<M>, Needs<Rule::least_branches>>,
                  "sma::Router<Configurator, Branch<Name, M>, ...> requires at least as many branches as its "
                  "selection rule chooses");
    return false;
  } else {
    return true;
  }
}

}  // namespace detail

inline namespace SMA_ISA {
namespace kernels {

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

}  // namespace kernels
}  // namespace SMA_ISA

/// Options of LatentConfigurator, each with its default.
struct ConfiguratorDefaults {
  using temperature_scale = std::ratio<1>;  // s: tau_0 = s * sqrt(Width)
  using act_bias = std::ratio<0>;           // added to u_skip
  static constexpr bool learned_temperature = true;
};
template <class Scale>
struct TemperatureScale : ConfiguratorDefaults {
  using temperature_scale = Scale;
};

/// The latent configurator (the paper's section 3): logits u = W h + b, P = softmax(u / tau), tau = exp(theta) learned,
/// decisions by `Rule`, weights and gradients by `Estimator`. h (rows, Width). One instance serves M branches.
///
/// Parameters: weight (K, Width), bias (K), temp (1), theta_0 = log(s * sqrt(Width)). K = 2M, pairs (skip, run) a branch,
/// where branches decide each for itself; K = M where they compete or the gate is a sigmoid. An annealed temperature
/// (GumbelSoftmax) or a sigmoid gate leaves `temp` out.
template <Index Width, class Rule, class Estimator, class Options = ConfiguratorDefaults>
struct LatentConfigurator {
  static constexpr Index input_width = Width;
  static constexpr bool causal = Rule::causal;
  using rule = Rule;
  using estimator = Estimator;

  template <Index M>
  struct For {
    template <class T>
    using GatingOf = kernels::Gating<T, Rule, Estimator, M>;
    static constexpr Index input_width = Width;
    static constexpr Index output_width = M;
    static constexpr Index branches = M;
    static constexpr bool valid = detail::check_configurator<Rule, Estimator, M>();
    static constexpr bool configures = true;
    static constexpr bool causal = Rule::causal;
    /// Step t needs the steps before it again, which a stream does not keep.
    static constexpr bool decides_sequences = Rule::causal && !detail::selects_steps<Rule, float, M>;
    static constexpr bool streamable = Rule::causal && !decides_sequences;
    static constexpr Index logits = GatingOf<float>::logits;
    static constexpr bool learns_temperature =
        Options::learned_temperature && Estimator::gate == Gate::softmax && !detail::anneals<Estimator>();
    static constexpr Index trace_width = M;

    struct InitialTheta {
      static double value(RandomSequence&, Index) {
        using Scale = typename Options::temperature_scale;
        return std::log(static_cast<double>(Scale::num) / static_cast<double>(Scale::den) *
                        std::sqrt(static_cast<double>(Width)));
      }
    };
    using Parameters = std::conditional_t<
        learns_temperature,
        sma::Parameters<Param<"weight", Shape<logits, Width>, SmallNormal>, Param<"bias", Shape<logits>>,
                        Param<"temp", Shape<1>, InitialTheta>>,
        sma::Parameters<Param<"weight", Shape<logits, Width>, SmallNormal>, Param<"bias", Shape<logits>>>>;
    using Metrics = sma::Parameters<Param<"rows", Shape<1>>, Param<"active", Shape<M>>,
                                    Param<"confidence", Shape<M>>, Param<"load_balance", Shape<1>>,
                                    Param<"z_loss", Shape<1>>, Param<"budget", Shape<1>>>;

    template <class S>
    struct Saved {
      Rows<const S, Width> x;
      Rows<S, logits> u;     // (rows, K)
      S* p;                  // (rows, M)
      Decisions<S, M> made;  // (rows, M)
    };

    template <class C, class S>
    static GatingOf<S> gating(C& ctx, const Weights<For, S>& w) {
      GatingOf<S> g{nullptr, S(1), ratio_value<S, typename Options::act_bias>(),
                    detail::is_noisy<Estimator>() && ctx.training(), ctx.random(w.instance)};
      if constexpr (learns_temperature) g.theta = w.data + logits * Width + logits;
      if constexpr (detail::anneals<Estimator>())
        g.temperature = static_cast<S>(Estimator::temperature(ctx.settings.progress));
      return g;
    }

    /// Decides for every row; the decisions live as long as `saved`.
    template <class C, class S>
    static Decisions<S, M> forward(C& ctx, const Sequences& s, Rows<const S, Width> x, Weights<For, S> w,
                                   Saved<S>& saved) {
      saved.x = x;
      saved.u = ctx.template keep_rows<logits>(s.rows);
      saved.p = ctx.template keep<S>(s.rows * M);
      saved.made = {ctx.template keep<std::uint8_t>(s.rows * M), ctx.template keep<S>(s.rows * M)};
      detail::linear_forward(ctx, x, w.data, w.data + logits * Width, saved.u);
      ctx.launch(
          kernels::Decide<S, Rule, Estimator, M>{gating(ctx, w), saved.u, s.ids, saved.p, saved.made.active});
      if constexpr (!detail::selects_steps<Rule, S, M>)
        ctx.launch(kernels::DecideSequence<S, Rule, M>{s, saved.p, saved.made.active});
      ctx.launch(kernels::WeighDecisions<S, Estimator, M>{saved.p, saved.made.active, s.rows,
                                                          saved.made.weight, ctx.trace, ctx.trace_columns,
                                                          w.trace, s.ids});
      if (w.metric_data != nullptr)
        ctx.launch(kernels::RouterMetrics<S, GatingOf<S>, M>{
            s, saved.u.data, saved.p, saved.made.active, ctx.settings.auxiliary.budget_target,
            1.0 / static_cast<double>(ctx.settings.batch_sequences), w.metric_data});
      return saved.made;
    }

    /// dweight (rows, M): d loss / d weight, 0 where skipped. Writes dx (unless null) and adds to g.
    template <class C, class S>
    static void backward(C& ctx, const Sequences& s, const S* dweight, Rows<S, Width> dx, Weights<For, S> w,
                         Gradients<For, S> g, Saved<S>& saved) {
      backward_onto(ctx, s, dweight, Rows<const S, Width>{}, dx, w, g, saved);
    }

    template <class C, class S>
    static void backward_onto(C& ctx, const Sequences& s, const S* dweight, Rows<const S, Width> base,
                              Rows<S, Width> dx, Weights<For, S> w, Gradients<For, S> g, Saved<S>& saved) {
      auto scope = ctx.scope();
      const AuxiliaryWeights& aux = ctx.settings.auxiliary;
      const bool shapes_p = !same_number(aux.load_balance, 0.0) || !same_number(aux.budget, 0.0);
      const S share =
          static_cast<S>(ctx.settings.auxiliary_share / static_cast<double>(ctx.settings.batch_sequences));
      const auto du = ctx.template scratch_rows<logits>(s.rows);
      S* dtheta = ctx.template scratch<S>(s.rows);
      S* dp = shapes_p ? ctx.template scratch<S>(s.rows * M) : nullptr;
      kernels::AuxiliaryBackward<S, GatingOf<S>, M> auxiliary{s,
                                                              saved.u.data,
                                                              saved.p,
                                                              saved.made.active,
                                                              static_cast<S>(aux.load_balance) * share,
                                                              static_cast<S>(aux.z_loss) * share,
                                                              static_cast<S>(aux.budget) * share,
                                                              static_cast<S>(aux.budget_target),
                                                              dp,
                                                              nullptr};
      if (shapes_p) ctx.launch(auxiliary);
      ctx.launch(kernels::DecideBackward<S, Rule, Estimator, M>{gating(ctx, w), saved.u, s.ids, saved.p,
                                                                saved.made.active, dweight, dp, du, dtheta});
      if (!same_number(aux.z_loss, 0.0)) {
        auxiliary.du = du.data;
        ctx.launch(auxiliary);
      }
      if constexpr (learns_temperature) {
        using Theta = kernels::ElementTerm<S, 1>;
        ctx.launch(kernels::ColumnSum<S, 1, Theta>{s.rows, Theta{{dtheta, s.rows}},
                                                   g.data + logits * Width + logits});
      }
      detail::linear_backward(ctx, Rows<const S, logits>(du), saved.x, w.data, g.data,
                              g.data + logits * Width, dx, base);
    }

    template <class S>
    static void rebase(Saved<S>& saved, Rows<const S, Width> x) {
      saved.x = x;
    }

   private:
    template <class S, class Ratio>
    static constexpr S ratio_value() {
      return static_cast<S>(Ratio::num) / static_cast<S>(Ratio::den);
    }
  };
};

}  // namespace sma
