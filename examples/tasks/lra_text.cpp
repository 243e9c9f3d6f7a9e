/// LRA Text: is a film review positive? From its bytes, one a step, up to 4,000. Reads the owners' directory aclImdb.

#include <tasks/common/task.hpp>
#include <tasks/data/imdb.hpp>

namespace {

/// The paper's recipe, narrower and with a shorter memory.
struct SmallLayer : tasks::Narrow<tasks::paper::TextLayer> {
  using span = seqboat::Window<32>;
  using position = seqboat::LocalPosition<32>;
};

struct Task {
  using Paper = tasks::paper::Text;
  struct Small : Paper {
    using layer = SmallLayer;
    static constexpr sma::Index layers = 2, classifier_width = 96;
  };
  template <class Model>
  using Network = seqboat::Classifier<Model>;
  static constexpr double length = 4000;  // the longest reviews

  static sma::TrainerOptions paper() {
    sma::TrainerOptions o;
    o.steps = 25000;
    o.batch = 50;
    o.schedule.peak = 0.004;
    o.schedule.warmup = 10000;
    o.adam.weight_decay = 0.01;
    o.evaluate_every = 450;
    return o;
  }
  static sma::TrainerOptions small() {
    sma::TrainerOptions o = paper();
    o.steps = 3000;
    o.batch = 16;
    o.schedule.warmup = 300;
    o.evaluate_every = 300;
    return o;
  }

  using Data = tasks::TrainingData<std::uint8_t, sma::Token, tasks::ByteToken>;
  static Data data(const tasks::CommandLine& line) { return {tasks::read_imdb(line.data), line.seed}; }
};

}  // namespace

const tasks::About tasks::about_task{
    .program = "lra_text",
    .description = "Trains SeqBoat on LRA Text: film reviews, byte by byte.",
    .data =
        "directory aclImdb: train/pos, train/neg, test/pos and test/neg with a text file each review "
        "(ai.stanford.edu/~amaas/data/sentiment)"};

void tasks::run_task(const tasks::CommandLine& line) { tasks::run<Task>(line); }
