#pragma once

#include <array>
#include <sma/compose/parts.hpp>
#include <sma/device/fill.hpp>
#include <sma/module/module.hpp>
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
/// Parameters of layer i stand under "i.". What passes between two layers is not kept where a layer makes it again in backward from
/// what it keeps itself. Layers in which shards meet sum their gradients over them one by one, in memory for one layer a shard.
template <Index N, class L>
struct Repeat {
  using module_type = Repeat;
  static_assert(N > 0, "sma::Repeat<N, L> requires N > 0");
  static constexpr bool valid = detail::check_repeat<L>();
  static constexpr Index input_width = detail::input_width_of<L>();
  static constexpr Index output_width = detail::output_width_of<L>();
  static constexpr bool rowwise = is_rowwise<L>();
  static constexpr bool causal = is_causal<L>();
  static constexpr bool streamable = is_streamable<L>();
  static constexpr Recompute recompute =
      recompute_of<canonical<L>>() == Recompute::from_kept ? Recompute::from_kept : Recompute::never;
  static constexpr bool made_again = recompute != Recompute::never && rebases<canonical<L>>();
  static constexpr bool sums_gradients = couples_batch<L>() && N > 1;
  using Children = sma::Children<Child<"", L, N>>;

  template <class S>
  struct Saved {
    std::array<saved_of<L, S>, static_cast<std::size_t>(N)> parts;
  };
  template <class S>
  struct Stream {
    std::array<stream_of<L, S>, static_cast<std::size_t>(N)> parts;
  };

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, input_width> x, Rows<S, output_width> y,
                      Weights<Repeat, S> w, Saved<S>& saved) {
    auto outer = ctx.scope();
    Rows<S, input_width> spare[2];
    if (!ctx.training() || made_again)
      for (auto& rows : spare) rows = ctx.template scratch_rows<input_width>(N > 1 ? s.rows : 0);
    for (Index i = 0; i < N; ++i) {
      Rows<S, input_width> out = y;
      if (i + 1 < N)
        out = ctx.training() && !made_again ? ctx.template keep_rows<input_width>(s.rows) : spare[i % 2];
      auto scope = ctx.scope();
      L::forward(ctx, s, x, out, child<0>(w, i), saved.parts[static_cast<std::size_t>(i)]);
      observe(ctx, child<0>(w, i), s, out);
      x = out;
    }
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, output_width> dy, Rows<S, input_width> dx,
                       Weights<Repeat, S> w, Gradients<Repeat, S> g, Saved<S>& saved) {
    auto outer = ctx.scope();
    // Gradients between layers take turns, the last but one in dx.
    const Rows<S, input_width> spare[2] = {
        dx ? dx : ctx.template scratch_rows<input_width>(N > 2 ? s.rows : 0),
        ctx.template scratch_rows<input_width>(N > 1 ? s.rows : 0)};
    for (Index i = N - 1; i >= 0; --i) {
      const Rows<S, input_width> out = i > 0 ? spare[i % 2] : dx;
      auto scope = ctx.scope();
      if constexpr (made_again) {
        if (i > 0) {
          const auto x = ctx.template scratch_rows<input_width>(s.rows);
          L::again(ctx, s, Rows<const S, input_width>{}, x, child<0>(w, i - 1),
                   saved.parts[static_cast<std::size_t>(i) - 1]);
          L::rebase(saved.parts[static_cast<std::size_t>(i)], Rows<const S, input_width>(x));
        }
      }
      layer_backward(ctx, s, dy, out, child<0>(w, i), g, i, saved.parts[static_cast<std::size_t>(i)]);
      dy = out;
    }
  }

  template <class C, class S>
  static void again(C& ctx, const Sequences& s, Rows<const S, input_width> x, Rows<S, output_width> y,
                    Weights<Repeat, S> w, Saved<S>& saved)
    requires(recompute != Recompute::never)
  {
    L::again(ctx, s, x, y, child<0>(w, N - 1), saved.parts[static_cast<std::size_t>(N) - 1]);
  }

  template <class C, class S>
  static void step(C& ctx, const Sequences& s, Rows<const S, input_width> x, Rows<S, output_width> y,
                   Weights<Repeat, S> w, Stream<S>& stream)
    requires(streamable)
  {
    const Rows<S, input_width> spare[2] = {ctx.template scratch_rows<input_width>(1),
                                           ctx.template scratch_rows<input_width>(1)};
    for (Index i = 0; i < N; ++i) {
      const Rows<S, input_width> out = i + 1 < N ? spare[i % 2] : y;
      step_module(ctx, s, x, out, child<0>(w, i), stream.parts[static_cast<std::size_t>(i)]);
      x = out;
    }
  }

 private:
  template <class C, class S>
  SMA_NOINLINE static void layer_backward(C& ctx, const Sequences& s, Rows<const S, output_width> dy,
                                          Rows<S, input_width> dx, Weights<L, S> w, Gradients<Repeat, S> g,
                                          Index i, saved_of<L, S>& saved) {
    if constexpr (sums_gradients && C::sums_gradients) {
      if (ctx.batch_gradients != nullptr) {
        // All layers take the memory of the first, which is clear again when it has been summed.
        const Gradients<L, S> own = child<0>(g, 0);
        if (i == N - 1) ctx.launch(ops::Fill<S>{own.data, parameter_count<L>, S(0)});
        S* batch = std::exchange(ctx.batch_gradients, nullptr);  // not for a Repeat inside
        L::backward(ctx, s, dy, dx, w, own, saved);
        ctx.batch_gradients = batch;
        ctx.sum_gradients(own.data, child<0>(g, i).data, parameter_count<L>);
        return;
      }
    }
    L::backward(ctx, s, dy, dx, w, child<0>(g, i), saved);
  }
};

}  // namespace sma
