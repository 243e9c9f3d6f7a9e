#pragma once

#include <cmath>
#include <sma/module/module.hpp>
#include <sma/ops/embedding.hpp>
#include <sma/ops/positions.hpp>
#include <sma/ops/rows.hpp>
#include <sma/ops/sums.hpp>

namespace sma {

/// y = scale * E[token]. tokens (rows, 1) in 0..Vocabulary-1, y (rows, Width), E (Vocabulary, Width).
/// scale is the root of `SquaredScale`: 1, or Width for language models. E starts at N(0, Width^-1/2), the row of token
/// `Padding` (-1: none) at 0, and look-ups of that token leave no gradient. The network checks tokens before a step and throws
/// `Error` for one out of range. PyTorch: nn.Embedding(Vocabulary, Width, padding_idx=Padding), which starts at N(0, 1).
template <Index Vocabulary, Index Width, Index SquaredScale = 1, Index Padding = -1>
struct TokenEmbedding {
  static constexpr Index input_width = 1;
  static constexpr Index output_width = Width;
  static constexpr Reach reach = Reach::row;
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
  static S factor() {
    return SquaredScale == 1 ? S(1) : std::sqrt(static_cast<S>(SquaredScale));
  }

  template <class C, class S>
  static void forward(C& ctx, const Sequences&, Rows<const Token, 1> x, Rows<S, Width> y,
                      Weights<TokenEmbedding, S> w, NoState&) {
    ctx.launch(ops::GatherEmbedding<S, Width>{x, y, w.data, factor<compute_of<S>>()});
  }

  /// Tokens have no gradient: dx is ignored.
  template <class C, class S>
  static void backward(C& ctx, const Sequences&, Rows<const Token, 1> x, Rows<const S, Width> dy,
                       Rows<Token, 1>, Weights<TokenEmbedding, S>, Gradients<TokenEmbedding, S> g, NoState&) {
    ctx.launch(ops::ScatterEmbedding<S, Width>{x, dy, g.data, factor<compute_of<S>>(), Padding});
  }
};

/// y = x w^T + b for one real number a row (a pixel, a sample). x (rows, 1), y (rows, Width), w (Width, 1), b (Width).
/// w starts at N(0, 1), b at N(0, .1). PyTorch: nn.Linear(1, Width), which starts elsewhere.
template <Index Width>
struct RealEmbedding {
  static constexpr Index input_width = 1;
  static constexpr Index output_width = Width;
  static constexpr Reach reach = Reach::row;
  static constexpr double flops(const Load&) { return 2.0 * Width; }
  using Parameters = sma::Parameters<Param<"weight", Shape<Width, 1>, init::Normal<std::ratio<1>>>,
                                     Param<"bias", Shape<Width>, init::Normal<std::ratio<1, 10>>>>;

  template <class C, class S>
  static void forward(C& ctx, const Sequences&, Rows<const S, 1> x, Rows<S, Width> y,
                      Weights<RealEmbedding, S> w, NoState&) {
    const auto [weight, bias] = w.tensors();
    ctx.launch(ops::RealEmbeddingForward<S, Width>{x, y, weight.data, bias.data});
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences&, Rows<const S, 1> x, Rows<const S, Width> dy, Rows<S, 1> dx,
                       Weights<RealEmbedding, S> w, Gradients<RealEmbedding, S> g, NoState&) {
    const auto [dweight, dbias] = g.tensors();
    using Scaled = ops::ScaledByInputTerm<S, Width>;
    using Element = ops::ElementTerm<S, Width>;
    ops::column_sum<Width>(ctx, dy.rows, Scaled{x, dy}, dweight.data);
    ops::column_sum<Width>(ctx, dy.rows, Element{dy}, dbias.data);
    if (dx) ctx.launch(ops::RealEmbeddingBackward<S, Width>{dy, dx, w.data});
  }
};

/// y = x + scale * [sin(t f_i) | cos(t f_i)], f_i = 10000^(-2i/Width), t the row's original position; scale is learned
/// and starts at Width^-1/2. Width is even.
template <Index Width>
struct AbsolutePosition {
  static_assert(Width % 2 == 0, "sma::AbsolutePosition<Width> requires an even Width");
  static constexpr Index input_width = Width;
  static constexpr Index output_width = Width;
  static constexpr Reach reach = Reach::row;

  struct InitialScale {
    static double value(RandomSequence&, Index) { return 1.0 / std::sqrt(static_cast<double>(Width)); }
  };
  using Parameters = sma::Parameters<Param<"scale", Shape<1>, InitialScale>>;

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, Width> x, Rows<S, Width> y,
                      Weights<AbsolutePosition, S> w, NoState&) {
    ctx.launch(ops::PositionCodes<S, Width>{s.positions, y});
    ctx.launch(ops::AddToScaled<S, Width>{x, w.data, y});
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, Width> dy, Rows<S, Width> dx,
                       Weights<AbsolutePosition, S>, Gradients<AbsolutePosition, S> g, NoState&) {
    using Dot = ops::RowDotTerm<S, Width>;
    auto scope = ctx.scope();
    const auto code = ctx.template scratch_rows<Width>(dy.rows);
    ctx.launch(ops::PositionCodes<S, Width>{s.positions, code});
    ops::column_sum<1>(ctx, dy.rows, Dot{dy, code}, g.data);
    if (dx) ctx.launch(ops::CopyRows<S, Width>{dy, dx});
  }
};

}  // namespace sma
