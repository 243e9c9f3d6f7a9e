/// The snippets of docs/seqboat.md.

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <seqboat/reference_names.hpp>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>

namespace {

struct Small : seqboat::LayerDefaults {
  static constexpr sma::Index width = 16, query_width = 8, hidden_width = 32, states = 4;
  using span = seqboat::Window<32>;  // working memory: 32 active steps each way
  using attention = seqboat::Relu2;
  using position = seqboat::SimplePosition<784>;  // as long as the longest sequence
  template <sma::Index Width>
  using norm = sma::BatchNorm<Width>;
  using dropout = std::ratio<1, 10>;
};
struct Pictures : seqboat::ClassifierDefaults {
  using layer = Small;
  static constexpr sma::Index layers = 3, classes = 10, classifier_width = 64;
  static constexpr bool absolute_positions = true;
};
using Model = seqboat::Classifier<Pictures>;  // x (steps, 1) real numbers, y (sequences, 10) logits

struct CausalLayer : seqboat::LayerDefaults {
  static constexpr sma::Index width = 8, query_width = 4, hidden_width = 16, states = 2;
  using span = seqboat::Window<8>;
  using position = seqboat::RotaryPosition;
  static constexpr bool causal = true;
};
struct Bytes : seqboat::LanguageModelDefaults {
  using layer = CausalLayer;
  static constexpr sma::Index layers = 2, vocabulary = 256;
};
using Net = sma::Network<seqboat::LanguageModel<Bytes>, sma::Eigen<float>>;

/// Reads a text and goes on with its most probable bytes.
std::string continuation(Net& net, const std::string& text, int length) {
  auto stream = net.stream();  // constant size, whatever the text's length
  std::array<float, 256> logits{};
  const std::vector<unsigned char> bytes(text.begin(), text.end());
  net.steps(stream, std::vector<sma::Token>(bytes.begin(), bytes.end()), logits);  // the last row's
  std::string out;
  while (length-- > 0) {
    const auto next = std::max_element(logits.begin(), logits.end()) - logits.begin();
    out += static_cast<char>(next);
    net.step(stream, std::array{static_cast<sma::Token>(next)}, logits);
  }
  return out;
}

}  // namespace

TEST_CASE("seqboat.md's classifier has the widths that its comment says, and the reference's names") {
  CHECK(Model::input_width == 1);
  CHECK(Model::output_width == 10);
  CHECK(sma::sequences_per_output<Model>() == 1);
  static_assert(sma::couples_batch<Model>());
  static_assert(!sma::is_causal<Model>());
  const auto names = seqboat::reference_parameters<Model>();
  CHECK(std::any_of(names.begin(), names.end(), [](const seqboat::ReferenceSlice& slice) {
    return slice.name == "encoder.layers.2.mega_layer.move.delta";
  }));
}

TEST_CASE("seqboat.md's language model streams what it computes for whole sequences") {
  Net net{sma::Seed{1}};
  const std::string text = "to be or not to be";
  const std::string more = continuation(net, text, 3);
  REQUIRE(more.size() == 3);

  sma::Batch<sma::Token, 1> whole;
  std::vector<sma::Token> tokens;
  for (const char byte : text + more) tokens.push_back(static_cast<unsigned char>(byte));
  whole.append(tokens);
  const auto logits = net.infer(whole);  // row t predicts token t + 1
  for (std::size_t i = 0; i < 3; ++i) {
    const auto row = static_cast<sma::Index>(text.size() + i) - 1;
    const auto chosen = static_cast<sma::Index>(static_cast<unsigned char>(more[i]));
    for (sma::Index token = 0; token < 256; ++token)
      CHECK(logits(row, token) <= logits(row, chosen) + 1e-4F);  // logits of order one, in single precision
  }
}
