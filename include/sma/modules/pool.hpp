#pragma once

#include <sma/core/module.hpp>
#include <sma/kernels/elementwise.hpp>

namespace sma {

inline namespace SMA_ISA {
namespace kernels {

/// Sequences of one row each.
struct OneRowEach {
  std::int32_t* offsets;  // (count + 1)
  Position* positions;    // (count)
  std::int32_t* ids;      // (count)
  Index count;
  SMA_HD Index extent() const { return count + 1; }
  SMA_HD void operator()(Index i) const {
    offsets[i] = static_cast<std::int32_t>(i);
    if (i == count) return;
    positions[i] = 0;
  }
};

template <class T, Index Width>
struct MeanPoolForward {
  Sequences s;
  Rows<const T, Width> x;
  Rows<T, Width> y;  // (count, Width)
  SMA_HD Index extent() const { return s.count; }
  SMA_HD void operator()(Index q) const {
    T* to = y.row(q);
    for (Index j = 0; j < Width; ++j) to[j] = 0;
    for (Index t = s.begin(q); t < s.end(q); ++t)
      for (Index j = 0; j < Width; ++j) to[j] += x(t, j);
    const T inverse = s.length(q) > 0 ? 1 / static_cast<T>(s.length(q)) : T(0);
    for (Index j = 0; j < Width; ++j) to[j] *= inverse;
  }
};
template <class T, Index Width>
struct MeanPoolBackward {
  Sequences s;
  Rows<const T, Width> dy;  // (count, Width)
  Rows<T, Width> dx;
  SMA_HD Index extent() const { return s.count; }
  SMA_HD void operator()(Index q) const {
    const T inverse = s.length(q) > 0 ? 1 / static_cast<T>(s.length(q)) : T(0);
    for (Index t = s.begin(q); t < s.end(q); ++t)
      for (Index j = 0; j < Width; ++j) dx(t, j) = dy(q, j) * inverse;
  }
};

/// ids of pooled rows: the id of the first row that went in, so that the numbers differ between sequences.
struct PooledIds {
  Sequences s;
  Index group;
  std::int32_t* ids;
  SMA_HD Index extent() const { return s.count / group; }
  SMA_HD void operator()(Index q) const {
    ids[q] = s.begin(q * group) < s.rows ? s.ids[s.begin(q * group)] : 0;
  }
};

template <class T, Index Width>
struct PairForward {
  Rows<const T, Width> x;  // (2 * pairs, Width)
  Rows<T, 4 * Width> y;    // (pairs, 4 Width): second, first, product, first - second
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    for (Index j = 0; j < Width; ++j) {
      const T first = x(2 * i, j);
      const T second = x(2 * i + 1, j);
      y(i, j) = second;
      y(i, Width + j) = first;
      y(i, 2 * Width + j) = first * second;
      y(i, 3 * Width + j) = first - second;
    }
  }
};
template <class T, Index Width>
struct PairBackward {
  Rows<const T, Width> x;
  Rows<const T, 4 * Width> dy;
  Rows<T, Width> dx;
  SMA_HD Index extent() const { return dy.rows; }
  SMA_HD void operator()(Index i) const {
    for (Index j = 0; j < Width; ++j) {
      const T first = x(2 * i, j);
      const T second = x(2 * i + 1, j);
      dx(2 * i, j) = dy(i, Width + j) + dy(i, 2 * Width + j) * second + dy(i, 3 * Width + j);
      dx(2 * i + 1, j) = dy(i, j) + dy(i, 2 * Width + j) * first - dy(i, 3 * Width + j);
    }
  }
};

}  // namespace kernels
}  // namespace SMA_ISA

namespace detail {
/// Sequences of one row each, one for every `group` sequences of s.
template <class C>
Sequences pooled_layout(C& ctx, const Sequences& s, Index group) {
  const Index count = s.count / group;
  auto* offsets = ctx.template keep<std::int32_t>(count + 1);
  auto* positions = ctx.template keep<Position>(count);
  auto* ids = ctx.template keep<std::int32_t>(count);
  ctx.launch(kernels::OneRowEach{offsets, positions, ids, count});
  ctx.launch(kernels::PooledIds{s, group, ids});
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
    ctx.launch(kernels::MeanPoolForward<S, Width>{s, x, y});
  }
  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, Width> dy, Rows<S, Width> dx,
                       Weights<MeanPool, S>, Gradients<MeanPool, S>, NoState&) {
    if (dx) ctx.launch(kernels::MeanPoolBackward<S, Width>{s, dy, dx});
  }
};

/// Features of two pooled documents r0 (even rows) and r1 (odd rows): [r1 | r0 | r0 * r1 | r0 - r1] (LRA Retrieval).
/// x (2 * pairs, Width), one row a sequence, as pooling makes them; y (pairs, 4 Width). Throws `Error` for other sequences.
template <Index Width>
struct PairFeatures {
  static constexpr Index input_width = Width;
  static constexpr Index output_width = 4 * Width;
  static constexpr Index sequences_per_output = 2;

  template <class S>
  struct Saved {
    Rows<const S, Width> x;
  };

  template <class C>
  static Sequences layout(C& ctx, const Sequences& s) {
    return detail::pooled_layout(ctx, s, 2);
  }

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, Width> x, Rows<S, 4 * Width> y,
                      Weights<PairFeatures, S>, Saved<S>& saved) {
    if (s.rows != s.count)
      throw Error("sma::PairFeatures: found " + std::to_string(s.count) + " sequences of " +
                  std::to_string(s.rows) + " rows, expected one row each (pool first)");
    saved.x = x;
    ctx.launch(kernels::PairForward<S, Width>{x, y});
  }
  template <class C, class S>
  static void backward(C& ctx, const Sequences&, Rows<const S, 4 * Width> dy, Rows<S, Width> dx,
                       Weights<PairFeatures, S>, Gradients<PairFeatures, S>, Saved<S>& saved) {
    if (dx) ctx.launch(kernels::PairBackward<S, Width>{saved.x, dy, dx});
  }
};

}  // namespace sma
