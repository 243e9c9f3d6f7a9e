#pragma once

#include <cmath>
#include <ratio>
#include <sma/device/context.hpp>
#include <sma/module/module.hpp>
#include <sma/modules/linear.hpp>
#include <sma/ops/auxiliary.hpp>
#include <sma/ops/gate.hpp>
#include <sma/ops/gating.hpp>
#include <sma/ops/linear.hpp>
#include <sma/ops/sums.hpp>
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
  using rule = Rule;
  using estimator = Estimator;

  template <Index M>
  struct For {
    template <class T>
    using GatingOf = ops::Gating<T, Rule, Estimator, M>;
    static constexpr Index input_width = Width;
    static constexpr Index output_width = M;
    static constexpr Index branches = M;
    static constexpr bool valid = detail::check_configurator<Rule, Estimator, M>();
    static constexpr bool configures = true;
    /// A rule over sequences, though it may be causal, needs the steps before step t again, which a stream does not keep.
    static constexpr bool decides_sequences = Rule::causal && !detail::selects_steps<Rule, float, M>;
    static constexpr Reach reach = !Rule::causal       ? Reach::sequence
                                   : decides_sequences ? Reach::past
                                                       : Reach::row;
    static constexpr Index logits = GatingOf<float>::logits;
    static constexpr double flops(const Load&) { return 2.0 * Width * logits; }
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

    /// Logits, probabilities and weights are what rows are computed with, whatever they are stored as.
    template <class S>
    struct Saved {
      Rows<compute_of<S>, logits> u;     // (rows, K)
      compute_of<S>* p;                  // (rows, M)
      Decisions<compute_of<S>, M> made;  // (rows, M)
    };

    template <class C, class S, class A = compute_of<S>>
    static GatingOf<A> gating(C& ctx, const Weights<For, S>& w) {
      GatingOf<A> g{nullptr, A(1), ratio_value<A, typename Options::act_bias>(),
                    detail::is_noisy<Estimator>() && ctx.training(), ctx.random(w.instance)};
      if constexpr (learns_temperature) g.theta = w["temp"_p].data;
      if constexpr (detail::anneals<Estimator>())
        g.temperature = static_cast<A>(Estimator::temperature(ctx.settings.progress));
      return g;
    }

    /// Decides for every row; the decisions live as long as `saved`.
    template <class C, class S>
    static Decisions<compute_of<S>, M> forward(C& ctx, const Sequences& s, Rows<const S, Width> x,
                                               Weights<For, S> w, Saved<S>& saved) {
      using A = compute_of<S>;
      saved.u = ctx.template keep_rows<logits, A>(s.rows);
      saved.p = ctx.template keep<A>(s.rows * M);
      saved.made = {ctx.template keep<std::uint8_t>(s.rows * M), ctx.template keep<A>(s.rows * M)};
      ops::linear_forward(ctx, x, w["weight"_p].data, w["bias"_p].data, saved.u);
      ctx.launch(
          ops::Decide<A, Rule, Estimator, M>{gating(ctx, w), saved.u, s.ids, saved.p, saved.made.active});
      if constexpr (!detail::selects_steps<Rule, A, M>)
        ctx.launch(ops::DecideSequence<A, Rule, M>{s, saved.p, saved.made.active});
      ctx.launch(ops::WeighDecisions<A, Estimator, M>{saved.p, saved.made.active, s.rows, saved.made.weight,
                                                      ctx.trace, ctx.trace_columns, w.trace, s.ids});
      if (w.metric_data != nullptr)
        ctx.launch(ops::RouterMetrics<A, GatingOf<A>, M>{
            s, saved.u.data, saved.p, saved.made.active, ctx.settings.auxiliary.budget_target,
            1.0 / static_cast<double>(ctx.settings.batch_sequences), w.metric_data});
      return saved.made;
    }

    /// dweight (rows, M): d loss / d weight, 0 where skipped. Writes dx (unless null) and adds to g.
    template <class C, class S>
    static void backward(C& ctx, const Sequences& s, Rows<const S, Width> x, const compute_of<S>* dweight,
                         Target<S, Width> dx, Weights<For, S> w, Gradients<For, S> g, Saved<S>& saved) {
      using A = compute_of<S>;
      auto scope = ctx.scope();
      const AuxiliaryWeights& aux = ctx.settings.auxiliary;
      const bool shapes_p = !same_number(aux.load_balance, 0.0) || !same_number(aux.budget, 0.0);
      const A share =
          static_cast<A>(ctx.settings.auxiliary_share / static_cast<double>(ctx.settings.batch_sequences));
      const auto du = ctx.template scratch_rows<logits, A>(s.rows);
      A* dtheta = ctx.template scratch<A>(s.rows);
      A* dp = shapes_p ? ctx.template scratch<A>(s.rows * M) : nullptr;
      ops::AuxiliaryBackward<A, GatingOf<A>, M> auxiliary{s,
                                                          saved.u.data,
                                                          saved.p,
                                                          saved.made.active,
                                                          static_cast<A>(aux.load_balance) * share,
                                                          static_cast<A>(aux.z_loss) * share,
                                                          static_cast<A>(aux.budget) * share,
                                                          static_cast<A>(aux.budget_target),
                                                          dp,
                                                          nullptr};
      if (shapes_p) ctx.launch(auxiliary);
      ctx.launch(ops::DecideBackward<A, Rule, Estimator, M>{gating(ctx, w), saved.u, s.ids, saved.p,
                                                            saved.made.active, dweight, dp, du, dtheta});
      if (!same_number(aux.z_loss, 0.0)) {
        auxiliary.du = du.data;
        ctx.launch(auxiliary);
      }
      if constexpr (learns_temperature) {
        using Theta = ops::ElementTerm<A, 1>;
        ops::column_sum<1>(ctx, s.rows, Theta{{dtheta, s.rows}}, g["temp"_p].data);
      }
      ops::linear_backward(ctx, Rows<const A, logits>(du), x, w["weight"_p].data, g["weight"_p].data,
                           g["bias"_p].data, dx.rows, dx.base);
    }

   private:
    template <class S, class Ratio>
    static constexpr S ratio_value() {
      return static_cast<S>(Ratio::num) / static_cast<S>(Ratio::den);
    }
  };
};

}  // namespace sma
