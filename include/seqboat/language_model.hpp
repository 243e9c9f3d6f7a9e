#pragma once

#include <seqboat/layer.hpp>
#include <sma/compose/repeat.hpp>
#include <sma/compose/tied.hpp>

namespace seqboat {

/// Everything that shapes a causal language model beyond its layers.
struct LanguageModelDefaults {
  using layer = LayerDefaults;  // must be causal
  static constexpr Index layers = 2;
  static constexpr Index vocabulary = 256;
  static constexpr Index padding = -1;  // a token whose look-ups leave no gradient, -1: none
  template <Index Width>
  using final_norm = sma::LayerNorm<Width>;
};

namespace detail {

template <class P>
constexpr bool check_causal_layer() {
  if constexpr (!P::causal) {
    static_assert(sma::is_not_causal<P>,
                  "seqboat::LanguageModel<M> requires causal layers: M::layer::causal = true");
  } else if constexpr (!P::always_active && !P::rule::causal) {
    static_assert(
        sma::is_not_causal<typename P::rule>,
        "seqboat::LanguageModel<M> requires a causal selection rule: M::layer::rule::causal = true");
  } else if constexpr (!sma::is_causal<Layer<P>>()) {
    static_assert(sma::is_not_causal<sma::not_causal_part<Layer<P>>>,
                  "seqboat::LanguageModel<M> requires layers of causal modules");
  }
  return true;
}

template <class M>
struct LanguageModelParts {
  using P = typename M::layer;
  static constexpr Index d = P::width;
  using Stack = sma::Repeat<M::layers, Layer<P>>;
  static_assert(check_causal_layer<P>());
  using Body = chain_of<dropout_if<d, typename P::dropout>, sma::Named<"layers", Stack>,
                        only_if<P::prenorm, sma::Named<"final_norm", typename M::template final_norm<d>>>>;
  using type = sma::TiedEmbedding<M::vocabulary, Body, d, M::padding>;
};

}  // namespace detail

/// Causal language model: embedding * sqrt(width) -> layers -> final norm if prenorm -> logits by the embedding's transpose.
/// tokens (rows, 1), logits (rows, vocabulary): row t predicts token t + 1.
template <class M>
using LanguageModel = typename detail::LanguageModelParts<M>::type;

}  // namespace seqboat
