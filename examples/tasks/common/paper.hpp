#pragma once

#include <seqboat/seqboat.hpp>
#include <tasks/data/dataset.hpp>
#include <tasks/data/listops.hpp>

/// The models of the SeqBoat paper's appendix. Declared once: the trainers derive smaller ones from them, the
/// benchmarks run them.
namespace tasks::paper {

struct Layer : seqboat::LayerDefaults {
  static constexpr sma::Index truncation = 1024;
  using span = seqboat::Window<128>;
};

/// Of the tasks on tokens.
struct TokenLayer : Layer {
  static constexpr bool prenorm = false;
  using temperature_scale = std::ratio<3, 10>;
  using dropout = std::ratio<1, 10>;
};

/// Of the tasks on 32 x 32 pixels.
struct PixelLayer : Layer {
  using attention = seqboat::Relu2;
  using position = seqboat::SimplePosition<1024>;
  template <sma::Index Width>
  using norm = sma::BatchNorm<Width>;
};

struct ListOpsLayer : TokenLayer {
  static constexpr sma::Index width = 80, query_width = 64, hidden_width = 160;
  using position = seqboat::SimplePosition<2002>;
};
struct ListOps : seqboat::ClassifierDefaults {
  using layer = ListOpsLayer;
  static constexpr sma::Index layers = 6, classes = 10, classifier_width = 160,
                              vocabulary = kListOpsVocabulary;
};

struct TextLayer : TokenLayer {
  static constexpr sma::Index width = 128, query_width = 64, hidden_width = 256;
  using position = seqboat::LocalPosition<128>;
  template <sma::Index Width>
  using norm = sma::ScaleNorm<Width>;
};
struct Text : seqboat::ClassifierDefaults {
  using layer = TextLayer;
  static constexpr sma::Index layers = 4, classes = 2, classifier_width = 256, vocabulary = kByteVocabulary;
};

/// Two documents a pair.
struct RetrievalLayer : TextLayer {
  using position = seqboat::SimplePosition<4002>;
};
struct Retrieval : Text {
  using layer = RetrievalLayer;
  static constexpr sma::Index layers = 6;
};

struct ImageLayer : PixelLayer {
  static constexpr sma::Index width = 160, query_width = 96, hidden_width = 320;
  using temperature_scale = std::ratio<4, 10>;
};
struct Image : seqboat::ClassifierDefaults {
  using layer = ImageLayer;
  static constexpr sma::Index layers = 8, classes = 10, classifier_width = 320;
  static constexpr bool absolute_positions = true;
};

struct PathfinderLayer : PixelLayer {
  static constexpr sma::Index width = 128, query_width = 64, hidden_width = 256;
};
struct Pathfinder : seqboat::ClassifierDefaults {
  using layer = PathfinderLayer;
  static constexpr sma::Index layers = 6, classes = 2, classifier_width = 256;
  static constexpr bool absolute_positions = true;
};

/// Of 128 x 128 pixels.
struct PathXLayer : PathfinderLayer {
  static constexpr sma::Index truncation = 16384;
  using position = seqboat::SimplePosition<16384>;
  using span = seqboat::Window<256>;
};
struct PathX : Pathfinder {
  using layer = PathXLayer;
};

/// The language model of bytes.
struct Enwik8Layer : seqboat::LayerDefaults {
  static constexpr sma::Index width = 616, query_width = 128, hidden_width = 1232, truncation = 2048;
  using span = seqboat::Window<1024>;
  using position = seqboat::RotaryPosition;
  static constexpr bool causal = true;
  using dropout = std::ratio<15, 100>;
};
struct Enwik8 : seqboat::LanguageModelDefaults {
  using layer = Enwik8Layer;
  static constexpr sma::Index layers = 14, vocabulary = 256;
  template <sma::Index Width>
  using final_norm = sma::LayerNorm<Width, false>;
};

/// Of raw audio, 16,000 samples.
struct SpeechCommandsLayer : Layer {
  static constexpr sma::Index width = 60, query_width = 30, hidden_width = 120;
  static constexpr sma::Index truncation = 4000;
  using attention = seqboat::Relu2;
  using position = seqboat::LocalPosition<128>;
  template <sma::Index Width>
  using norm = sma::BatchNorm<Width>;
};
struct SpeechCommands : seqboat::ClassifierDefaults {
  using layer = SpeechCommandsLayer;
  static constexpr sma::Index layers = 8, classes = 10, classifier_width = 120;
  static constexpr bool absolute_positions = true;
};

}  // namespace tasks::paper
