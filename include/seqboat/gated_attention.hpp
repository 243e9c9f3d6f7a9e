#pragma once

#include <algorithm>
#include <cstdint>
#include <seqboat/attention_ring.hpp>
#include <seqboat/positions.hpp>
#include <sma/compose/row_window.hpp>
#include <sma/device/fill.hpp>
#include <sma/module/module.hpp>
#include <sma/modules/dropout.hpp>
#include <sma/modules/linear.hpp>
#include <sma/ops/attention.hpp>
#include <sma/ops/dropout.hpp>
#include <sma/ops/functions.hpp>
#include <sma/ops/gated_attention.hpp>
#include <sma/ops/linear.hpp>
#include <sma/ops/map.hpp>
#include <sma/ops/rotary.hpp>
#include <sma/ops/rows.hpp>
#include <sma/ops/sums.hpp>

namespace seqboat {

/// Gated attention unit over the rows it is given (in SeqBoat: the compressed ones, its working memory the last W active).
///
///     [z | r | v] = SiLU(x W_mx^T + b_mx)      q = z gamma_0 + beta_0,  k = z gamma_1 + beta_1
///     g = Attention(q, k, dropout(v))          y = (g * r) W_h^T + b_h
/// x, y (rows, Width); z (rows, QueryWidth); r, v (rows, ValueWidth). `Span` is Window<W> or Full, `Function` Softmax, Relu2
/// or Laplace, `PositionKind` of positions.hpp, `Rate` the dropout of v. Windowed: O(rows W), never a T x T array.
/// Causal and windowed it streams: a ring of the last W + 1 keys, values and positions.
template <Index Width, Index QueryWidth, Index ValueWidth, class Span, class Function = Softmax,
          class PositionKind = NoPosition, bool Causal = false, class Rate = std::ratio<0>>
struct GatedAttention {
  static constexpr Index input_width = Width;
  static constexpr Index output_width = Width;
  static constexpr sma::Reach reach = Causal ? sma::Reach::past : sma::Reach::sequence;
  static constexpr Index inner_width = QueryWidth + 2 * ValueWidth;
  static constexpr bool valid = detail::check_positions<QueryWidth, Span, PositionKind>();

  /// Both linear layers, queries and keys, scores and weighted sums over the keys of a mean row, the gate.
  static constexpr double flops(const sma::Load& at) {
    return 2.0 * Width * inner_width + 4.0 * QueryWidth +
           keys_of(at.length) * 2.0 * (QueryWidth + ValueWidth) + ValueWidth + 2.0 * ValueWidth * Width;
  }

  using Mix = sma::Linear<Width, inner_width>;
  using Out = sma::Linear<ValueWidth, Width>;
  using Drop = sma::Dropout<ValueWidth, Rate>;
  using Children = sma::Children<sma::Child<"mx_proj", Mix>, sma::Child<"h_proj", Out>>;
  using Pairs = sma::Shape<2, QueryWidth>;
  using Parameters = std::conditional_t<
      PositionKind::Table::size == 0,
      sma::Parameters<sma::Param<"gamma", Pairs, sma::SmallNormal>, sma::Param<"beta", Pairs>>,
      sma::Parameters<sma::Param<"gamma", Pairs, sma::SmallNormal>, sma::Param<"beta", Pairs>,
                      sma::Param<PositionKind::parameter, typename PositionKind::Table, sma::SmallNormal>>>;
  template <class S>
  using Bias = typename PositionKind::template Bias<S, Causal>;
  template <class S>
  using Problem =
      sma::ops::AttentionProblem<S, QueryWidth, ValueWidth, Function, Bias<S>, Causal, Span::size>;

  /// What attention works on: made from `mixed` in forward, and again in backward.
  template <class S>
  struct Parts {
    sma::Rows<S, inner_width> inner;  // z | r | v = SiLU(mixed)
    sma::Rows<S, QueryWidth> q, k;    // rotated where positions are rotary
    sma::Rows<S, ValueWidth> v;       // after dropout

    [[nodiscard]] Parts block(Index begin, Index count) const {
      return {inner.block(begin, count), q.block(begin, count), k.block(begin, count), v.block(begin, count)};
    }
  };
  template <class S>
  struct Saved {
    sma::Rows<S, inner_width> mixed;  // before SiLU; in backward SiLU's slope there, then the gradient
    sma::Rows<S, ValueWidth> g;       // attention's output
    sma::compute_of<S>* normalizer;   // (rows)
    std::uint8_t* mask;               // (rows, mask_bytes), of v's dropout
  };

