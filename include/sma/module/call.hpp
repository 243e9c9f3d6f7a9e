#pragma once

#include <sma/base/diagnostics.hpp>
#include <sma/base/sequences.hpp>
#include <sma/module/layout.hpp>
#include <sma/module/step_row.hpp>
#include <sma/ops/rows.hpp>

/// How a module is called. What it can do is what its functions take, in a network with context C:
///
///     forward (ctx, s, x, y, w, saved)            y is Rows, or a Target: it adds to a base where it writes
///     backward(ctx, s, x, dy, dx, w, g, saved)    dx likewise; without x: it does not read the input; one more with dy not const: it
///                                                 uses dy's memory up
///     apply   (ctx, s, x, y, w, saved)            y once more; without x: from what forward has kept
///
/// Compositions ask the facts below and call the functions below.
namespace sma {

namespace detail {

/// The arguments of M's functions, which are those of the composition that M may name.
template <class M, class C>
struct Arguments {
  using S = typename C::Scalar;
  using Element = input_element<M, S>;
  using X = Rows<const Element, M::input_width>;
  using Y = Rows<S, M::output_width>;
  using DY = output_gradient<M, S>;
  using DX = Rows<Element, M::input_width>;
  using W = Weights<canonical<M>, S>;
  using G = Gradients<canonical<M>, S>;
  using Saved = saved_of<M, S>;
  using Stream = stream_of<M, S>;
};

template <class M, class C, class Y, class A = Arguments<M, C>>
concept ForwardTo = requires(C& ctx, const Sequences& s, typename A::X x, Y y, typename A::W w,
                             typename A::Saved& saved) { M::forward(ctx, s, x, y, w, saved); };
template <class M, class C, class DX, class A = Arguments<M, C>, class DY = typename A::DY>
concept BackwardOfInput =
    requires(C& ctx, const Sequences& s, typename A::X x, DY dy, DX dx, typename A::W w, typename A::G g,
             typename A::Saved& saved) { M::backward(ctx, s, x, dy, dx, w, g, saved); };
template <class M, class C, class DX, class A = Arguments<M, C>, class DY = typename A::DY>
concept BackwardAlone = requires(C& ctx, const Sequences& s, DY dy, DX dx, typename A::W w, typename A::G g,
                                 typename A::Saved& saved) { M::backward(ctx, s, dy, dx, w, g, saved); };
template <class M, class C, class DY, class DX>
concept BackwardWith =
    BackwardOfInput<M, C, DX, Arguments<M, C>, DY> || BackwardAlone<M, C, DX, Arguments<M, C>, DY>;
template <class M, class C, class A = Arguments<M, C>>
concept AppliesInput = requires(C& ctx, const Sequences& s, typename A::X x, typename A::Y y, typename A::W w,
                                typename A::Saved& saved) { M::apply(ctx, s, x, y, w, saved); };
template <class M, class C, class A = Arguments<M, C>>
concept AppliesAlone = requires(C& ctx, const Sequences& s, typename A::Y y, typename A::W w,
                                typename A::Saved& saved) { M::apply(ctx, s, y, w, saved); };

template <class M, class C>
using target_of = Target<typename C::Scalar, M::output_width>;
template <class M, class C>
using input_target_of = Target<input_element<M, typename C::Scalar>, M::input_width>;

}  // namespace detail

/// Forward adds to a base in the pass that writes.
template <class M, class C>
inline constexpr bool forward_adds = detail::ForwardTo<M, C, detail::target_of<M, C>>;
/// Backward adds to a base in the pass that writes dx.
template <class M, class C, class DY = typename detail::Arguments<M, C>::DY>
inline constexpr bool backward_adds = detail::BackwardWith<M, C, DY, detail::input_target_of<M, C>>;
/// Backward has a form that uses dy's memory up.
template <class M, class C, class DY = Rows<typename C::Scalar, M::output_width>>
inline constexpr bool uses_up_gradient =
    backward_adds<M, C, DY> || detail::BackwardWith<M, C, DY, typename detail::Arguments<M, C>::DX>;
/// Backward reads the input, which must lie somewhere then.
template <class M, class C>
inline constexpr bool reads_input = detail::BackwardOfInput<M, C, detail::input_target_of<M, C>> ||
                                    detail::BackwardOfInput<M, C, typename detail::Arguments<M, C>::DX>;
/// M makes its output once more, the same bits, for much less than forward costs.
template <class M, class C>
inline constexpr bool applies = detail::AppliesInput<M, C> || detail::AppliesAlone<M, C>;
/// ... and reads the input for it.
template <class M, class C>
inline constexpr bool apply_reads_input = detail::AppliesInput<M, C>;

/// Memory for the call of M: what shards use in turn, unless M meets other shards.
template <class M, class C>
auto scope_of(C& ctx) {
  if constexpr (couples_batch<M>())
    return ctx.scope();
  else
    return ctx.scope_alone();
}

/// Shows a module's output to the context's watch, where there is one.
template <class C, class M, class S, class Out, Index Width>
void observe(C& ctx, const Weights<M, S>& w, const Sequences& s, const Rows<Out, Width>& y) {
  if (ctx.watch != nullptr) [[unlikely]]
    ctx.watch->look(ctx.backend(), w.instance, s, y.data, y.rows, Width, y.stride);
}

/// y = M(x), added to y's base where it has one. The watch sees y; where M changes the rows, whoever knows the new sequences shows it.
template <class M, class C>
void forward(C& ctx, const Sequences& s, typename detail::Arguments<M, C>::X x, detail::target_of<M, C> y,
             typename detail::Arguments<M, C>::W w, typename detail::Arguments<M, C>::Saved& saved) {
  using S = typename C::Scalar;
  constexpr Index width = M::output_width;
  if constexpr (forward_adds<M, C>) {
    M::forward(ctx, s, x, y, w, saved);
  } else if (!y.base) {
    M::forward(ctx, s, x, y.rows, w, saved);
  } else {
    auto scope = ctx.scope();
    const bool adds = y.in_place();
    const Rows<S, width> out = adds ? ctx.template scratch_rows<width>(s.rows) : y.rows;
    M::forward(ctx, s, x, out, w, saved);
    ctx.launch(ops::AddRows<S, width>{adds ? Rows<const S, width>(out) : y.base, y.rows});
  }
  if constexpr (sequences_per_output<M>() == 0) observe(ctx, w, s, y.rows);
}

namespace detail {

template <class M, class C, class DY, class A = Arguments<M, C>>
void backward_from(C& ctx, const Sequences& s, [[maybe_unused]] typename A::X x, DY dy,
                   input_target_of<M, C> dx, typename A::W w, typename A::G g, typename A::Saved& saved) {
  using S = typename C::Scalar;
  constexpr Index width = M::input_width;
  const auto call = [&](auto to) {
    if constexpr (reads_input<M, C>)
      M::backward(ctx, s, x, dy, to, w, g, saved);
    else
      M::backward(ctx, s, dy, to, w, g, saved);
  };
  if constexpr (backward_adds<M, C, DY>) {
    call(dx);
  } else {
    if constexpr (!takes_tokens<M>())
      if (dx && dx.base) {
        auto scope = ctx.scope();
        const bool adds = dx.in_place();
        const Rows<S, width> out = adds ? ctx.template scratch_rows<width>(s.rows) : dx.rows;
        call(out);
        ctx.launch(ops::AddRows<S, width>{adds ? Rows<const S, width>(out) : dx.base, dx.rows});
        return;
      }
    call(dx.rows);
  }
}

}  // namespace detail

/// dx = what M's backward gives for it (nothing where dx is null), added to dx's base where it has one. x is read where
/// `reads_input<M, C>` says so.
template <class M, class C>
void backward(C& ctx, const Sequences& s, typename detail::Arguments<M, C>::X x,
              typename detail::Arguments<M, C>::DY dy, detail::input_target_of<M, C> dx,
              typename detail::Arguments<M, C>::W w, typename detail::Arguments<M, C>::G g,
              typename detail::Arguments<M, C>::Saved& saved) {
  detail::backward_from<M>(ctx, s, x, dy, dx, w, g, saved);
}
/// The same, of a dy that nobody reads afterwards.
template <class M, class C>
void backward_using_up(C& ctx, const Sequences& s, typename detail::Arguments<M, C>::X x,
                       Rows<typename C::Scalar, M::output_width> dy, detail::input_target_of<M, C> dx,
                       typename detail::Arguments<M, C>::W w, typename detail::Arguments<M, C>::G g,
                       typename detail::Arguments<M, C>::Saved& saved) {
  if constexpr (uses_up_gradient<M, C>)
    detail::backward_from<M>(ctx, s, x, dy, dx, w, g, saved);
  else
    detail::backward_from<M>(ctx, s, x, Rows<const typename C::Scalar, M::output_width>(dy), dx, w, g, saved);
}

/// y of the last forward once more. x is read where `apply_reads_input<M, C>` says so.
template <class M, class C>
void apply(C& ctx, const Sequences& s, [[maybe_unused]] typename detail::Arguments<M, C>::X x,
           typename detail::Arguments<M, C>::Y y, typename detail::Arguments<M, C>::W w,
           typename detail::Arguments<M, C>::Saved& saved) {
  if constexpr (apply_reads_input<M, C>)
    M::apply(ctx, s, x, y, w, saved);
  else
    M::apply(ctx, s, y, w, saved);
}

/// The sequences of M's output for an input with sequences `s`; the same unless M says otherwise (pooling).
template <class M, class C>
Sequences output_sequences(C& ctx, const Sequences& s) {
  if constexpr (requires { M::layout(ctx, s); })
    return M::layout(ctx, s);
  else
    return s;
}

/// One streaming step: row x at time `s.positions[0]` to row y. Modules that look at one row need no state and run forward on it.
template <class M, class C>
void step(C& ctx, const Sequences& s, typename detail::Arguments<M, C>::X x,
          typename detail::Arguments<M, C>::Y y, typename detail::Arguments<M, C>::W w,
          typename detail::Arguments<M, C>::Stream& stream) {
  auto scope = ctx.scope();
  if constexpr (requires { M::step(ctx, s, x, y, w, stream); }) {
    M::step(ctx, s, x, y, w, stream);
    observe(ctx, w, s, y);
  } else if constexpr (!is_rowwise<M>()) {
    static_assert(cannot_be_called<M>,
                  "sma::Network::step(stream, x, y) requires every module's step to be callable as "
                  "M::step(ctx, sequences, x, y, weights, stream)");
  } else {
    typename detail::Arguments<M, C>::Saved saved{};
    forward<M>(ctx, s, x, y, w, saved);
  }
}

/// The next s.rows steps of one stream at once, x and y one row each: the same as so many calls of `step`. Modules that say nothing of
/// several rows take them one after another.
template <class M, class C>
void steps(C& ctx, const Sequences& s, typename detail::Arguments<M, C>::X x,
           typename detail::Arguments<M, C>::Y y, typename detail::Arguments<M, C>::W w,
           typename detail::Arguments<M, C>::Stream& stream) {
  auto scope = ctx.scope();
  if constexpr (requires { M::steps(ctx, s, x, y, w, stream); }) {
    M::steps(ctx, s, x, y, w, stream);
    observe(ctx, w, s, y);
  } else if constexpr (is_rowwise<M>()) {
    typename detail::Arguments<M, C>::Saved saved{};
    forward<M>(ctx, s, x, y, w, saved);
  } else {
    static constexpr std::int32_t offsets[2] = {0, 1};
    for (Index i = 0; i < s.rows; ++i)
      step<M>(ctx, {1, 1, offsets, s.positions + i, s.ids + i}, x.block(i, 1), y.block(i, 1), w, stream);
  }
}

}  // namespace sma
