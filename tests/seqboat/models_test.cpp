#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/loss.hpp>
#include <support/laws.hpp>
#include <vector>

#include "by_hand.hpp"

namespace {

using sma::Index;
using Backend = sma::Eigen<double>;

struct Tiny : seqboat::LayerDefaults {
  static constexpr Index width = 4, query_width = 4, hidden_width = 6, states = 2;
  using span = seqboat::Window<3>;
};
struct TokenLayer : Tiny {
  static constexpr bool prenorm = false;
  static constexpr Index truncation = 5;
  using position = seqboat::SimplePosition<16>;
};
struct PixelLayer : Tiny {
  using attention = seqboat::Relu2;
  using position = seqboat::LocalPosition<3>;
  template <Index Width>
  using norm = sma::BatchNorm<Width>;
};
struct CausalLayer : Tiny {
  static constexpr bool causal = true;
  using position = seqboat::RotaryPosition;
};

struct TokenModel : seqboat::ClassifierDefaults {
  using layer = TokenLayer;
  static constexpr Index layers = 2, classes = 3, classifier_width = 5, vocabulary = 7;
};
struct PixelModel : seqboat::ClassifierDefaults {
  using layer = PixelLayer;
  static constexpr Index layers = 2, classes = 3, classifier_width = 5;
  static constexpr bool absolute_positions = true;
};
/// Three numbers a step.
struct FrameModel : PixelModel {
  static constexpr Index input_width = 3;
};
struct CausalModel : seqboat::ClassifierDefaults {
  using layer = CausalLayer;
  static constexpr Index layers = 2, classes = 3, classifier_width = 5;
};
struct TextModel : seqboat::LanguageModelDefaults {
  using layer = CausalLayer;
  static constexpr Index layers = 2, vocabulary = 7;
};

struct PaddedTextModel : TextModel {
  static constexpr Index padding = 2;
};

using Tokens = seqboat::Classifier<TokenModel>;
using Pixels = seqboat::Classifier<PixelModel>;
using Frames = seqboat::Classifier<FrameModel>;
using Pairs = seqboat::PairClassifier<TokenModel>;
using Text = seqboat::LanguageModel<TextModel>;

/// The head of a classifier: Linear, GELU, Linear without bias.
template <class Net>
void append_logits(Net& net, const double* features, std::size_t width, std::vector<double>& logits) {
  using by_hand::linear;
  using by_hand::tensor;
  auto hidden = linear(tensor(net, "classifier.0.weight"), tensor(net, "classifier.0.bias"), features, width);
  for (double& value : hidden) value *= (1 + std::erf(value / std::sqrt(2.0))) / 2;
  const auto y = linear(tensor(net, "projection.weight"), {0, 0, 0}, hidden.data(), 5);
  logits.insert(logits.end(), y.begin(), y.end());
}

}  // namespace

TEST_CASE("a model's gradients are its finite differences") {
  laws::check_gradients<Tokens, Backend>({0, 1, 14, 3}, 1);
  laws::check_gradients<Pixels, Backend>({0, 1, 14, 3}, 2);
  laws::check_gradients<Frames, Backend>({0, 1, 14, 3}, 2);
  laws::check_gradients<Pairs, Backend>({0, 1, 9, 3}, 3);
  laws::check_gradients<Text, Backend>({0, 1, 14, 3}, 4);
}

TEST_CASE("a model of a batch is that of its sequences one by one") {
  for (const auto& lengths : laws::shapes_of<Tokens>())
    laws::check_batch_is_its_sequences<Tokens, Backend>(lengths, 1);
  for (const auto& lengths : laws::shapes_of<Pairs>())
    laws::check_batch_is_its_sequences<Pairs, Backend>(lengths, 2);
  for (const auto& lengths : laws::shapes_of<Text>())
    laws::check_batch_is_its_sequences<Text, Backend>(lengths, 3);
}

