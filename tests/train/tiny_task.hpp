#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/trainer.hpp>
#include <string>
#include <support/files.hpp>
#include <vector>

/// A classifier and a data set small enough to train in a test: is the first token equal to the last?
namespace tiny {

struct Layer : seqboat::LayerDefaults {
  static constexpr sma::Index width = 8, query_width = 4, hidden_width = 12, states = 4;
  using span = seqboat::Window<4>;
  using position = seqboat::SimplePosition<32>;
  using dropout = std::ratio<1, 10>;
};
struct Model : seqboat::ClassifierDefaults {
  using layer = Layer;
  static constexpr sma::Index layers = 2, classes = 2, classifier_width = 8, vocabulary = 5;
};
struct CoupledLayer : Layer {
  template <sma::Index Width>
  using norm = sma::BatchNorm<Width>;
};
struct CoupledModel : Model {
  using layer = CoupledLayer;
};

template <class M = Model>
using Network = sma::Network<seqboat::Classifier<M>, sma::Eigen<float>>;

class Data {
 public:
  using Input = sma::Batch<sma::Token, 1>;

  void next(sma::Index count, Input& x, std::vector<std::int32_t>& targets) {
    for (sma::Index i = 0; i < count; ++i) append(static_cast<std::uint64_t>(index_++), x, targets);
  }
  [[nodiscard]] std::int64_t epoch() const { return 0; }
  [[nodiscard]] std::int64_t index() const { return index_; }
  void seek(std::int64_t, std::int64_t index) { index_ = index; }
  [[nodiscard]] static sma::Index size(sma::Split) { return 20; }
  static void example(sma::Split split, sma::Index i, Input& x, std::vector<std::int32_t>& targets) {
    append(1000000U + static_cast<std::uint64_t>(i) + (split == sma::Split::test ? 500U : 0U), x, targets);
  }

 private:
  static void append(std::uint64_t number, Input& x, std::vector<std::int32_t>& targets) {
    sma::RandomSequence random(7, number);
    std::vector<sma::Token> tokens(3 + static_cast<std::size_t>(random.uniform() * 20));
    for (auto& token : tokens) token = static_cast<sma::Token>(random.uniform() * 5);
    targets.push_back(tokens.front() == tokens.back() ? 1 : 0);
    x.append(tokens);
  }
  std::int64_t index_ = 0;
};

/// A network of the DSL alone, quick to compile and to run, with a router and dropout.
struct Small
    : sma::Chain<sma::TokenEmbedding<5, 8>, sma::Dropout<8, std::ratio<1, 10>>,
                 sma::Residual<sma::Router<sma::LatentConfigurator<8, sma::Independent, sma::Confidence>,
                                           sma::Branch<"mlp", sma::FeedForward<8, 8>>>>,
                 sma::MeanPool<8>, sma::Linear<8, 2>> {};
using SmallNetwork = sma::Network<Small, sma::Eigen<float>>;

/// The same task with examples that a test may change, or watch.
class Hooked {
 public:
  using Input = sma::Batch<sma::Token, 1>;
  using Targets = std::vector<std::int32_t>;
  std::function<void(Input&, Targets&)> after_next = [](Input&, Targets&) {};
  std::function<void(sma::Split, sma::Index, Input&, Targets&)> after_example = [](sma::Split, sma::Index,
                                                                                   Input&, Targets&) {};
  sma::Index sizes[2] = {20, 20};  // validation, test
  int training_tokens = 5;         // of the vocabulary

  void next(sma::Index count, Input& x, Targets& targets) {
    for (sma::Index i = 0; i < count; ++i)
      append(static_cast<std::uint64_t>(index_++), training_tokens, x, targets);
    after_next(x, targets);
  }
  [[nodiscard]] std::int64_t epoch() const { return 0; }
  [[nodiscard]] std::int64_t index() const { return index_; }
  void seek(std::int64_t, std::int64_t index) { index_ = index; }
  [[nodiscard]] sma::Index size(sma::Split split) const { return sizes[split == sma::Split::test ? 1 : 0]; }
  void example(sma::Split split, sma::Index i, Input& x, Targets& targets) const {
    append(1000000U + static_cast<std::uint64_t>(i) + (split == sma::Split::test ? 500U : 0U), 5, x, targets);
    after_example(split, i, x, targets);
  }

 private:
  static void append(std::uint64_t number, int tokens_in_use, Input& x, Targets& targets) {
    sma::RandomSequence random(7, number);
    std::vector<sma::Token> tokens(3 + static_cast<std::size_t>(random.uniform() * 20));
    for (auto& token : tokens) token = static_cast<sma::Token>(random.uniform() * tokens_in_use);
    targets.push_back(tokens.front() == tokens.back() ? 1 : 0);
    x.append(tokens);
  }
  std::int64_t index_ = 0;
};
using SmallTrainer = sma::Trainer<SmallNetwork, Hooked>;

using files::content_of;
using files::Directory;
using files::message_of;

inline std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

/// The text of member `name` of a JSON line: a number, a list, a quoted string; "" when it is not there.
inline std::string member(const std::string& line, const std::string& name) {
  const std::size_t at = line.find("\"" + name + "\":");
  if (at == std::string::npos) return "";
  const std::size_t begin = at + name.size() + 3;
  return line.substr(begin, line[begin] == '[' ? line.find(']', begin) + 1 - begin
                                               : line.find_first_of(",}", begin) - begin);
}

inline sma::TrainerOptions options(const std::string& directory, sma::Index steps) {
  sma::TrainerOptions o;
  o.steps = steps;
  o.batch = 9;
  o.accumulation = 2;
  o.schedule.peak = 0.01;
  o.schedule.warmup = 5;
  o.adam.weight_decay = 0.01;
  o.evaluate_every = 10;
  o.evaluate_batch = 7;
  o.directory = directory;
  o.quiet = true;
  return o;
}

}  // namespace tiny