  template <class S>
    requires(Causal && Span::size > 0)
  struct Stream : detail::AttentionRing<S, QueryWidth, ValueWidth, Span::size> {};

  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences& s, sma::Rows<const S, Width> x, sma::Rows<S, Width> y,
                      sma::Weights<GatedAttention, S> w, Saved<S>& saved) {
    saved.mixed = ctx.template keep_rows<inner_width>(s.rows);
    saved.g = ctx.template keep_rows<ValueWidth>(s.rows);
    saved.normalizer = ctx.template keep<sma::compute_of<S>>(s.rows);
    if (drops(ctx)) saved.mask = ctx.template keep<std::uint8_t>(s.rows * sma::ops::mask_bytes<ValueWidth>);
    auto scope = ctx.scope();
    // In blocks, whose keys and values are made ahead of the queries that see them.
    const sma::RowWindow window(ctx, s, Span::size > 0 ? Span::size : s.rows);
    const Parts<S> parts = room_for_parts<S>(ctx, window.most_rows());
    window.for_each([&](const sma::RowBlock& b) {
      carry(window, b, parts);
      {
        const Index count = b.last - b.fresh;
        const auto mixed = saved.mixed.block(b.fresh, count);
        const Parts<S> fresh = parts.block(b.fresh - b.first, count);
        mix(ctx, x.block(b.fresh, count), w, mixed);
        ctx.launch(sma::ops::Apply<S, inner_width, sma::functions::SiLU>{mixed, fresh.inner});
        make_queries_and_keys(ctx, s.positions + b.fresh, w, fresh);
        if (drops(ctx))
          ctx.launch(sma::ops::Dropout<S, ValueWidth>{value(fresh.inner), fresh.v, s.ids + b.fresh,
                                                      ctx.random(w.instance), Drop::rate,
                                                      mask_of(saved, b.fresh)});
      }
      const auto g = saved.g.block(b.first, b.last - b.first);
      const sma::ops::Queries queries{b.begin - b.first, b.end - b.first};
      ctx.launch(sma::ops::AttentionForward<S, Problem<S>>{problem(window.around(b), w, parts), queries, g,
                                                           saved.normalizer + b.first});
      auto block_scope = ctx.scope();
      const Index count = b.end - b.begin;
      const auto gated = ctx.template scratch_rows<ValueWidth>(count);
      ctx.launch(sma::ops::MultiplyRows<S, ValueWidth>{g.block(queries.begin, count),
                                                       gate(parts.inner).block(queries.begin, count), gated});
      const auto out = sma::child<"h_proj">(w);
      sma::ops::linear_forward(ctx, sma::Rows<const S, ValueWidth>(gated), out["weight"_p].data,
                               out["bias"_p].data, y.block(b.begin, count));
    });
  }

  template <class C, class S>
  static void backward(C& ctx, const sma::Sequences& s, sma::Rows<const S, Width> x,
                       sma::Rows<const S, Width> dy, sma::Rows<S, Width> dx,
                       sma::Weights<GatedAttention, S> w, sma::Gradients<GatedAttention, S> g,
                       Saved<S>& saved) {
    // z and r give way to their gradients, and SiLU's slope in `mixed` to the gradient of what it is the slope of.
    auto scope = ctx.scope();
    const sma::RowWindow window(ctx, s, Span::size > 0 ? Span::size : s.rows);
    const Index most = window.most_rows();
    const Parts<S> parts = room_for_parts<S>(ctx, most);
    const auto dg = ctx.template scratch_rows<ValueWidth>(most);     // first d loss / d (g * r)
    using A = sma::compute_of<S>;                                    // of sums over queries
    const auto dv = ctx.template scratch_rows<ValueWidth, A>(most);  // first g * r
    const auto dq = ctx.template scratch_rows<QueryWidth>(most);
    const auto dk = ctx.template scratch_rows<QueryWidth, A>(most);
    window.for_each([&](const sma::RowBlock& b) {
      auto block_scope = ctx.scope();
      carry(window, b, parts);
      window.carry(b, dg, dv, dq, dk);
      const auto g_rows = saved.g.block(b.first, b.last - b.first);
      {
        const Index at = b.fresh - b.first;
        const Index count = b.last - b.fresh;
        const Parts<S> fresh = parts.block(at, count);
        const auto dk_rows = dk.block(at, count);
        const auto dv_rows = dv.block(at, count);
        make_parts_again(ctx, s, b.fresh, w, saved, fresh);
        gate_backward(ctx, dy.block(b.fresh, count), w, g, g_rows.block(at, count), gate(fresh.inner),
                      dg.block(at, count), room_in<S>(ctx, dv_rows));
        ctx.launch(sma::ops::Fill<A>{dk_rows.data, count * QueryWidth, A(0)});
        ctx.launch(sma::ops::Fill<A>{dv_rows.data, count * ValueWidth, A(0)});
      }
      ctx.launch(sma::ops::AttentionBackward<S, Problem<S>>{problem(window.around(b), w, parts),
                                                            {b.begin - b.first, b.end - b.first},
                                                            g_rows,
                                                            dg,
                                                            saved.normalizer + b.first,
                                                            dq,
                                                            dk,
                                                            dv,
                                                            table(g)});
      // No later query sees the keys of these rows.
      const Index count = window.done(b);
      mix_backward(ctx, s, x, b.first, dq.block(0, count), as_stored<S>(ctx, dk.block(0, count)),
                   as_stored<S>(ctx, dv.block(0, count)), parts.inner.block(0, count),
                   dx.block(b.first, count), w, g, saved);
    });
  }

