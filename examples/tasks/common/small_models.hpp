#pragma once

#include <tasks/common/paper.hpp>

/// The small models that programs of examples/streaming run when trainers have trained them.
namespace tasks::small {

/// The paper's layer, narrow enough to learn in minutes on two cores.
template <class PaperLayer>
struct Narrow : PaperLayer {
  static constexpr sma::Index width = 48, query_width = 24, hidden_width = 96;
};

/// Of the ten words, causal, and on the same samples in rows of 32: 500 steps of 2 ms. Without absolute positions, which a stream leaves.
/// Norms are of each row: batch norm's are of the training data, and sounds louder than those grow from layer to layer without bound.
struct SpeechCommandsLayer : Narrow<paper::SpeechCommandsLayer> {
  template <sma::Index Width>
  using norm = sma::LayerNorm<Width>;
  static constexpr sma::Index truncation = 0;
  static constexpr bool causal = true;
  using span = seqboat::Window<32>;
  using position = seqboat::LocalPosition<32>;
};
struct SpeechCommands : paper::SpeechCommands {
  using layer = SpeechCommandsLayer;
  static constexpr sma::Index layers = 4, classifier_width = 96, input_width = 32;
  static constexpr bool absolute_positions = false;
};

/// Of bytes, narrower and with a shorter memory.
struct Enwik8Layer : paper::Enwik8Layer {
  static constexpr sma::Index width = 128, query_width = 64, hidden_width = 256, truncation = 0;
  using span = seqboat::Window<128>;
  using dropout = std::ratio<0>;
};
struct Enwik8 : paper::Enwik8 {
  using layer = Enwik8Layer;
  static constexpr sma::Index layers = 4;
};

}  // namespace tasks::small
