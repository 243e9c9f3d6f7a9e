#pragma once

#include <sma/base/diagnostics.hpp>
#include <sma/base/sequences.hpp>
#include <sma/module/layout.hpp>
#include <sma/ops/rows.hpp>

/// How a module calls its parts.
namespace sma {

/// Memory for the call of M: what shards use in turn, unless M meets other shards.
template <class M, class C>
auto scope_of(C& ctx) {
  if constexpr (couples_batch<M>())
    return ctx.scope();
  else
    return ctx.scope_alone();
}

/// Shows a module's output to the context's watch, where there is one. Whoever calls a child's forward does so after it.
template <class C, class M, class S, class Out, Index Width>
void observe(C& ctx, const Weights<M, S>& w, const Sequences& s, const Rows<Out, Width>& y) {
  if (ctx.watch != nullptr) [[unlikely]]
    ctx.watch->template look<typename C::Backend>(w.instance, s, y.data, y.rows, Width, y.stride);
}

/// y = base + M(x), in one pass where M can: base may be null (y = M(x)) or y itself (y += M(x)).
template <class M, class C, class In, class S, Index Width>
void forward_onto(C& ctx, const Sequences& s, In x, Rows<const S, Width> base, Rows<S, Width> y,
                  Weights<M, S> w, saved_of<M, S>& saved) {
  if constexpr (requires { M::forward_onto(ctx, s, x, base, y, w, saved); }) {
    M::forward_onto(ctx, s, x, base, y, w, saved);
  } else {
    const bool adds = base.data == y.data;
    auto scope = ctx.scope();
    const Rows<S, Width> out = adds ? ctx.template scratch_rows<Width>(s.rows) : y;
    M::forward(ctx, s, x, out, w, saved);
    if (base) ctx.launch(ops::AddRows<S, Width>{adds ? Rows<const S, Width>(out) : base, y});
  }
  if constexpr (sequences_per_output<M>() == 0) observe(ctx, w, s, y);
}

/// dx = base + what M's backward gives for it (nothing where dx is null), in one pass where M can; base as in forward_onto.
template <class M, class C, class DY, class S, Index In>
void backward_onto(C& ctx, const Sequences& s, DY dy, Rows<const S, In> base, Rows<S, In> dx, Weights<M, S> w,
                   Gradients<M, S> g, saved_of<M, S>& saved) {
  if constexpr (requires { M::backward_onto(ctx, s, dy, base, dx, w, g, saved); }) {
    M::backward_onto(ctx, s, dy, base, dx, w, g, saved);
  } else {
    const bool adds = dx && base.data == dx.data;
    auto scope = ctx.scope();
    const Rows<S, In> out = adds ? ctx.template scratch_rows<In>(s.rows) : dx;
    M::backward(ctx, s, dy, out, w, g, saved);
    if (dx && base) ctx.launch(ops::AddRows<S, In>{adds ? Rows<const S, In>(out) : base, dx});
  }
}

/// The sequences of M's output for an input with sequences `s`; the same unless M says otherwise (pooling).
template <class M, class C>
Sequences output_sequences(C& ctx, const Sequences& s) {
  if constexpr (requires { M::layout(ctx, s); })
    return M::layout(ctx, s);
  else
    return s;
}

/// One streaming step: row x at time `s.positions[0]` to row y. Row-wise modules need no state and run forward on it.
template <class M, class C, class In, class Out, class S>
void step_module(C& ctx, const Sequences& s, In x, Out y, Weights<M, S> w, stream_of<M, S>& stream) {
  auto scope = ctx.scope();
  if constexpr (requires { M::step(ctx, s, x, y, w, stream); }) {
    M::step(ctx, s, x, y, w, stream);
  } else if constexpr (!is_rowwise<M>()) {
    static_assert(cannot_be_called<M>,
                  "sma::Network::step(stream, x, y) requires every module's step to be callable as "
                  "M::step(ctx, sequences, x, y, weights, stream)");
  } else {
    saved_of<M, S> saved{};
    M::forward(ctx, s, x, y, w, saved);
  }
  observe(ctx, w, s, y);
}

}  // namespace sma