  template <class C, class S>
  static void step(C& ctx, const sma::Sequences& s, sma::Rows<const S, Width> x, sma::Rows<S, Width> y,
                   sma::Weights<GatedAttention, S> w, Stream<S>& stream) {
    const Parts<S> now = room_for_parts<S>(ctx, 1);
    const auto in = sma::child<"mx_proj">(w);
    sma::ops::linear_step(ctx, x, in["weight"_p].data, in["bias"_p].data, now.inner);
    ctx.launch(sma::ops::Apply<S, inner_width, sma::functions::SiLU>{now.inner, now.inner});
    make_queries_and_keys(ctx, s.positions, w, now);
    const Index number = stream.steps;
    stream.remember(now.k.data, now.v.data, s.positions[0]);
    const auto g = ctx.template scratch_rows<ValueWidth>(1);
    auto* scores = ctx.template scratch<sma::compute_of<S>>(Span::size + 1);
    ctx.launch(sma::ops::StreamAttention<S, QueryWidth, ValueWidth, Function, Bias<S>, Span::size>{
        now.q.data, stream.keys, stream.values, stream.positions, number, {table(w)}, scores, g.data});
    ctx.launch(sma::ops::MultiplyRows<S, ValueWidth>{g, gate(now.inner), g});
    const auto out = sma::child<"h_proj">(w);
    sma::ops::linear_step(ctx, sma::Rows<const S, ValueWidth>(g), out["weight"_p].data, out["bias"_p].data,
                          y);
  }
  /// As a sequence, in which the elements of the ring stand before the rows of x.
  template <class C, class S>
  static void steps(C& ctx, const sma::Sequences& s, sma::Rows<const S, Width> x, sma::Rows<S, Width> y,
                    sma::Weights<GatedAttention, S> w, Stream<S>& stream) {
    const Index past = stream.past();
    const Index rows = past + s.rows;
    const Parts<S> parts = room_for_parts<S>(ctx, rows);
    auto* positions = ctx.template scratch<sma::Position>(rows);
    stream.list(parts.k, parts.v, positions);
    std::copy_n(s.positions, s.rows, positions + past);
    const Parts<S> fresh = parts.block(past, s.rows);
    mix(ctx, x, w, fresh.inner);
    ctx.launch(sma::ops::Apply<S, inner_width, sma::functions::SiLU>{fresh.inner, fresh.inner});
    make_queries_and_keys(ctx, s.positions, w, fresh);
    for (Index i = 0; i < s.rows; ++i) stream.remember(fresh.k.row(i), fresh.v.row(i), s.positions[i]);
    const auto g = ctx.template scratch_rows<ValueWidth>(rows);
    auto* normalizer = ctx.template scratch<sma::compute_of<S>>(rows);
    const std::int32_t offsets[2] = {0, static_cast<std::int32_t>(rows)};
    ctx.launch(sma::ops::AttentionForward<S, Problem<S>>{
        problem({rows, 1, offsets, positions, nullptr}, w, parts), {past, rows}, g, normalizer});
    const auto gated = g.block(past, s.rows);
    ctx.launch(sma::ops::MultiplyRows<S, ValueWidth>{gated, gate(fresh.inner), gated});
    const auto out = sma::child<"h_proj">(w);
    sma::ops::linear_forward(ctx, sma::Rows<const S, ValueWidth>(gated), out["weight"_p].data,
                             out["bias"_p].data, y);
  }

