#pragma once

#include <seqboat/ema.hpp>
#include <seqboat/gated_attention.hpp>
#include <sma/compose/chain.hpp>
#include <sma/compose/feed_forward.hpp>
#include <sma/compose/residual.hpp>
#include <sma/compose/sum.hpp>
#include <sma/modules/activation.hpp>
#include <sma/modules/dropout.hpp>
#include <sma/modules/norm.hpp>
#include <sma/ops/functions.hpp>
#include <sma/routing/router.hpp>

namespace seqboat {

/// Everything that shapes a SeqBoat layer, with its default. Derive from it and say what differs:
///
///     struct Small : seqboat::LayerDefaults {
///       static constexpr sma::Index width = 48, query_width = 32, hidden_width = 96;
///       using position = seqboat::SimplePosition<1024>;
///     };
///     using Layer = seqboat::Layer<Small>;
struct LayerDefaults {
  static constexpr Index width = 64;          // d
  static constexpr Index query_width = 32;    // z_dim
  static constexpr Index hidden_width = 128;  // v_dim
  static constexpr Index states = 16;         // N of the EMA
  static constexpr Index truncation = 0;      // of the EMA's kernel, 0: none
  using span = Window<128>;                   // working memory
  using attention = Softmax;
  using position = NoPosition;
  template <Index Width>
  using norm = sma::LayerNorm<Width>;
  static constexpr bool prenorm = true;
  static constexpr bool causal = false;
  static constexpr bool always_active = false;  // no configurator: every step attends with weight 1
  using dropout = std::ratio<0>;
  using hidden_dropout = std::ratio<0>;
  using temperature_scale = std::ratio<1>;  // s: tau starts at s * sqrt(d)
  using act_bias = std::ratio<0>;           // added to u_skip
  using rule = sma::Independent;
  using estimator = sma::Confidence;
  static constexpr Index feed_forward_width = 0;  // 0: no feed-forward block
  using feed_forward_activation = sma::functions::SiLU;
};

namespace detail {

/// A place in a chain that is left out.
struct Nothing {};

template <class Done, class... Left>
struct ChainOf;
template <class... Done>
struct ChainOf<std::tuple<Done...>> {
  using type = sma::Chain<Done...>;
};
template <class... Done, class Next, class... Left>
struct ChainOf<std::tuple<Done...>, Next, Left...> {
  using type = typename ChainOf<
      std::conditional_t<std::is_same_v<Next, Nothing>, std::tuple<Done...>, std::tuple<Done..., Next>>,
      Left...>::type;
};
/// The chain of those parts that are not Nothing.
template <class... Parts>
using chain_of = typename ChainOf<std::tuple<>, Parts...>::type;

template <bool Condition, class M>
using only_if = std::conditional_t<Condition, M, Nothing>;
template <Index Width, class Rate>
using dropout_if = only_if<(Rate::num > 0), sma::Dropout<Width, Rate>>;

template <class P>
struct LayerParts {
  static constexpr Index d = P::width;
  using Norm = sma::Named<"norm", typename P::template norm<d>>;
  using Drop = dropout_if<d, typename P::dropout>;
  using Attention =
      GatedAttention<d, P::query_width, P::hidden_width, typename P::span, typename P::attention,
                     typename P::position, P::causal, typename P::hidden_dropout>;
  /// Bidirectional layers drop the attention's output, causal ones the sum.
  using Working = chain_of<sma::Named<"", Attention>, only_if<!P::causal, Drop>>;
  struct ConfiguratorOptions : sma::ConfiguratorDefaults {
    using temperature_scale = typename P::temperature_scale;
    using act_bias = typename P::act_bias;
  };
  using Configurator =
      sma::LatentConfigurator<d, typename P::rule, typename P::estimator, ConfiguratorOptions>;
  using Sparse =
      std::conditional_t<P::always_active, sma::Named<"attention", Working>,
                         sma::Named<"router", sma::Router<Configurator, sma::Branch<"attention", Working>>>>;
  using Inner =
      chain_of<only_if<P::prenorm, Norm>, sma::Named<"move", Ema<d, P::states, !P::causal, P::truncation>>,
               sma::SiLU<d>, Drop, sma::Named<"", sma::Sum<sma::Named<"hx_proj", sma::Linear<d, d>>, Sparse>>,
               only_if<P::causal, Drop>>;
  using Layer = chain_of<sma::Named<"", sma::Residual<Inner>>, sma::SiLU<d>, only_if<!P::prenorm, Norm>>;

  using Block = chain_of<
      only_if<P::prenorm, Norm>,
      sma::Named<"", sma::FeedForward<d, (P::feed_forward_width > 0 ? P::feed_forward_width : 1),
                                      typename P::feed_forward_activation, typename P::hidden_dropout>>,
      Drop>;
  using FeedForwardBlock = chain_of<sma::Named<"", sma::Residual<Block>>, only_if<!P::prenorm, Norm>>;
  using WithFeedForward = sma::Chain<sma::Named<"", Layer>, sma::Named<"feed_forward", FeedForwardBlock>>;
  using type = std::conditional_t<(P::feed_forward_width > 0), WithFeedForward, Layer>;
};

}  // namespace detail

/// A SeqBoat layer (the paper's section 4), composed from the public DSL alone; S, S' (rows, width):
///
///     x = Norm(S) if prenorm    H = dropout(SiLU(EMA(x)))    a, c from the latent configurator on H
///     S' = SiLU(S + Linear(H) + extract(GatedAttention(compress(H, a))) * c)        then Norm if postnorm
template <class P>
using Layer = typename detail::LayerParts<P>::type;

}  // namespace seqboat
