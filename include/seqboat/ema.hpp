#pragma once

#include <algorithm>
#include <cmath>
#include <sma/device/fill.hpp>
#include <sma/module/module.hpp>
#include <sma/ops/decay.hpp>
#include <sma/ops/ema.hpp>
#include <sma/ops/functions.hpp>
#include <sma/ops/map.hpp>

namespace seqboat {

using sma::Index;

/// Multi-dimensional damped exponential moving average (MEGA; SeqBoat's section 4.1), N = `States` per channel.
///
///     p = sigmoid(delta)   q = 1 - p sigmoid(alpha)   k[m] = sum_n p_n beta_n gamma_n q_n^m / sqrt(N)
///     causal:        y_t = sum_{m>=0} k[m] x_{t-m} + omega x_t
///     bidirectional: y_t = sum_{m>=0} k1[m] x_{t-m} + sum_{m>=0} k2[m] x_{t+m} + omega x_t
/// `Truncation` K > 0 cuts the kernels to m < K. Runs as a recurrence: O(rows N) time. x, y (rows, Width).
/// Parameters: delta, alpha, beta (R, N, 1), gamma (R, N), omega (Width); R = Width, or 2 Width when bidirectional.
template <Index Width, Index States, bool Bidirectional, Index Truncation = 0>
struct Ema {
  static constexpr Index input_width = Width;
  static constexpr Index output_width = Width;
  static constexpr sma::Reach reach = Bidirectional ? sma::Reach::sequence : sma::Reach::past;
  static constexpr Index rows = Bidirectional ? 2 * Width : Width;
  static constexpr Index size = rows * States;

  /// As a recurrence: s = q s + x and y += h s for each state, and omega x.
  static constexpr double flops(const sma::Load&) { return 4.0 * size + 2.0 * Width; }

  struct InitialBeta {
    static double value(sma::RandomSequence& random, Index i) {
      return 0.02 * random.truncated_normal() + (i % States % 2 == 0 ? 1.0 : -1.0);
    }
  };
  using Fifth = sma::init::TruncatedNormal<std::ratio<1, 5>>;
  using Unit = sma::init::TruncatedNormal<std::ratio<1>>;
  using Parameters = sma::Parameters<sma::Param<"delta", sma::Shape<rows, States, 1>, Fifth>,
                                     sma::Param<"alpha", sma::Shape<rows, States, 1>, Fifth>,
                                     sma::Param<"beta", sma::Shape<rows, States, 1>, InitialBeta>,
                                     sma::Param<"gamma", sma::Shape<rows, States>, Unit>,
                                     sma::Param<"omega", sma::Shape<Width>, Unit>>;

  /// Constant size: the states, the coefficients (computed at the first step after a reset), and the last K inputs.
  template <class S>
    requires(!Bidirectional)
  struct Stream {
    sma::compute_of<S> state[static_cast<std::size_t>(size)];
    sma::compute_of<S> decay[static_cast<std::size_t>(size)];
    sma::compute_of<S> weight[static_cast<std::size_t>(size)];
    sma::compute_of<S> cut[static_cast<std::size_t>(Truncation > 0 ? size : 1)];
    S ring[static_cast<std::size_t>(Truncation > 0 ? Truncation * Width : 1)];  // (K, Width)
    Index steps;

    [[nodiscard]] bool is_sound(sma::Position) const { return steps >= 0 && steps <= sma::latest_position; }
  };

  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences& s, sma::Rows<const S, Width> x, sma::Rows<S, Width> y,
                      sma::Weights<Ema, S> w, sma::NoState&) {
    const auto [delta, alpha, beta, gamma, omega] = w.tensors();
    auto scope = ctx.scope();
    const auto made = coefficients(ctx, w);
    ctx.launch(sma::ops::DecayForward<S, Width, States, false, Bidirectional>{
        s, x, y, made.decay, made.weight, omega.data, Truncation});
  }