TEST_CASE("a running classifier's last row is the classifier's, of the same parameters, and it streams") {
  using Whole = seqboat::Classifier<CausalModel>;
  using Running = seqboat::RunningClassifier<CausalModel>;
  static_assert(sma::is_streamable<Running>());
  sma::Network<Whole, Backend> whole(sma::Seed{1});
  sma::Network<Running, Backend> running(sma::Seed{2});
  laws::randomize(whole, 3);
  const auto entries = [](auto& net) {
    return sma::parameter_entries<typename std::decay_t<decltype(net)>::description>();
  };
  REQUIRE(entries(whole).size() == entries(running).size());
  for (std::size_t i = 0; i < entries(whole).size(); ++i)
    CHECK(entries(whole)[i].name == entries(running)[i].name);
  running.set_parameters(whole.parameters());
  const auto x = laws::random_input<decltype(whole)>({40}, 4);
  const auto expected = laws::values_of(whole.infer(x));
  const auto rows = laws::values_of(running.infer(x));
  REQUIRE(rows.size() == 40 * 3);
  for (std::size_t c = 0; c < 3; ++c) CHECK(rows[39 * 3 + c] == doctest::Approx(expected[c]).epsilon(1e-12));
  laws::check_stream_is_whole<Running, Backend>(60, 5);
}

TEST_CASE("a classifier of pairs reads second, first, product and difference of its documents") {
  using namespace by_hand;
  sma::Network<Pairs, Backend> net{sma::Seed{1}};
  sma::Network<seqboat::Encoder<TokenModel>, Backend> encoder{sma::Seed{1}};
  laws::randomize(net, 1);
  take_tensors(encoder, net, "encoder.");
  const auto x = laws::random_input<decltype(net)>({5, 12, 0, 3, 1, 1}, 2);
  const auto documents = encoder.infer(x);
  REQUIRE(documents.count == 6);
  std::vector<double> expected;
  for (Index pair = 0; pair < 3; ++pair) {
    const double* first = documents.host().row(2 * pair);
    const double* second = documents.host().row(2 * pair + 1);
    std::vector<double> features(16);
    for (std::size_t c = 0; c < 4; ++c) {
      features[c] = second[c];
      features[4 + c] = first[c];
      features[8 + c] = first[c] * second[c];
      features[12 + c] = first[c] - second[c];
    }
    append_logits(net, features.data(), 16, expected);
  }
  laws::check_close(laws::values_of(net.infer(x)), expected, 1e-12, "logits");
}

TEST_CASE("a classifier of pairs refuses an odd number of documents") {
  sma::Network<Pairs, Backend> net{sma::Seed{1}};
  const sma::Batch<sma::Token, 1> x{4, 4, 4};
  CHECK_THROWS_AS(net.infer(x), sma::Error);
}

TEST_CASE("a classifier of pixels is x w + b and its position's code, layers, final norm, mean and head") {
  using namespace by_hand;
  using Inner = sma::Chain<sma::Named<"layers", sma::Repeat<2, seqboat::Layer<PixelLayer>>>,
                           sma::Named<"final_norm", sma::BatchNorm<4>>, sma::MeanPool<4>>;
  sma::Network<Pixels, Backend> net{sma::Seed{1}};
  sma::Network<Inner, Backend> inner{sma::Seed{1}};
  laws::randomize(net, 1);
  take_tensors(inner, net, "encoder.");
  inner.set_buffers(net.buffers());
  const laws::Lengths lengths{9, 0, 1, 20};
  const auto x = laws::random_input<decltype(net)>(lengths, 2);
  sma::Batch<double, 4> embedded{std::span<const Index>(lengths)};
  const auto weight = tensor(net, "encoder.embed_tokens.weight");
  const auto bias = tensor(net, "encoder.embed_tokens.bias");
  const double scale = tensor(net, "encoder.pos_emb.scale")[0];
  const sma::Sequences s = x.sequences();
  for (Index q = 0; q < s.count; ++q)
    for (Index row = s.begin(q); row < s.end(q); ++row) {
      const auto t = static_cast<double>(row - s.begin(q));
      const double code[] = {std::sin(t), std::sin(t / 100), std::cos(t), std::cos(t / 100)};
      for (std::size_t c = 0; c < 4; ++c)
        embedded(row, static_cast<Index>(c)) = x(row, 0) * weight[c] + bias[c] + scale * code[c];
    }
  const auto features = inner.infer(embedded);
  std::vector<double> expected;
  for (Index q = 0; q < s.count; ++q) append_logits(net, features.host().row(q), 4, expected);
  laws::check_close(laws::values_of(net.infer(x)), expected, 1e-12, "logits");
}

