#pragma once

#include <sma/module/module.hpp>
#include <sma/ops/pool.hpp>

namespace sma {

namespace detail {
/// Sequences of one row each, one for every `group` sequences of s.
template <class C>
Sequences pooled_layout(C& ctx, const Sequences& s, Index group) {
  const Index count = s.count / group;
  auto* offsets = ctx.template keep<std::int32_t>(count + 1);
  auto* positions = ctx.template keep<Position>(count);
  auto* ids = ctx.template keep<std::int32_t>(count);
  ctx.launch(ops::OneRowEach{offsets, positions, ids, count});
  ctx.launch(ops::PooledIds{s, group, ids});
  return {count, count, offsets, positions, ids};
}
}  // namespace detail

/// y_s = mean over the rows of sequence s; zero for an empty sequence. x (rows, Width), y (sequences, Width).
template <Index Width>
struct MeanPool {
  static constexpr Index input_width = Width;
  static constexpr Index output_width = Width;
  static constexpr Index sequences_per_output = 1;

  template <class C>
  static Sequences layout(C& ctx, const Sequences& s) {
    return detail::pooled_layout(ctx, s, 1);
  }

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, Width> x, Rows<S, Width> y,
                      Weights<MeanPool, S>, NoState&) {
    ctx.launch(ops::MeanPoolForward<S, Width>{s, x, y});
  }
  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, Width> dy, Rows<S, Width> dx,
                       Weights<MeanPool, S>, Gradients<MeanPool, S>, NoState&) {
    if (dx) ctx.launch(ops::MeanPoolBackward<S, Width>{s, dy, dx});
  }
};

/// Features of two pooled documents r0 (even rows) and r1 (odd rows): [r1 | r0 | r0 * r1 | r0 - r1] (LRA Retrieval).
/// x (2 * pairs, Width), one row a sequence, as pooling makes them; y (pairs, 4 Width). Throws `Error` for other sequences.
template <Index Width>
struct PairFeatures {
  static constexpr Index input_width = Width;
  static constexpr Index output_width = 4 * Width;
  static constexpr Index sequences_per_output = 2;

  template <class C>
  static Sequences layout(C& ctx, const Sequences& s) {
    return detail::pooled_layout(ctx, s, 2);
  }

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, Width> x, Rows<S, 4 * Width> y,
                      Weights<PairFeatures, S>, NoState&) {
    if (s.rows != s.count)
      throw Error("sma::PairFeatures: found " + std::to_string(s.count) + " sequences of " +
                  std::to_string(s.rows) + " rows, expected one row each (pool first)");
    ctx.launch(ops::PairForward<S, Width>{x, y});
  }
  template <class C, class S>
  static void backward(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<const S, 4 * Width> dy,
                       Rows<S, Width> dx, Weights<PairFeatures, S>, Gradients<PairFeatures, S>, NoState&) {
    if (dx) ctx.launch(ops::PairBackward<S, Width>{x, dy, dx});
  }
};

}  // namespace sma
