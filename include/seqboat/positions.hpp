#pragma once

#include <sma/base/diagnostics.hpp>
#include <sma/module/parameters.hpp>
#include <sma/ops/attention.hpp>

namespace seqboat {

using sma::Index;
using namespace sma::literals;  // "name"_p

/// What attention looks at: `Window<W>`, the last W active elements (and the next W when bidirectional), or `Full`.
template <Index W>
struct Window {
  static_assert(W > 0, "seqboat::Window<W> requires W > 0");
  static constexpr Index size = W;
};
struct Full {
  static constexpr Index size = 0;
};

/// Attention functions.
using Softmax = sma::ops::SoftmaxAttention;
using Relu2 = sma::ops::Relu2Attention;
using Laplace = sma::ops::LaplaceAttention;

/// Relative positions: a type with `rotary`, the additive bias's table and its parameter's name (the reference's).
struct NoPosition {
  static constexpr bool rotary = false;
  template <class S, bool Causal>
  using Bias = sma::ops::NoBias<S>;
  static constexpr sma::FixedString parameter = "";
  using Table = sma::Shape<0>;
};

/// A learned bias an original offset, clamped to +-(MaxPositions - 1).
template <Index MaxPositions>
struct SimplePosition {
  static constexpr bool rotary = false;
  template <class S, bool Causal>
  using Bias = sma::ops::SimpleBias<S, MaxPositions>;
  static constexpr sma::FixedString parameter = "rel_pos_bias.rel_pos_bias";
  using Table = sma::Shape<2 * MaxPositions - 1>;
};

/// A learned bias an offset in the compressed sequence; windowed attention only, W its window.
template <Index W>
struct LocalPosition {
  static constexpr bool rotary = false;
  static constexpr Index window = W;
  template <class S, bool Causal>
  using Bias = sma::ops::LocalBias<S, W>;
  static constexpr sma::FixedString parameter = "rel_pos_bias.rel_pos_bias";
  using Table = sma::Shape<6 * W - 1>;
};

/// Queries and keys are rotated by their original positions; no bias.
struct RotaryPosition {
  static constexpr bool rotary = true;
  template <class S, bool Causal>
  using Bias = sma::ops::NoBias<S>;
  static constexpr sma::FixedString parameter = "";
  using Table = sma::Shape<0>;
};

/// 32 learned buckets of the original offset, up to 128.
struct T5Position {
  static constexpr bool rotary = false;
  template <class S, bool Causal>
  using Bias = sma::ops::T5Bias<S, Causal>;
  static constexpr sma::FixedString parameter = "rel_pos_bias.relative_attention_bias";
  using Table = sma::Shape<32, 1>;
};

namespace detail {
/// Positions that count in windows are made for one window.
template <class Span, class PositionKind>
inline constexpr bool same_window = true;
template <class Span, Index W>
inline constexpr bool same_window<Span, LocalPosition<W>> = Span::size == W;

/// False, for compile errors.
template <class... What>
inline constexpr bool odd_query_width = false;
template <class... What>
inline constexpr bool other_window = false;

template <Index QueryWidth, class Span, class PositionKind>
constexpr bool check_positions() {
  if constexpr (PositionKind::rotary && QueryWidth % 2 != 0) {
    static_assert(odd_query_width<sma::Has<QueryWidth>>,
                  "seqboat::GatedAttention with RotaryPosition requires an even QueryWidth");
    return false;
  } else if constexpr (!same_window<Span, PositionKind>) {
    static_assert(other_window<Span, PositionKind>,
                  "seqboat::GatedAttention with LocalPosition<W> requires a Window<W> of the same W");
    return false;
  } else {
    return true;
  }
}
}  // namespace detail

}  // namespace seqboat
