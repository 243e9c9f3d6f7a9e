#pragma once

#include <sma/compose/parts.hpp>
#include <sma/module/module.hpp>
#include <sma/ops/rows.hpp>

namespace sma {

namespace detail {
/// For modules: whether part N gives what the first part gives.
template <class First, std::size_t N, class M>
constexpr bool check_meeting() {
  if constexpr (sma::sequences_per_output<M>() != 0) {
    static_assert(changes_rows<At<N, M>>,
                  "sma::Sum<A, B, ...> requires modules that keep the rows of their input");
    return false;
  } else if constexpr (M::input_width != First::input_width || M::output_width != First::output_width) {
    static_assert(
        width_mismatch<At<0, First>, Expects<First::input_width>, Produces<First::output_width>, At<N, M>,
                       Expects<M::input_width>, Produces<M::output_width>>,
        "sma::Sum<A, B, ...> requires all modules to have the same input_width and the same output_width");
    return false;
  } else {
    return true;
  }
}

template <class First, std::size_t N, class M>
constexpr bool check_summand() {
  if constexpr (!Module<M>) {
    static_assert(is_not_a_module<At<N, M>>,
                  "sma::Sum<A, B, ...> requires every part to be a Module: input_width, output_width, "
                  "forward, backward");
    return false;
  } else if constexpr (is_valid<First>() && is_valid<M>()) {
    return check_meeting<First, N, M>();
  } else {
    return true;
  }
}

template <class... Ms>
constexpr bool check_sum() {
  return []<std::size_t... N>(std::index_sequence<N...>) {
    return (check_summand<first_of<Ms...>, N, Ms>() && ...);
  }(std::index_sequence_for<Ms...>{});
}
}  // namespace detail

/// y = M_1(x) + M_2(x) + ...: branches that all run on every row. Parameters as in Chain.
template <class... Ms>
struct Sum {
  using module_type = Sum;
  static_assert(sizeof...(Ms) > 0, "sma::Sum<A, ...> requires at least one module");
  static constexpr bool valid = detail::check_sum<Ms...>();
  static constexpr std::size_t size = sizeof...(Ms);
  static constexpr Index input_width = detail::input_width_of<detail::first_of<Ms...>>();
  static constexpr Index output_width = detail::output_width_of<detail::first_of<Ms...>>();
  static constexpr Reach reach = detail::farthest_reach<Ms...>();
  using Children = detail::indexed_children<Ms...>;
  template <std::size_t N>
  using part = child_module<Sum, N>;
  template <class C>
  static constexpr bool reads = (reads_input<detail::part_module<Ms>, C> || ...);

  template <class S>
  using Saved = std::tuple<saved_of<detail::part_module<Ms>, S>...>;
  template <class S>
    requires(is_streamable<Ms>() && ...)
  struct Stream {
    std::tuple<stream_of<detail::part_module<Ms>, S>...> parts;
  };

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, input_width> x, Target<S, output_width> y,
                      Weights<Sum, S> w, Saved<S>& saved) {
    each([&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
      auto scope = ctx.scope();
      sma::forward<part<N>>(ctx, s, x, y, child<N>(w), std::get<N>(saved));
      y.base = y.rows;
    });
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, input_width> x,
                       Rows<const S, output_width> dy, Target<S, input_width> dx, Weights<Sum, S> w,
                       Gradients<Sum, S> g, Saved<S>& saved)
    requires(reads<C>)
  {
    backward_each(ctx, s, x, dy, dx, w, g, saved);
  }
  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, output_width> dy, Target<S, input_width> dx,
                       Weights<Sum, S> w, Gradients<Sum, S> g, Saved<S>& saved)
    requires(!reads<C>)
  {
    backward_each(ctx, s, {}, dy, dx, w, g, saved);
  }

  template <class C, class S>
  static void step(C& ctx, const Sequences& s, Rows<const S, input_width> x, Rows<S, output_width> y,
                   Weights<Sum, S> w, Stream<S>& stream) {
    each([&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
      if constexpr (N == 0) {
        sma::step<part<N>>(ctx, s, x, y, child<N>(w), std::get<N>(stream.parts));
      } else {
        StepRow<S, output_width> out(ctx);
        sma::step<part<N>>(ctx, s, x, out.row(), child<N>(w), std::get<N>(stream.parts));
        ctx.launch(ops::AddRows<S, output_width>{out.row(), y});
      }
    });
  }
  template <class C, class S>
  static void steps(C& ctx, const Sequences& s, Rows<const S, input_width> x, Rows<S, output_width> y,
                    Weights<Sum, S> w, Stream<S>& stream) {
    each([&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
      auto scope = ctx.scope();
      const auto out = N == 0 ? y : ctx.template scratch_rows<output_width>(s.rows);
      sma::steps<part<N>>(ctx, s, x, out, child<N>(w), std::get<N>(stream.parts));
      if constexpr (N > 0) ctx.launch(ops::AddRows<S, output_width>{out, y});
    });
  }

 private:
  template <class C, class S>
  static void backward_each(C& ctx, const Sequences& s, std::type_identity_t<Rows<const S, input_width>> x,
                            Rows<const S, output_width> dy, Target<S, input_width> dx, Weights<Sum, S> w,
                            Gradients<Sum, S> g, Saved<S>& saved) {
    each([&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
      auto scope = ctx.scope();
      sma::backward<part<N>>(ctx, s, x, dy, dx, child<N>(w), child<N>(g), std::get<N>(saved));
      dx.base = dx.rows;
    });
  }

  template <class F>
  static void each(F&& f) {
    [&]<std::size_t... N>(std::index_sequence<N...>) {
      (f(std::integral_constant<std::size_t, N>{}), ...);
    }(std::make_index_sequence<size>{});
  }
};

}  // namespace sma
