#pragma once

#include <array>
#include <sma/compose/parts.hpp>
#include <sma/compose/plan.hpp>
#include <sma/device/fill.hpp>
#include <sma/module/module.hpp>
#include <sma/ops/rows.hpp>
#include <utility>

namespace sma {

namespace detail {
template <class L>
constexpr bool check_repeat() {
  if constexpr (!Module<L>) {
    static_assert(
        is_not_a_module<L>,
        "sma::Repeat<N, L> requires 'L' to be a Module: input_width, output_width, forward, backward");
    return false;
  } else if constexpr (!is_valid<L>()) {
    return false;
  } else if constexpr (sma::sequences_per_output<L>() != 0) {
    static_assert(changes_rows<L>, "sma::Repeat<N, L> requires a layer that keeps the rows of its input");
    return false;
  } else if constexpr (L::input_width != L::output_width) {
    static_assert(width_mismatch<At<0, L>, Produces<L::output_width>, At<1, L>, Expects<L::input_width>>,
                  "sma::Repeat<N, L> requires a layer whose output_width equals its input_width");
    return false;
  } else {
    return true;
  }
}
}  // namespace detail

/// N layers of one type, each with its own parameters: y = L_N(... L_1(x)). Compiled once. PyTorch: nn.ModuleList in a loop.
/// Parameters of layer i stand under "i.". What passes between two layers is made once more where a layer does that from what it keeps
/// itself. Layers in which shards meet sum their gradients over them one by one, in memory for one layer a shard.
template <Index N, class L>
struct Repeat {
  using module_type = Repeat;
  static_assert(N > 0, "sma::Repeat<N, L> requires N > 0");
  using Layer = canonical<L>;
  static constexpr bool valid = detail::check_repeat<L>();
  static constexpr Index input_width = detail::input_width_of<L>();
  static constexpr Index output_width = detail::output_width_of<L>();
  static constexpr Reach reach = reach_of<L>();
  static constexpr bool sums_gradients = couples_batch<L>() && N > 1;
  using Children = sma::Children<Child<"", L, N>>;
  static constexpr auto layers = static_cast<std::size_t>(N);
  /// What passes between two layers. Making it from a layer's input would need the inputs of all layers before.
  template <class C>
  static constexpr Fate between = !reads_input<Layer, C>                              ? Fate::forgotten
                                  : applies<Layer, C> && !apply_reads_input<Layer, C> ? Fate::remade
                                                                                      : Fate::kept;

  template <class S>
  struct Saved {
    std::array<saved_of<Layer, S>, layers> parts;
    std::array<const S*, layers> inputs;  // of layer i > 0, where they are kept
  };
  template <class S>
    requires(is_streamable<L>())
  struct Stream {
    std::array<stream_of<Layer, S>, layers> parts;
  };

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, input_width> x, Rows<S, output_width> y,
                      Weights<Repeat, S> w, Saved<S>& saved) {
    auto outer = ctx.scope();
    const bool keeps = ctx.training() && between<C> == Fate::kept;
    Rows<S, input_width> spare[2];
    if (!keeps)
      for (auto& rows : spare) rows = ctx.template scratch_rows<input_width>(N > 1 ? s.rows : 0);
    for (Index i = 0; i < N; ++i) {
      Rows<S, input_width> out = y;
      if (i + 1 < N) {
        out = keeps ? ctx.template keep_rows<input_width>(s.rows) : spare[i % 2];
        saved.inputs[place(i + 1)] = out.data;
      }
      auto scope = ctx.scope();
      sma::forward<Layer>(ctx, s, x, out, child<0>(w, i), saved.parts[place(i)]);
      x = out;
    }
  }

  template <class C, class S, class D>
  static void backward(C& ctx, const Sequences& s, Rows<const S, input_width> x, Rows<D, output_width> dy,
                       Rows<S, input_width> dx, Weights<Repeat, S> w, Gradients<Repeat, S> g, Saved<S>& saved)
    requires(reads_input<Layer, C>)
  {
    backward_all(ctx, s, x, dy, dx, w, g, saved);
  }
  template <class C, class S, class D>
  static void backward(C& ctx, const Sequences& s, Rows<D, output_width> dy, Rows<S, input_width> dx,
                       Weights<Repeat, S> w, Gradients<Repeat, S> g, Saved<S>& saved)
    requires(!reads_input<Layer, C>)
  {
    backward_all(ctx, s, {}, dy, dx, w, g, saved);
  }

  template <class C, class S>
  static void apply(C& ctx, const Sequences& s, Rows<S, output_width> y, Weights<Repeat, S> w,
                    Saved<S>& saved)
    requires(applies<Layer, C> && !apply_reads_input<Layer, C>)
  {
    sma::apply<Layer>(ctx, s, {}, y, child<0>(w, N - 1), saved.parts[place(N - 1)]);
  }