  template <class C, class S>
  static void backward(C& ctx, const sma::Sequences& s, sma::Rows<const S, Width> x,
                       sma::Rows<const S, Width> dy, sma::Rows<S, Width> dx, sma::Weights<Ema, S> w,
                       sma::Gradients<Ema, S> g, sma::NoState&) {
    const auto [delta, alpha, beta, gamma, omega] = w.tensors();
    const auto [ddelta, dalpha, dbeta, dgamma, domega] = g.tensors();
    auto scope = ctx.scope();
    const auto made = coefficients(ctx, w);
    using A = sma::compute_of<S>;
    A* ddecay = ctx.template scratch<A>(size);
    A* dweight = ctx.template scratch<A>(size);
    ctx.launch(sma::ops::Fill<A>{ddecay, size, A(0)});
    ctx.launch(sma::ops::Fill<A>{dweight, size, A(0)});
    ctx.launch(sma::ops::DecayBackward<S, Width, States, Bidirectional>{
        s, x, dy, dx, made.decay, made.weight, omega.data, Truncation, ddecay, dweight, domega.data});
    ctx.launch(sma::ops::EmaCoefficientsBackward<A, States>{made.p, made.a, beta.data, gamma.data, ddecay,
                                                            dweight, size, ddelta.data, dalpha.data,
                                                            dbeta.data, dgamma.data});
  }

  template <class C, class S>
  static void step(C& ctx, const sma::Sequences&, sma::Rows<const S, Width> x, sma::Rows<S, Width> y,
                   sma::Weights<Ema, S> w, Stream<S>& stream) {
    begin(ctx, w, stream);
    go_on(ctx, x.data, y.data, w, stream);
  }
  template <class C, class S>
  static void steps(C& ctx, const sma::Sequences& s, sma::Rows<const S, Width> x, sma::Rows<S, Width> y,
                    sma::Weights<Ema, S> w, Stream<S>& stream) {
    begin(ctx, w, stream);
    for (Index i = 0; i < s.rows; ++i) go_on(ctx, x.row(i), y.row(i), w, stream);
  }

 private:
  template <class S>
  struct Coefficients {
    S* p;       // (R, N), sigmoid(delta)
    S* a;       // (R, N), sigmoid(alpha)
    S* decay;   // (R, N), q
    S* weight;  // (R, N), h
  };

  template <class C, class S>
  static void begin(C& ctx, const sma::Weights<Ema, S>& w, Stream<S>& stream) {
    if (stream.steps > 0) return;
    auto scope = ctx.scope();
    const auto made = coefficients(ctx, w);
    std::copy_n(made.decay, size, stream.decay);
    std::copy_n(made.weight, size, stream.weight);
    if constexpr (Truncation > 0)
      for (Index i = 0; i < size; ++i) stream.cut[i] = sma::ops::vanishing_power(stream.decay[i], Truncation);
  }
  template <class C, class S>
  static void go_on(C& ctx, const S* x, S* y, const sma::Weights<Ema, S>& w, Stream<S>& stream) {
    const auto [delta, alpha, beta, gamma, omega] = w.tensors();
    S* slot = stream.ring;
    if constexpr (Truncation > 0) slot += stream.steps % Truncation * Width;
    const bool leaves = Truncation > 0 && stream.steps >= Truncation;
    ctx.launch(sma::ops::DecayStep<S, Width, States>{x, y, stream.decay, stream.weight, omega.data,
                                                     stream.state, stream.cut, leaves ? slot : nullptr});
    if constexpr (Truncation > 0) std::copy_n(x, Width, slot);
    ++stream.steps;
  }

  /// In memory of the enclosing scope.
  template <class C, class S, class A = sma::compute_of<S>>
  static Coefficients<A> coefficients(C& ctx, const sma::Weights<Ema, S>& w) {
    using Sigmoid = sma::ops::Apply<A, States, sma::functions::Sigmoid>;
    const auto [delta, alpha, beta, gamma, omega] = w.tensors();
    const Coefficients<A> made{ctx.template scratch<A>(size), ctx.template scratch<A>(size),
                               ctx.template scratch<A>(size), ctx.template scratch<A>(size)};
    ctx.launch(Sigmoid{{delta.data, rows}, {made.p, rows}});
    ctx.launch(Sigmoid{{alpha.data, rows}, {made.a, rows}});
    ctx.launch(sma::ops::EmaCoefficients<A, States>{made.p, made.a, beta.data, gamma.data, size, made.decay,
                                                    made.weight});
    return made;
  }
};

}  // namespace seqboat