 private:
  /// Mean number of keys that a row of a sequence of n sees.
  static constexpr double keys_of(double n) {
    const double w = Span::size;
    const bool sees_all = Span::size == 0 || n <= w;
    if (Causal) return sees_all ? (n + 1) / 2 : w + 1 - w * (w + 1) / (2 * n);
    return sees_all ? n : 2 * w + 1 - w * (w + 1) / n;
  }

  /// mixed = x W_mx^T + b_mx.
  template <class C, class S>
  static void mix(C& ctx, sma::Rows<const S, Width> x, const sma::Weights<GatedAttention, S>& w,
                  sma::Rows<S, inner_width> mixed) {
    const auto weights = sma::child<"mx_proj">(w);
    sma::ops::linear_forward(ctx, x, weights["weight"_p].data, weights["bias"_p].data, mixed);
  }

  /// What is carried: v instead of the columns that it is made from.
  template <class C, class S>
  static void carry(const sma::RowWindow<C>& window, const sma::RowBlock& b, const Parts<S>& parts) {
    window.carry(b, parts.inner.template columns<QueryWidth + ValueWidth>(0), parts.q, parts.k, parts.v);
  }

  template <class C, class S>
  static void make_parts_again(C& ctx, const sma::Sequences& s, Index first,
                               const sma::Weights<GatedAttention, S>& w, const Saved<S>& saved,
                               const Parts<S>& parts) {
    ctx.launch(sma::ops::ApplyAndDerive<S, inner_width, sma::functions::SiLU>{
        saved.mixed.block(first, parts.inner.rows), parts.inner});
    make_queries_and_keys(ctx, s.positions + first, w, parts);
    drop_again(ctx, saved, first, value(parts.inner), parts.v);
  }
  template <class C, class S>
  static void drop_again(C& ctx, const Saved<S>& saved, Index first, sma::Rows<S, ValueWidth> from,
                         sma::Rows<S, ValueWidth> to) {
    if (drops(ctx))
      ctx.launch(sma::ops::MaskRows<S, ValueWidth>{from, to, mask_of(saved, first),
                                                   Drop::template factor<sma::compute_of<S>>()});
  }

  /// From dy to the gradients of g and, in its place, r; `gated` is memory.
  template <class C, class S>
  static void gate_backward(C& ctx, sma::Rows<const S, Width> dy, const sma::Weights<GatedAttention, S>& w,
                            const sma::Gradients<GatedAttention, S>& dw, sma::Rows<S, ValueWidth> g,
                            sma::Rows<S, ValueWidth> r, sma::Rows<S, ValueWidth> dg,
                            sma::Rows<S, ValueWidth> gated) {
    const auto out = sma::child<"h_proj">(w);
    const auto dout = sma::child<"h_proj">(dw);
    ctx.launch(sma::ops::MultiplyRows<S, ValueWidth>{g, r, gated});
    sma::ops::linear_backward(ctx, dy, sma::Rows<const S, ValueWidth>(gated), out["weight"_p].data,
                              dout["weight"_p].data, dout["bias"_p].data, dg);
    ctx.launch(sma::ops::GateBackward<S, ValueWidth>{g, r, dg});
  }

  /// From the gradients of queries, keys and values to dx; `inner` holds z and the gradient of r.
  template <class C, class S>
  static void mix_backward(C& ctx, const sma::Sequences& s, sma::Rows<const S, Width> x, Index first,
                           sma::Rows<S, QueryWidth> dq, sma::Rows<S, QueryWidth> dk,
                           sma::Rows<S, ValueWidth> dv, sma::Rows<S, inner_width> inner,
                           sma::Rows<S, Width> dx, const sma::Weights<GatedAttention, S>& w,
                           const sma::Gradients<GatedAttention, S>& g, const Saved<S>& saved) {
    drop_again(ctx, saved, first, dv, dv);
    rotate(ctx, s.positions + first, dq, dk, -1);
    const auto z = query(inner);
    auto* dgamma = g["gamma"_p].data;
    auto* dbeta = g["beta"_p].data;
    using Product = sma::ops::ProductTerm<S, QueryWidth>;
    using Element = sma::ops::ElementTerm<S, QueryWidth>;
    sma::ops::column_sums<QueryWidth>(ctx, dq.rows, Product{dq, z}, dgamma, Element{dq}, dbeta);
    sma::ops::column_sums<QueryWidth>(ctx, dk.rows, Product{dk, z}, dgamma + QueryWidth, Element{dk},
                                      dbeta + QueryWidth);
    ctx.launch(sma::ops::QueriesAndKeysBackward<S, QueryWidth>{dq, dk, w["gamma"_p].data, z});
    const auto dmixed = saved.mixed.block(first, dq.rows);
    constexpr Index before = QueryWidth + ValueWidth;
    const auto in_front = dmixed.template columns<before>(0);
    ctx.launch(sma::ops::MultiplyRows<S, before>{inner.template columns<before>(0), in_front, in_front});
    ctx.launch(sma::ops::MultiplyRows<S, ValueWidth>{dv, value(dmixed), value(dmixed)});
    const auto mix = sma::child<"mx_proj">(w);
    const auto dmix = sma::child<"mx_proj">(g);
    sma::ops::linear_backward(ctx, sma::Rows<const S, inner_width>(dmixed), x.block(first, dq.rows),
                              mix["weight"_p].data, dmix["weight"_p].data, dmix["bias"_p].data, dx);
  }

