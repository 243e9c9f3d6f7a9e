/// Training with the Trainer: a classifier of sequences, a data set of your own, checkpoints, and a run that is resumed.

#include <fstream>
#include <iterator>
#include <seqboat/classifier.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/trainer.hpp>
#include <string>
#include <vector>

#include "claim.hpp"

struct Layer : seqboat::LayerDefaults {
  static constexpr sma::Index width = 8, query_width = 4, hidden_width = 8, states = 2;
  using span = seqboat::Window<8>;
};
struct Model : seqboat::ClassifierDefaults {
  using layer = Layer;
  static constexpr sma::Index layers = 1, classes = 2, classifier_width = 8, vocabulary = 4;
};
using Net = sma::Network<seqboat::Classifier<Model>, sma::Eigen<float>>;

/// Does token 3 occur? An example is a function of its number, so the data set's position is one integer.
class Data {
 public:
  using Input = sma::Batch<sma::Token, 1>;
  void next(sma::Index count, Input& x, std::vector<std::int32_t>& targets) {
    for (sma::Index i = 0; i < count; ++i) append(index_++, x, targets);
  }
  [[nodiscard]] static std::int64_t epoch() { return 0; }
  [[nodiscard]] std::int64_t index() const { return index_; }
  void seek(std::int64_t, std::int64_t index) { index_ = index; }
  [[nodiscard]] static sma::Index size(sma::Split) { return 100; }
  static void example(sma::Split split, sma::Index i, Input& x, std::vector<std::int32_t>& targets) {
    append((split == sma::Split::test ? 2000000 : 1000000) + i, x, targets);
  }

 private:
  static void append(std::int64_t number, Input& x, std::vector<std::int32_t>& targets) {
    sma::RandomSequence random(11, static_cast<std::uint64_t>(number));
    std::vector<sma::Token> tokens(5 + static_cast<std::size_t>(random.uniform() * 15));
    for (auto& token : tokens) token = static_cast<sma::Token>(random.uniform() * 3);
    targets.push_back(random.uniform() < 0.5 ? 1 : 0);
    if (targets.back() == 1)
      tokens[static_cast<std::size_t>(random.uniform() * static_cast<double>(tokens.size()))] = 3;
    x.append(tokens);
  }
  std::int64_t index_ = 0;
};

sma::TrainerOptions options(const std::string& directory, sma::Index stop_after) {
  sma::TrainerOptions o;
  o.steps = 120;
  o.stop_after = stop_after;  // 0: run to the end
  o.batch = 16;
  o.schedule.peak = 0.02;  // after 10 updates of warm-up; then it falls to 0
  o.schedule.warmup = 10;
  o.evaluate_every = 30;
  o.directory = directory;  // last.safetensors, best.safetensors
  o.log_file = directory + "/log.jsonl";
  o.overwrite = true;  // what an earlier run of this program left there
  o.quiet = true;
  return o;
}

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int main() {
  Net net{sma::Seed{1}};
  Data data;
  sma::Trainer trainer(net, data, options("whole", 0));
  const sma::Evaluation before = trainer.evaluate(sma::Split::test);
  trainer.run();
  const sma::Evaluation after = trainer.evaluate(sma::Split::test);
  std::printf("test loss %.3f -> %.3f, accuracy %.0f %%\n", before.loss, after.loss, 100 * after.accuracy);
  claim("the loss falls", after.loss < 0.5 * before.loss);
  claim("it gets nearly all of them right", after.accuracy > 0.9);

  {
    Net first{sma::Seed{1}};
    Data from_the_start;
    sma::Trainer(first, from_the_start, options("halves", 50)).run();
  }
  Net second{sma::Seed{99}};  // resume replaces the weights, the moments and the data position
  Data anywhere;
  sma::Trainer resumed(second, anywhere, options("halves", 0));
  resumed.resume();  // from resumed.last_path()
  resumed.run();
  const std::string whole = content_of(trainer.last_path());
  claim("a run that is stopped and resumed writes the same bytes as one that is not",
        !whole.empty() && whole == content_of(resumed.last_path()));
}