  template <class C, class S>
  static void step(C& ctx, const Sequences& s, Rows<const S, input_width> x, Rows<S, output_width> y,
                   Weights<Repeat, S> w, Stream<S>& stream) {
    StepRow<S, input_width> even(ctx), odd(ctx);
    for (Index i = 0; i < N; ++i) {
      const Rows<S, input_width> out = i + 1 == N ? y : i % 2 == 0 ? even.row() : odd.row();
      sma::step<Layer>(ctx, s, x, out, child<0>(w, i), stream.parts[place(i)]);
      x = out;
    }
  }
  template <class C, class S>
  static void steps(C& ctx, const Sequences& s, Rows<const S, input_width> x, Rows<S, output_width> y,
                    Weights<Repeat, S> w, Stream<S>& stream) {
    const Rows<S, input_width> spare[2] = {ctx.template scratch_rows<input_width>(s.rows),
                                           ctx.template scratch_rows<input_width>(s.rows)};
    for (Index i = 0; i < N; ++i) {
      const Rows<S, input_width> out = i + 1 < N ? spare[i % 2] : y;
      sma::steps<Layer>(ctx, s, x, out, child<0>(w, i), stream.parts[place(i)]);
      x = out;
    }
  }

 private:
  static std::size_t place(Index i) { return static_cast<std::size_t>(i); }

  /// Gradients between layers take turns in dx and in other memory: dy's, where nobody reads it afterwards.
  template <class C, class S, class D>
  static void backward_all(C& ctx, const Sequences& s, std::type_identity_t<Rows<const S, input_width>> x,
                           Rows<D, output_width> dy, Rows<S, input_width> dx, Weights<Repeat, S> w,
                           Gradients<Repeat, S> g, Saved<S>& saved) {
    constexpr bool uses_up = !std::is_const_v<D>;
    auto outer = ctx.scope();
    const Rows<S, input_width> turns[2] = {
        dx ? dx : ctx.template scratch_rows<input_width>(N > 2 || (uses_up && N > 1) ? s.rows : 0), [&] {
          if constexpr (uses_up)
            return dy;
          else
            return ctx.template scratch_rows<input_width>(N > 1 ? s.rows : 0);
        }()};
    // The first of them to be written is not dy; then the last one may be.
    const Rows<S, input_width> last = uses_up && N % 2 == 0 && dx ? turns[1] : dx;
    Rows<const S, output_width> gradient = dy;
    for (Index i = N - 1; i >= 0; --i) {
      const Rows<S, input_width> out = i > 0 ? turns[(uses_up ? N - 1 - i : i) % 2] : last;
      auto scope = ctx.scope();
      Rows<const S, input_width> in = x;
      if (i > 0 && between<C> == Fate::kept) in = {saved.inputs[place(i)], s.rows};
      if constexpr (between<C> == Fate::remade) {
        if (i > 0) {
          const auto made = ctx.template scratch_rows<input_width>(s.rows);
          sma::apply<Layer>(ctx, s, {}, made, child<0>(w, i - 1), saved.parts[place(i - 1)]);
          in = made;
        }
      }
      layer_backward(ctx, s, in, gradient, out, child<0>(w, i), g, i, saved.parts[place(i)]);
      gradient = out;
    }
    if (last.data != dx.data) ctx.launch(ops::CopyRows<S, input_width>{last, dx});
  }

  template <class C, class S>
  SMA_NOINLINE static void layer_backward(C& ctx, const Sequences& s, Rows<const S, input_width> x,
                                          Rows<const S, output_width> dy, Rows<S, input_width> dx,
                                          Weights<Layer, S> w, Gradients<Repeat, S> g, Index i,
                                          saved_of<Layer, S>& saved) {
    if constexpr (sums_gradients && C::Shards::sums_gradients) {
      if (ctx.shards().sums_on_the_way()) {
        // All layers take the memory of the first, which is clear again when it has been summed.
        const Gradients<Layer, S> own = child<0>(g, 0);
        if (i == N - 1)
          ctx.launch(ops::Fill<compute_of<S>>{own.data, parameter_count<Layer>, compute_of<S>(0)});
        ctx.shards().sum_gradients(own.data, child<0>(g, i).data, parameter_count<Layer>,
                                   [&] { sma::backward<Layer>(ctx, s, x, dy, dx, w, own, saved); });
        return;
      }
    }
    sma::backward<Layer>(ctx, s, x, dy, dx, w, child<0>(g, i), saved);
  }
};

}  // namespace sma