TEST_CASE("a later token changes no earlier logit") {
  sma::Network<Text, Backend> net{sma::Seed{1}};
  laws::randomize(net, 1);
  auto x = laws::random_input<decltype(net)>({20, 90, 4}, 2);
  const auto before = laws::values_of(net.infer(x));
  for (const Index t : {0, 1, 40, 63, 64, 65, 89}) {
    CAPTURE(t);
    const Index row = 20 + t;  // of the second sequence
    auto other = x;
    other(row, 0) = (other(row, 0) + 1) % 7;
    const auto after = laws::values_of(net.infer(other));
    const auto same = [&](Index from, Index to) {
      return std::equal(before.begin() + from * 7, before.begin() + to * 7, after.begin() + from * 7);
    };
    CHECK(same(0, row));
    CHECK(!same(row, row + 1));
    CHECK(same(110, 114));
  }
}

TEST_CASE(
    "a language model's logits are its features times the embedding that reads its tokens, scaled by "
    "sqrt(d)") {
  using namespace by_hand;
  using Body = sma::Chain<sma::Named<"layers", sma::Repeat<2, seqboat::Layer<CausalLayer>>>,
                          sma::Named<"final_norm", sma::LayerNorm<4>>>;
  sma::Network<Text, Backend> net{sma::Seed{1}};
  sma::Network<Body, Backend> body{sma::Seed{1}};
  laws::randomize(net, 1);
  take_tensors(body, net, "");
  const laws::Lengths lengths{9, 0, 1, 20};
  const auto x = laws::random_input<decltype(net)>(lengths, 2);
  const auto table = tensor(net, "embed_tokens.weight");
  sma::Batch<double, 4> embedded{std::span<const Index>(lengths)};
  for (Index t = 0; t < x.rows(); ++t)
    for (Index c = 0; c < 4; ++c) embedded(t, c) = 2 * table[static_cast<std::size_t>(x(t, 0) * 4 + c)];
  const auto features = body.infer(embedded);
  std::vector<double> expected;
  for (Index t = 0; t < x.rows(); ++t) {
    const auto logits = linear(table, std::vector<double>(7), features.host().row(t), 4);
    expected.insert(expected.end(), logits.begin(), logits.end());
  }
  laws::check_close(laws::values_of(net.infer(x)), expected, 1e-12, "logits");
}

TEST_CASE("look-ups of a language model's padding token leave no gradient, its logits do") {
  using Padded = seqboat::LanguageModel<PaddedTextModel>;
  sma::Network<Text, Backend> plain{sma::Seed{1}};
  sma::Network<Padded, Backend> padded{sma::Seed{1}};
  laws::randomize(plain, 1);
  padded.set_parameters(plain.parameters());
  const laws::Lengths lengths{9, 0, 1, 20};
  const auto x = laws::random_input<decltype(plain)>(lengths, 2);
  REQUIRE(std::ranges::count(x.values(), 2) > 0);
  auto dy = laws::random_output_gradient<decltype(plain)>(lengths, 3);
  const auto rows_of = [](const auto& pass, Index from, Index to) {  // of the embedding, the first tensor
    return std::vector<double>(pass.gradients.begin() + from * 4, pass.gradients.begin() + to * 4);
  };
  const auto expected = laws::train(plain, x, dy);
  const auto found = laws::train(padded, x, dy);
  laws::check_close(found.y, expected.y, 0, "logits");
  laws::check_close(rows_of(found, 0, 2), rows_of(expected, 0, 2), 0, "rows before the padding token's");
  laws::check_close(rows_of(found, 3, 7), rows_of(expected, 3, 7), 0, "rows after it");
  const auto with_logits = rows_of(found, 2, 3);
  CHECK(std::ranges::any_of(with_logits, [](double g) { return g != 0; }));
  CHECK(with_logits != rows_of(expected, 2, 3));
  for (std::size_t i = 2; i < dy.size(); i += 7) dy[i] = 0;  // nothing reaches row 2 through its logit
  CHECK(rows_of(laws::train(padded, x, dy), 2, 3) == std::vector<double>(4));
}

TEST_CASE("the workspace of a training step grows linearly with the sequence") {
  const auto bytes_a_row = [](Index rows) {
    sma::Network<Tokens, Backend> net{sma::Seed{1}};
    const auto x = laws::random_input<decltype(net)>({rows}, 1);
    const std::vector<std::int32_t> targets{1};
    for (int pass = 0; pass < 2; ++pass)  // the first sizes the arenas, the second runs in them
      net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy{}, 1.0);
    return static_cast<double>(net.workspace_bytes()) / static_cast<double>(rows);
  };
  // Arenas grow in halves, so that equal use may hold up to half as much again.
  CHECK(bytes_a_row(32000) < 1.5 * bytes_a_row(2000));
}