  /// Rows of S in the memory of sums, which are not needed yet, where both are of one type.
  template <class S, class C, class A, Index W>
  static sma::Rows<S, W> room_in(C& ctx, const sma::Rows<A, W>& sums) {
    if constexpr (std::is_same_v<S, A>)
      return sums;
    else
      return ctx.template scratch_rows<W>(sums.rows);
  }
  /// The sums as rows of S.
  template <class S, class C, class A, Index W>
  static sma::Rows<S, W> as_stored(C& ctx, const sma::Rows<A, W>& sums) {
    const sma::Rows<S, W> rows = room_in<S>(ctx, sums);
    if constexpr (!std::is_same_v<S, A>) ctx.launch(sma::ops::CopyRows<S, W, A>{sums, rows});
    return rows;
  }

  template <class C>
  static bool drops(const C& ctx) {
    return Drop::rate > 0 && ctx.training();
  }

  template <class S>
  static std::uint8_t* mask_of(const Saved<S>& saved, Index row) {
    return saved.mask + row * sma::ops::mask_bytes<ValueWidth>;
  }

  /// In memory of the enclosing scope. Without dropout v is inner's.
  template <class S, class C>
  static Parts<S> room_for_parts(C& ctx, Index rows) {
    const auto inner = ctx.template scratch_rows<inner_width>(rows);
    const auto q = ctx.template scratch_rows<QueryWidth>(rows);
    const auto k = ctx.template scratch_rows<QueryWidth>(rows);
    return {inner, q, k, drops(ctx) ? ctx.template scratch_rows<ValueWidth>(rows) : value(inner)};
  }

  template <class C, class S>
  static void make_queries_and_keys(C& ctx, const sma::Position* positions,
                                    const sma::Weights<GatedAttention, S>& w, const Parts<S>& parts) {
    ctx.launch(sma::ops::QueriesAndKeys<S, QueryWidth>{query(parts.inner), w["gamma"_p].data,
                                                       w["beta"_p].data, parts.q, parts.k});
    rotate(ctx, positions, parts.q, parts.k, 1);
  }
  template <class C, class S>
  static void rotate(C& ctx, const sma::Position* positions, const sma::Rows<S, QueryWidth>& q,
                     const sma::Rows<S, QueryWidth>& k, sma::compute_of<S> direction) {
    if constexpr (PositionKind::rotary)
      ctx.launch(sma::ops::Rotate<S, QueryWidth>{positions, q, k, direction});
  }

  template <class S>
  static sma::Rows<S, QueryWidth> query(sma::Rows<S, inner_width> inner) {
    return inner.template columns<QueryWidth>(0);
  }
  template <class S>
  static sma::Rows<S, ValueWidth> gate(sma::Rows<S, inner_width> inner) {
    return inner.template columns<ValueWidth>(QueryWidth);
  }
  template <class S>
  static sma::Rows<S, ValueWidth> value(sma::Rows<S, inner_width> inner) {
    return inner.template columns<ValueWidth>(QueryWidth + ValueWidth);
  }
  template <class Owner>
  static auto table(const Owner& owner) {
    return owner.or_null(sma::ParameterName<PositionKind::parameter>{});
  }
  template <class S>
  static Problem<S> problem(const sma::Sequences& s, const sma::Weights<GatedAttention, S>& w,
                            const Parts<S>& parts) {
    return {s, parts.q, parts.k, parts.v, {table(w)}};
  }
};

}  // namespace seqboat
