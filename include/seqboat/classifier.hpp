#pragma once

#include <seqboat/layer.hpp>
#include <sma/compose/repeat.hpp>
#include <sma/modules/cumulative_mean.hpp>
#include <sma/modules/embedding.hpp>
#include <sma/modules/pool.hpp>

namespace seqboat {

/// Everything that shapes a sequence classifier beyond its layers.
///
///     struct Model : seqboat::ClassifierDefaults {
///       using layer = Small;                                  // a LayerDefaults
///       static constexpr sma::Index layers = 3, classes = 10;
///     };
struct ClassifierDefaults {
  using layer = LayerDefaults;
  static constexpr Index layers = 4;
  static constexpr Index classes = 2;
  static constexpr Index classifier_width = 128;
  static constexpr Index vocabulary = 0;   // 0: the input is real numbers
  static constexpr Index input_width = 1;  // of them a step
  static constexpr bool absolute_positions = false;
};

namespace detail {

template <class M>
struct ClassifierParts {
  using P = typename M::layer;
  static constexpr Index d = P::width;
  using OfReals =
      std::conditional_t<(M::input_width > 1),
                         sma::Linear<M::input_width, d, sma::init::InverseRootNormal<M::input_width>>,
                         sma::RealEmbedding<d>>;
  using Embed = sma::Named<
      "embed_tokens",
      std::conditional_t<(M::vocabulary > 0), sma::TokenEmbedding<(M::vocabulary > 0 ? M::vocabulary : 1), d>,
                         OfReals>>;
  using Positions = only_if<M::absolute_positions, sma::Named<"pos_emb", sma::AbsolutePosition<d>>>;
  using Drop = dropout_if<d, typename P::dropout>;
  template <class Pool>
  using EncoderWith =
      chain_of<Embed, Positions, Drop, sma::Named<"layers", sma::Repeat<M::layers, Layer<P>>>,
               only_if<P::prenorm, sma::Named<"final_norm", typename P::template norm<d>>>, Pool>;
  using Encoder = EncoderWith<sma::MeanPool<d>>;
  template <Index Features>
  using Head = chain_of<
      sma::Named<"classifier.0", sma::Linear<Features, M::classifier_width,
                                             sma::init::XavierUniform<Features, M::classifier_width>>>,
      sma::GELU<M::classifier_width>, dropout_if<M::classifier_width, typename P::dropout>,
      sma::Named<"projection", sma::LinearWithoutBias<M::classifier_width, M::classes>>>;
};

}  // namespace detail

/// embed -> (+ position) -> dropout -> layers -> final norm if prenorm -> mean over the sequence. Output (sequences, width).
template <class M>
using Encoder = typename detail::ClassifierParts<M>::Encoder;

/// Encoder -> Linear -> GELU -> dropout -> Linear without bias. Output: logits (sequences, classes). LRA's classifier.
template <class M>
using Classifier =
    sma::Chain<sma::Named<"encoder", Encoder<M>>,
               sma::Named<"", typename detail::ClassifierParts<M>::template Head<M::layer::width>>>;

/// `Classifier` of what has come so far, at each row: the last row's logits are the classifier's, and it has the classifier's parameters.
/// With causal layers it streams: a classifier is trained, and this one, with its weights, listens. Output: logits (rows, classes).
template <class M>
using RunningClassifier =
    sma::Chain<sma::Named<"encoder", typename detail::ClassifierParts<M>::template EncoderWith<
                                         sma::CumulativeMean<M::layer::width>>>,
               sma::Named<"", typename detail::ClassifierParts<M>::template Head<M::layer::width>>>;

/// Two documents, one shared encoder; sequences 2i and 2i + 1 are a pair. Output: logits (pairs, classes). LRA's Retrieval.
template <class M>
using PairClassifier =
    sma::Chain<sma::Named<"encoder", Encoder<M>>, sma::PairFeatures<M::layer::width>,
               sma::Named<"", typename detail::ClassifierParts<M>::template Head<4 * M::layer::width>>>;

}  // namespace seqboat
