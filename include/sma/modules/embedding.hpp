#pragma once

#include <cmath>
#include <sma/core/module.hpp>
#include <sma/kernels/elementwise.hpp>
#include <sma/kernels/positions.hpp>

namespace sma {

inline namespace SMA_ISA {
namespace kernels {

template <class T, Index Width>
struct GatherEmbedding {
  Rows<const Token, 1> tokens;
  Rows<T, Width> y;
  const T* table;  // (Vocabulary, Width)
  T factor;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    const T* from = table + static_cast<Index>(tokens(i, 0)) * Width;
    T* to = y.row(i);
    for (Index j = 0; j < Width; ++j) to[j] = factor * from[j];
  }
};

/// dtable[token] += factor * dy, rows in order, token `padding` left out. One index is one channel, so that no two write the
/// same number.
template <class T, Index Width>
struct ScatterEmbedding {
  Rows<const Token, 1> tokens;
  Rows<const T, Width> dy;
  T* dtable;
  T factor;
  Index padding;  // -1: none
  SMA_HD Index extent() const { return Width; }
  SMA_HD void operator()(Index j) const {
    for (Index i = 0; i < dy.rows; ++i)
      if (tokens(i, 0) != padding) dtable[static_cast<Index>(tokens(i, 0)) * Width + j] += factor * dy(i, j);
  }
};

/// y = x w + b for one number a row.
template <class T, Index Width>
struct RealEmbeddingForward {
  Rows<const T, 1> x;
  Rows<T, Width> y;
  const T* weight;
  const T* bias;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    const T value = x(i, 0);
    T* to = y.row(i);
    for (Index j = 0; j < Width; ++j) to[j] = value * weight[j] + bias[j];
  }
};
template <class T, Index Width>
struct RealEmbeddingBackward {
  Rows<const T, Width> dy;
  Rows<T, 1> dx;
  const T* weight;
  SMA_HD Index extent() const { return dy.rows; }
  SMA_HD void operator()(Index i) const {
    const T* d = dy.row(i);
    const T* w = weight;
    dx(i, 0) = row_sum<T, Width>([d, w](Index j) { return d[j] * w[j]; });
  }
};
template <class T, Index Width>
struct ScaledByInputTerm {
  Rows<const T, 1> x;
  Rows<const T, Width> dy;
  SMA_HD T operator()(Index r, Index c) const { return x(r, 0) * dy(r, c); }
};

/// The position code [sin(t f_i) | cos(t f_i)], f of position_frequency, element c of time step t.
template <class T, Index Width>
SMA_HD T position_code(Position t, Index c) {
  constexpr Index half = Width / 2;
  const double angle = static_cast<double>(t) * position_frequency<Width>(c < half ? c : c - half);
  return static_cast<T>(c < half ? std::sin(angle) : std::cos(angle));
}

/// code = the rows' position codes.
template <class T, Index Width>
struct PositionCodes {
  const Position* positions;
  Rows<T, Width> code;
  SMA_HD Index extent() const { return code.rows; }
  SMA_HD void operator()(Index i) const {
    for (Index c = 0; c < Width; ++c) code(i, c) = position_code<T, Width>(positions[i], c);
  }
};

/// y = x + scale * y.
template <class T, Index Width>
struct AddToScaled {
  Rows<const T, Width> x;
  const T* scale;
  Rows<T, Width> y;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    const T* from = x.row(i);
    T* to = y.row(i);
    for (Index c = 0; c < Width; ++c) to[c] = from[c] + scale[0] * to[c];
  }
};

template <class T, Index Width>
struct RowDotTerm {  // sum over a row of a * b, as a column sum over one column
  Rows<const T, Width> a, b;
  SMA_HD T operator()(Index r, Index) const {
    const T* pa = a.row(r);
    const T* pb = b.row(r);
    return row_sum<T, Width>([pa, pb](Index j) { return pa[j] * pb[j]; });
  }
};

}  // namespace kernels
}  // namespace SMA_ISA

/// y = scale * E[token]. tokens (rows, 1) in 0..Vocabulary-1, y (rows, Width), E (Vocabulary, Width).
/// scale is the root of `SquaredScale`: 1, or Width for language models. E starts at N(0, Width^-1/2), the row of token
/// `Padding` (-1: none) at 0, and look-ups of that token leave no gradient. The network checks tokens before a step and throws
/// `Error` for one out of range. PyTorch: nn.Embedding(Vocabulary, Width, padding_idx=Padding), which starts at N(0, 1).
template <Index Vocabulary, Index Width, Index SquaredScale = 1, Index Padding = -1>
struct TokenEmbedding {
  static constexpr Index input_width = 1;
  static constexpr Index output_width = Width;
  static constexpr bool rowwise = true;
  static constexpr bool takes_tokens = true;
  static constexpr Index vocabulary = Vocabulary;

