#pragma once

#include <sma/compose/parts.hpp>
#include <sma/module/module.hpp>
#include <sma/ops/rows.hpp>

namespace sma {

namespace detail {
template <class M>
constexpr bool check_residual() {
  if constexpr (!Module<M>) {
    static_assert(
        is_not_a_module<M>,
        "sma::Residual<M> requires 'M' to be a Module: input_width, output_width, forward, backward");
    return false;
  } else if constexpr (!is_valid<M>()) {
    return false;
  } else if constexpr (sma::sequences_per_output<M>() != 0) {
    static_assert(changes_rows<M>, "sma::Residual<M> requires a module that keeps the rows of its input");
    return false;
  } else if constexpr (M::input_width != M::output_width) {
    static_assert(width_mismatch<At<0, M>, Produces<M::output_width>, Expects<M::input_width>>,
                  "sma::Residual<M> requires a module whose output_width equals its input_width");
    return false;
  } else {
    return true;
  }
}
}  // namespace detail

/// y = x + M(x). Its parameters are M's, under the same names.
template <class M>
struct Residual {
  using module_type = Residual;
  using Inner = canonical<M>;
  static constexpr bool valid = detail::check_residual<M>();
  static constexpr Index input_width = detail::input_width_of<M>();
  static constexpr Index output_width = detail::output_width_of<M>();
  static constexpr Reach reach = reach_of<M>();
  using Children = sma::Children<Child<"", M>>;

  template <class S>
  using Saved = saved_of<Inner, S>;
  template <class S>
    requires(is_streamable<M>())
  struct Stream {
    stream_of<Inner, S> inner;
  };

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, input_width> x, Rows<S, output_width> y,
                      Weights<Residual, S> w, Saved<S>& saved) {
    sma::forward<Inner>(ctx, s, x, {y, x}, child<0>(w), saved);
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, input_width> x,
                       Rows<const S, output_width> dy, Rows<S, input_width> dx, Weights<Residual, S> w,
                       Gradients<Residual, S> g, Saved<S>& saved)
    requires(reads_input<Inner, C>)
  {
    sma::backward<Inner>(ctx, s, x, dy, {dx, dy}, child<0>(w), child<0>(g), saved);
  }
  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, output_width> dy, Rows<S, input_width> dx,
                       Weights<Residual, S> w, Gradients<Residual, S> g, Saved<S>& saved)
    requires(!reads_input<Inner, C>)
  {
    sma::backward<Inner>(ctx, s, {}, dy, {dx, dy}, child<0>(w), child<0>(g), saved);
  }

  template <class C, class S>
  static void step(C& ctx, const Sequences& s, Rows<const S, input_width> x, Rows<S, output_width> y,
                   Weights<Residual, S> w, Stream<S>& stream) {
    sma::step<Inner>(ctx, s, x, y, child<0>(w), stream.inner);
    ctx.launch(ops::AddRows<S, output_width>{x, y});
  }
  template <class C, class S>
  static void steps(C& ctx, const Sequences& s, Rows<const S, input_width> x, Rows<S, output_width> y,
                    Weights<Residual, S> w, Stream<S>& stream) {
    sma::steps<Inner>(ctx, s, x, y, child<0>(w), stream.inner);
    ctx.launch(ops::AddRows<S, output_width>{x, y});
  }
};

}  // namespace sma
