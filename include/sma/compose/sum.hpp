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
  static constexpr bool rowwise = (is_rowwise<Ms>() && ...);
  static constexpr bool causal = (is_causal<Ms>() && ...);
  static constexpr bool streamable = (is_streamable<Ms>() && ...);
  using Children = detail::indexed_children<Ms...>;
  template <std::size_t N>
  using part = child_module<Sum, N>;

  template <class S>
  struct Saved {
    std::tuple<saved_of<typename detail::ChainChild<0, Ms>::type::module, S>...> parts;
  };
  template <class S>
  struct Stream {
    std::tuple<stream_of<typename detail::ChainChild<0, Ms>::type::module, S>...> parts;
  };

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, input_width> x, Rows<S, output_width> y,
                      Weights<Sum, S> w, Saved<S>& saved) {
    forward_onto(ctx, s, x, Rows<const S, output_width>{}, y, w, saved);
  }

  template <class C, class S>
  static void forward_onto(C& ctx, const Sequences& s, Rows<const S, input_width> x,
                           Rows<const S, output_width> base, Rows<S, output_width> y, Weights<Sum, S> w,
                           Saved<S>& saved) {
    each([&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
      auto scope = ctx.scope();
      sma::forward_onto<part<N>>(ctx, s, x, base, y, child<N>(w), std::get<N>(saved.parts));
      base = y;
    });
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, output_width> dy, Rows<S, input_width> dx,
                       Weights<Sum, S> w, Gradients<Sum, S> g, Saved<S>& saved) {
    backward_onto(ctx, s, dy, Rows<const S, input_width>{}, dx, w, g, saved);
  }

  template <class C, class S>
  static void backward_onto(C& ctx, const Sequences& s, Rows<const S, output_width> dy,
                            Rows<const S, input_width> base, Rows<S, input_width> dx, Weights<Sum, S> w,
                            Gradients<Sum, S> g, Saved<S>& saved) {
    each([&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
      auto scope = ctx.scope();
      sma::backward_onto<part<N>>(ctx, s, dy, base, dx, child<N>(w), child<N>(g), std::get<N>(saved.parts));
      base = dx;
    });
  }

  template <class S>
  static void rebase(Saved<S>& saved, Rows<const S, input_width> x)
    requires((rebases<canonical<Ms>>() && ...))
  {
    each([&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
      part<N>::rebase(std::get<N>(saved.parts), x);
    });
  }

  template <class C, class S>
  static void step(C& ctx, const Sequences& s, Rows<const S, input_width> x, Rows<S, output_width> y,
                   Weights<Sum, S> w, Stream<S>& stream)
    requires(streamable)
  {
    each([&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
      auto scope = ctx.scope();
      const auto out = N == 0 ? y : ctx.template scratch_rows<output_width>(1);
      step_module(ctx, s, x, out, child<N>(w), std::get<N>(stream.parts));
      if constexpr (N > 0) ctx.launch(ops::AddRows<S, output_width>{out, y});
    });
  }

 private:
  template <class F>
  static void each(F&& f) {
    [&]<std::size_t... N>(std::index_sequence<N...>) {
      (f(std::integral_constant<std::size_t, N>{}), ...);
    }(std::make_index_sequence<size>{});
  }
};

}  // namespace sma
