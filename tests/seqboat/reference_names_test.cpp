#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <seqboat/reference_names.hpp>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <string>
#include <support/files.hpp>
#include <support/laws.hpp>
#include <vector>

namespace {

using sma::Index;
template <class M>
using Network = sma::Network<M, sma::Eigen<double>>;
using Shapes = std::map<std::string, std::vector<std::int64_t>>;

struct Tiny : seqboat::LayerDefaults {
  static constexpr Index width = 4, query_width = 6, hidden_width = 10, states = 2;
  using span = seqboat::Window<3>;
};
struct BatchNormLayer : Tiny {
  static constexpr Index feed_forward_width = 7;
  using position = seqboat::T5Position;
  template <Index Width>
  using norm = sma::BatchNorm<Width>;
};
struct ScaleNormLayer : Tiny {
  using position = seqboat::LocalPosition<3>;
  static constexpr bool prenorm = false, always_active = true;
  template <Index Width>
  using norm = sma::ScaleNorm<Width>;
};
struct CausalLayer : Tiny {
  static constexpr bool causal = true;
  using position = seqboat::RotaryPosition;
};
struct TokenModel : seqboat::ClassifierDefaults {
  using layer = ScaleNormLayer;
  static constexpr Index layers = 1, classes = 3, classifier_width = 5, vocabulary = 9;
};
struct PixelModel : seqboat::ClassifierDefaults {
  using layer = BatchNormLayer;
  static constexpr Index layers = 2, classes = 3, classifier_width = 5;
  static constexpr bool absolute_positions = true;
};
struct LanguageModel : seqboat::LanguageModelDefaults {
  using layer = CausalLayer;
  static constexpr Index layers = 2, vocabulary = 9;
};

/// A path that is gone at the end of the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& name) : path_(directory_.file(name + ".safetensors")) {}
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  files::Directory directory_;
  std::string path_;
};

Shapes shapes_of(const sma::SafetensorsFile& file) {
  Shapes shapes;
  for (const std::string& name : file.names()) shapes[name] = file.info(name).shape;
  return shapes;
}

/// A layer's tensors in the reference, after `prefix`: width 4, z 6, v 10, 2 states, as the reference's state dictionary
/// lists them.
Shapes layer_shapes(const std::string& prefix, Index move_rows, bool routed) {
  Shapes shapes{{"gamma", {2, 6}},
                {"beta", {2, 6}},
                {"move.delta", {move_rows, 2, 1}},
                {"move.alpha", {move_rows, 2, 1}},
                {"move.beta", {move_rows, 2, 1}},
                {"move.gamma", {move_rows, 2}},
                {"move.omega", {4}},
                {"mx_proj.weight", {26, 4}},
                {"mx_proj.bias", {26}},
                {"hx_proj.weight", {routed ? 6 : 4, 4}},
                {"hx_proj.bias", {routed ? 6 : 4}},
                {"h_proj.weight", {4, 10}},
                {"h_proj.bias", {4}}};
  if (routed) shapes["q_router.temp"] = {1};
  Shapes all;
  for (const auto& [name, shape] : shapes) all[prefix + name] = shape;
  return all;
}

/// Saves under the reference's names, compares names and shapes with `expected`, and loads into another network.
template <class M>
void check_round_trip(const std::string& what, const Shapes& expected) {
  const TemporaryFile file(what);
  Network<M> saved{sma::Seed{1}};
  laws::randomize(saved, 1);
  seqboat::save_reference(saved, file.path());
  const auto stored = sma::SafetensorsFile::open(file.path());
  CHECK(shapes_of(stored) == expected);
  Network<M> loaded{sma::Seed{2}};
  seqboat::load_reference(loaded, stored);
  laws::check_same_bits(laws::parameters_of(loaded), laws::parameters_of(saved), "parameters");
  laws::check_same_bits(laws::buffers_of(loaded), laws::buffers_of(saved), "running statistics");
}

/// The tensors of a file, to be written again with changes.
struct Copy {
  std::map<std::string, std::vector<double>> values;
  Shapes shapes;

  explicit Copy(const sma::SafetensorsFile& file) : shapes(shapes_of(file)) {
    for (const std::string& name : file.names()) values[name] = file.read<double>(name);
  }
  void write(const std::string& path) const {
    sma::SafetensorsWriter writer;
    for (const auto& [name, data] : values) writer.add(name, shapes.at(name), data.data());
    writer.write(path);
  }
};

