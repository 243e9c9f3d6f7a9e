#pragma once

#include <sma/compose/parts.hpp>
#include <sma/module/module.hpp>
#include <sma/modules/embedding.hpp>
#include <sma/modules/linear.hpp>
#include <sma/ops/linear.hpp>

namespace sma {

namespace detail {
template <class Body>
constexpr bool check_tied() {
  if constexpr (!Module<Body>) {
    static_assert(is_not_a_module<Body>,
                  "sma::TiedEmbedding<Vocabulary, Body> requires 'Body' to be a Module: input_width, "
                  "output_width, forward, backward");
    return false;
  } else if constexpr (!is_valid<Body>()) {
    return false;
  } else if constexpr (Body::input_width != Body::output_width) {
    static_assert(width_mismatch<At<0, Body>, Produces<Body::output_width>, Expects<Body::input_width>>,
                  "sma::TiedEmbedding<Vocabulary, Body> requires a Body whose output_width equals its "
                  "input_width");
    return false;
  } else {
    return true;
  }
}
}  // namespace detail

/// logits = Body(scale * E[token]) E^T: one matrix E (Vocabulary, Width) reads tokens and writes logits; scale is the root
/// of `SquaredScale`; the row of token `Padding` (-1: none) starts at 0, and its look-ups leave no gradient.
/// tokens (rows, 1), logits (rows, Vocabulary).
/// Parameters: "embed_tokens.weight" and Body's.
template <Index Vocabulary, class Body, Index SquaredScale = detail::input_width_of<Body>(),
          Index Padding = -1>
struct TiedEmbedding {
  using module_type = TiedEmbedding;
  static constexpr bool valid = detail::check_tied<Body>();
  static constexpr Index width = detail::input_width_of<Body>();
  static constexpr Index input_width = 1;
  static constexpr Index output_width = Vocabulary;
  static constexpr Index vocabulary = Vocabulary;
  static constexpr bool takes_tokens = true;
  static constexpr Reach reach = reach_of<Body>();
  using Inner = canonical<Body>;
  using Embedding = TokenEmbedding<Vocabulary, width, SquaredScale, Padding>;
  using Children = sma::Children<Child<"embed_tokens", Embedding>, Child<"", Body>>;

  static constexpr double flops(const Load& at) { return flops_of<Inner>(at) + 2.0 * width * Vocabulary; }

  template <class S>
  struct Saved {
    saved_of<Inner, S> body;
    Rows<const S, width> embedded;  // Body's input, where its backward reads it
    Rows<S, width> features;        // Body's output
  };
  template <class S>
    requires(is_streamable<Body>())
  struct Stream {
    stream_of<Inner, S> body;
  };

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const Token, 1> x, Rows<S, Vocabulary> y,
                      Weights<TiedEmbedding, S> w, Saved<S>& saved) {
    NoState none;
    const auto embedded = reads_input<Inner, C> ? ctx.template keep_rows<width>(s.rows)
                                                : ctx.template scratch_rows<width>(s.rows);
    saved.embedded = embedded;
    saved.features = ctx.template keep_rows<width>(s.rows);
    sma::forward<Embedding>(ctx, s, x, embedded, child<"embed_tokens">(w), none);
    {
      auto scope = ctx.scope();
      sma::forward<Inner>(ctx, s, embedded, saved.features, child<1>(w), saved.body);
    }
    ops::linear_forward(ctx, Rows<const S, width>(saved.features), child<"embed_tokens">(w).data,
                        static_cast<const compute_of<S>*>(nullptr), y);
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const Token, 1> x, Rows<const S, Vocabulary> dy,
                       Rows<Token, 1> dx, Weights<TiedEmbedding, S> w, Gradients<TiedEmbedding, S> g,
                       Saved<S>& saved) {
    auto scope = ctx.scope();
    NoState none;
    const auto dfeatures = ctx.template scratch_rows<width>(s.rows);
    const auto dembedded = ctx.template scratch_rows<width>(s.rows);
    ops::linear_backward(ctx, dy, Rows<const S, width>(saved.features), child<"embed_tokens">(w).data,
                         child<"embed_tokens">(g).data, static_cast<compute_of<S>*>(nullptr), dfeatures);
    sma::backward<Inner>(ctx, s, saved.embedded, dfeatures, dembedded, child<1>(w), child<1>(g), saved.body);
    sma::backward<Embedding>(ctx, s, x, dembedded, dx, child<"embed_tokens">(w), child<"embed_tokens">(g),
                             none);
  }

  template <class C, class S>
  static void step(C& ctx, const Sequences& s, Rows<const Token, 1> x, Rows<S, Vocabulary> y,
                   Weights<TiedEmbedding, S> w, Stream<S>& stream) {
    NoState none;
    StepRow<S, width> embedded(ctx), features(ctx);
    Embedding::forward(ctx, s, x, embedded.row(), child<"embed_tokens">(w), none);
    sma::step<Inner>(ctx, s, embedded.row(), features.row(), child<1>(w), stream.body);
    ops::linear_step(ctx, Rows<const S, width>(features.row()), child<"embed_tokens">(w).data,
                     static_cast<const compute_of<S>*>(nullptr), y);
  }
  template <class C, class S>
  static void steps(C& ctx, const Sequences& s, Rows<const Token, 1> x, Rows<S, Vocabulary> y,
                    Weights<TiedEmbedding, S> w, Stream<S>& stream) {
    NoState none;
    const auto embedded = ctx.template scratch_rows<width>(s.rows);
    const auto features = ctx.template scratch_rows<width>(s.rows);
    Embedding::forward(ctx, s, x, embedded, child<"embed_tokens">(w), none);
    sma::steps<Inner>(ctx, s, embedded, features, child<1>(w), stream.body);
    ops::linear_forward(ctx, Rows<const S, width>(features), child<"embed_tokens">(w).data,
                        static_cast<const compute_of<S>*>(nullptr), y);
  }
};

}  // namespace sma