  /// The padding row's numbers are drawn too, so that the other rows do not depend on `Padding`.
  struct InitialTable {
    static double value(RandomSequence& random, Index i) {
      const double drawn = init::InverseRootNormal<Width>::value(random, i);
      return i / Width == Padding ? 0.0 : drawn;
    }
  };
  using Parameters = sma::Parameters<Param<"weight", Shape<Vocabulary, Width>, InitialTable>>;

  template <class S>
  struct Saved {
    Rows<const Token, 1> x;
  };

  template <class S>
  static S factor() {
    return SquaredScale == 1 ? S(1) : std::sqrt(static_cast<S>(SquaredScale));
  }

  template <class C, class S>
  static void forward(C& ctx, const Sequences&, Rows<const Token, 1> x, Rows<S, Width> y,
                      Weights<TokenEmbedding, S> w, Saved<S>& saved) {
    saved.x = x;
    ctx.launch(kernels::GatherEmbedding<S, Width>{x, y, w.data, factor<S>()});
  }

  /// Tokens have no gradient: dx is ignored.
  template <class C, class S>
  static void backward(C& ctx, const Sequences&, Rows<const S, Width> dy, Rows<Token, 1>,
                       Weights<TokenEmbedding, S>, Gradients<TokenEmbedding, S> g, Saved<S>& saved) {
    ctx.launch(kernels::ScatterEmbedding<S, Width>{saved.x, dy, g.data, factor<S>(), Padding});
  }
};

/// y = x w^T + b for one real number a row (a pixel, a sample). x (rows, 1), y (rows, Width), w (Width, 1), b (Width).
/// w starts at N(0, 1), b at N(0, .1). PyTorch: nn.Linear(1, Width), which starts elsewhere.
template <Index Width>
struct RealEmbedding {
  static constexpr Index input_width = 1;
  static constexpr Index output_width = Width;
  static constexpr bool rowwise = true;
  using Parameters = sma::Parameters<Param<"weight", Shape<Width, 1>, init::Normal<std::ratio<1>>>,
                                     Param<"bias", Shape<Width>, init::Normal<std::ratio<1, 10>>>>;

  template <class S>
  struct Saved {
    Rows<const S, 1> x;
  };

  template <class C, class S>
  static void forward(C& ctx, const Sequences&, Rows<const S, 1> x, Rows<S, Width> y,
                      Weights<RealEmbedding, S> w, Saved<S>& saved) {
    saved.x = x;
    const auto [weight, bias] = w.tensors();
    ctx.launch(kernels::RealEmbeddingForward<S, Width>{x, y, weight.data, bias.data});
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences&, Rows<const S, Width> dy, Rows<S, 1> dx,
                       Weights<RealEmbedding, S> w, Gradients<RealEmbedding, S> g, Saved<S>& saved) {
    const auto [dweight, dbias] = g.tensors();
    using Scaled = kernels::ScaledByInputTerm<S, Width>;
    using Element = kernels::ElementTerm<S, Width>;
    ctx.launch(kernels::ColumnSum<S, Width, Scaled>{dy.rows, Scaled{saved.x, dy}, dweight.data});
    ctx.launch(kernels::ColumnSum<S, Width, Element>{dy.rows, Element{dy}, dbias.data});
    if (dx) ctx.launch(kernels::RealEmbeddingBackward<S, Width>{dy, dx, w.data});
  }
};

/// y = x + scale * [sin(t f_i) | cos(t f_i)], f_i = 10000^(-2i/Width), t the row's original position; scale is learned
/// and starts at Width^-1/2. Width is even.
template <Index Width>
struct AbsolutePosition {
  static_assert(Width % 2 == 0, "sma::AbsolutePosition<Width> requires an even Width");
  static constexpr Index input_width = Width;
  static constexpr Index output_width = Width;
  static constexpr bool rowwise = true;
  static constexpr bool forgets_input = true;

  struct InitialScale {
    static double value(RandomSequence&, Index) { return 1.0 / std::sqrt(static_cast<double>(Width)); }
  };
  using Parameters = sma::Parameters<Param<"scale", Shape<1>, InitialScale>>;

  template <class S>
  struct Saved {};

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, Width> x, Rows<S, Width> y,
                      Weights<AbsolutePosition, S> w, Saved<S>&) {
    ctx.launch(kernels::PositionCodes<S, Width>{s.positions, y});
    ctx.launch(kernels::AddToScaled<S, Width>{x, w.data, y});
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, Width> dy, Rows<S, Width> dx,
                       Weights<AbsolutePosition, S>, Gradients<AbsolutePosition, S> g, Saved<S>&) {
    using Dot = kernels::RowDotTerm<S, Width>;
    auto scope = ctx.scope();
    const auto code = ctx.template scratch_rows<Width>(dy.rows);
    ctx.launch(kernels::PositionCodes<S, Width>{s.positions, code});
    ctx.launch(kernels::ColumnSum<S, 1, Dot>{dy.rows, Dot{dy, code}, g.data});
    if (dx) ctx.launch(kernels::CopyRows<S, Width>{dy, dx});
  }
};

}  // namespace sma