template <class F>
std::string message_of(const F& f) {
  try {
    f();
  } catch (const sma::Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE(
    "a layer saves and loads under the reference's names, running statistics and feed-forward block too") {
  Shapes expected = layer_shapes("", 8, true);
  expected.insert({{"norm.norm.weight", {4}},
                   {"norm.norm.bias", {4}},
                   {"norm.norm.running_mean", {4}},
                   {"norm.norm.running_var", {4}},
                   {"rel_pos_bias.relative_attention_bias", {32, 1}},
                   {"nffn.norm.norm.weight", {4}},
                   {"nffn.norm.norm.bias", {4}},
                   {"nffn.norm.norm.running_mean", {4}},
                   {"nffn.norm.norm.running_var", {4}},
                   {"nffn.fc1.weight", {7, 4}},
                   {"nffn.fc1.bias", {7}},
                   {"nffn.fc2.weight", {4, 7}},
                   {"nffn.fc2.bias", {4}}});
  check_round_trip<seqboat::Layer<BatchNormLayer>>("layer", expected);
}

TEST_CASE("a classifier of tokens saves and loads under the reference's names") {
  Shapes expected = layer_shapes("encoder.layers.0.mega_layer.", 8, false);
  expected.insert({{"encoder.embed_tokens.embed.weight", {9, 4}},
                   {"encoder.layers.0.mega_layer.norm.norm.scalar", {1}},
                   {"encoder.layers.0.mega_layer.rel_pos_bias.rel_pos_bias", {17}},
                   {"classifier.0.weight", {5, 4}},
                   {"classifier.0.bias", {5}},
                   {"projection.weight", {3, 5}}});
  check_round_trip<seqboat::Classifier<TokenModel>>("tokens", expected);
}

TEST_CASE("a classifier of pixels saves and loads under the reference's names") {
  Shapes expected{{"encoder.embed_tokens.weight", {4}}, {"encoder.embed_tokens.bias", {4}},
                  {"encoder.pos_emb.scale", {1}},       {"classifier.0.weight", {5, 4}},
                  {"classifier.0.bias", {5}},           {"projection.weight", {3, 5}}};
  const auto add_norm = [&](const std::string& path) {
    for (const char* name : {"weight", "bias", "running_mean", "running_var"}) expected[path + name] = {4};
  };
  add_norm("encoder.final_norm.norm.");
  for (const std::string layer : {"encoder.layers.0.", "encoder.layers.1."}) {
    expected.merge(layer_shapes(layer + "mega_layer.", 8, true));
    add_norm(layer + "mega_layer.norm.norm.");
    expected[layer + "mega_layer.rel_pos_bias.relative_attention_bias"] = {32, 1};
    add_norm(layer + "nffn.norm.norm.");
    expected[layer + "nffn.fc1.weight"] = {7, 4};
    expected[layer + "nffn.fc1.bias"] = {7};
    expected[layer + "nffn.fc2.weight"] = {4, 7};
    expected[layer + "nffn.fc2.bias"] = {4};
  }
  check_round_trip<seqboat::Classifier<PixelModel>>("pixels", expected);
}

TEST_CASE("a classifier of pairs saves and loads under the reference's names, its head four times as wide") {
  Shapes expected = layer_shapes("encoder.layers.0.mega_layer.", 8, false);
  expected.insert({{"encoder.embed_tokens.embed.weight", {9, 4}},
                   {"encoder.layers.0.mega_layer.norm.norm.scalar", {1}},
                   {"encoder.layers.0.mega_layer.rel_pos_bias.rel_pos_bias", {17}},
                   {"classifier.0.weight", {5, 16}},
                   {"classifier.0.bias", {5}},
                   {"projection.weight", {3, 5}}});
  check_round_trip<seqboat::PairClassifier<TokenModel>>("pairs", expected);
}

TEST_CASE("a language model saves and loads under the reference's names") {
  Shapes expected{
      {"embed_tokens.weight", {9, 4}}, {"final_norm.norm.weight", {4}}, {"final_norm.norm.bias", {4}}};
  for (const std::string layer : {"layers.0.slag_layer.", "layers.1.slag_layer."}) {
    expected.merge(layer_shapes(layer, 4, true));
    expected[layer + "norm.norm.weight"] = {4};
    expected[layer + "norm.norm.bias"] = {4};
  }
  check_round_trip<seqboat::LanguageModel<LanguageModel>>("language_model", expected);
}

TEST_CASE("the configurator's rows stand before the linear map's in hx_proj, skip before run") {
  const TemporaryFile file("rows");
  Network<seqboat::Layer<BatchNormLayer>> net{sma::Seed{1}};
  laws::randomize(net, 1);
  seqboat::save_reference(net, file.path());
  const auto stored = sma::SafetensorsFile::open(file.path()).read<double>("hx_proj.weight");
  const auto weights = net.parameters();
  for (const auto& entry : sma::parameter_entries<seqboat::Layer<BatchNormLayer>>())
    for (Index i = 0; i < entry.size; ++i) {
      const double ours = weights[static_cast<std::size_t>(entry.offset + i)];
      if (entry.name == "router.configurator.weight") CHECK(stored[static_cast<std::size_t>(i)] == ours);
      if (entry.name == "hx_proj.weight") CHECK(stored[static_cast<std::size_t>(8 + i)] == ours);
    }
}

TEST_CASE("weights that do not fit are refused with the file and the tensor, and nothing is changed") {
  using M = seqboat::Layer<BatchNormLayer>;
  const TemporaryFile good("good");
  const TemporaryFile bad("bad");
  Network<M> source{sma::Seed{1}};
  laws::randomize(source, 1);
  seqboat::save_reference(source, good.path());

  const auto refuse = [&](const std::string& tensor, const std::function<void(Copy&)>& change) {
    CAPTURE(tensor);
    Copy copy(sma::SafetensorsFile::open(good.path()));
    change(copy);
    copy.write(bad.path());
    Network<M> net{sma::Seed{2}};
    const auto parameters = laws::parameters_of(net);
    const auto buffers = laws::buffers_of(net);
    const std::string message =
        message_of([&] { seqboat::load_reference(net, sma::SafetensorsFile::open(bad.path())); });
    CAPTURE(message);
    CHECK(message.find(bad.path()) != std::string::npos);
    CHECK(message.find("'" + tensor + "'") != std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
    laws::check_same_bits(laws::parameters_of(net), parameters, "parameters");
    laws::check_same_bits(laws::buffers_of(net), buffers, "running statistics");
  };
  refuse("h_proj.bias", [](Copy& c) { c.values.erase("h_proj.bias"); });
  refuse("nffn.norm.norm.running_var", [](Copy& c) { c.values.erase("nffn.norm.norm.running_var"); });
  refuse("gamma", [](Copy& c) { c.shapes["gamma"] = {6, 2}; });
  refuse("hx_proj.weight", [](Copy& c) {  // an always active layer's
    c.shapes["hx_proj.weight"] = {4, 4};
    c.values["hx_proj.weight"].resize(16);
  });
  refuse("hx_proj.bias", [](Copy& c) {
    c.shapes["hx_proj.bias"] = {};
    c.values["hx_proj.bias"].resize(1);
  });
  refuse("layers.0.gamma", [](Copy& c) {
    c.shapes["layers.0.gamma"] = {1};
    c.values["layers.0.gamma"] = {1};
  });
}

TEST_CASE("tensors outside the prefix are not looked at, and the reference's constants are no strangers") {
  using M = seqboat::Layer<BatchNormLayer>;
  const TemporaryFile good("good");
  const TemporaryFile other("other");
  Network<M> source{sma::Seed{1}};
  laws::randomize(source, 1);
  seqboat::save_reference(source, good.path());
  const Copy copy(sma::SafetensorsFile::open(good.path()));
  Copy changed = copy;
  changed.values.clear();
  for (const auto& [name, values] : copy.values) {
    if (name.find("running_") != std::string::npos) continue;
    changed.values["param." + name] = values;
    changed.shapes["param." + name] = copy.shapes.at(name);
  }
  const auto add = [&](const std::string& name) {
    changed.values[name] = {1};
    changed.shapes[name] = {1};
  };
  add("input.x");
  add("param.norm.norm.num_batches_tracked");
  changed.write(other.path());
  Network<M> net{sma::Seed{2}};
  const auto buffers = laws::buffers_of(net);
  seqboat::load_reference(net, sma::SafetensorsFile::open(other.path()),
                          {.prefix = "param.", .buffers = false});
  laws::check_same_bits(laws::parameters_of(net), laws::parameters_of(source), "parameters");
  laws::check_same_bits(laws::buffers_of(net), buffers, "running statistics");
}

TEST_CASE(
    "a weight of real numbers is (W) in the reference and loads as (W, 1) too, which a linear map from one "
    "number has") {
  using M = seqboat::Classifier<PixelModel>;
  const auto slices = seqboat::reference_parameters<M>();
  CHECK(slices.front().name == "encoder.embed_tokens.weight");
  CHECK(slices.front().entry.shape == std::vector<Index>{4, 1});
  CHECK(slices.front().shape == std::vector<std::int64_t>{4});

  const TemporaryFile good("good");
  const TemporaryFile other("other");
  Network<M> source{sma::Seed{1}};
  laws::randomize(source, 1);
  seqboat::save_reference(source, good.path());
  const auto file = sma::SafetensorsFile::open(good.path());
  CHECK(file.metadata() == std::map<std::string, std::string>{{"format", "pt"}, {"writer", "seqboat"}});
  Copy copy(file);
  copy.shapes.at("encoder.embed_tokens.weight") = {4, 1};
  copy.write(other.path());
  Network<M> net{sma::Seed{2}};
  seqboat::load_reference(net, sma::SafetensorsFile::open(other.path()));
  laws::check_same_bits(laws::parameters_of(net), laws::parameters_of(source), "parameters");
}

TEST_CASE("a network that the reference does not have has no names there") {
  const auto message =
      message_of([] { seqboat::reference_parameters<sma::Chain<sma::Linear<4, 4>, sma::LayerNorm<4>>>(); });
  CHECK(message.find("'0.weight'") != std::string::npos);
}
