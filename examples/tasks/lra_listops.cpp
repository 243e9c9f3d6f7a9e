/// LRA ListOps: evaluate nested expressions such as [MAX 2 [MED 4 8 1 ] 9 ] from their tokens. The data are generated, by the
/// benchmark's own distribution, or read from its TSV files.

#include <tasks/common/task.hpp>
#include <tasks/data/listops.hpp>

namespace {

/// The paper's recipe, narrower and with a shorter memory.
struct SmallLayer : tasks::Narrow<tasks::paper::ListOpsLayer> {
  using span = seqboat::Window<32>;
};

struct Task {
  using Paper = tasks::paper::ListOps;
  struct Small : Paper {
    using layer = SmallLayer;
    static constexpr sma::Index layers = 3, classifier_width = 96;
  };
  template <class Model>
  using Network = seqboat::Classifier<Model>;
  static constexpr double length = 2000;  // the longest expressions

  static sma::TrainerOptions paper() {
    sma::TrainerOptions o;
    o.steps = 90000;
    o.batch = 64;
    o.schedule.peak = 0.004;
    o.schedule.warmup = 27000;
    o.adam.weight_decay = 0.001;
    o.evaluate_every = 1500;
    return o;
  }
  static sma::TrainerOptions small() {
    sma::TrainerOptions o = paper();
    o.steps = 5000;
    o.batch = 16;
    o.schedule.warmup = 500;
    o.evaluate_every = 500;
    return o;
  }

  using Data = tasks::TrainingData<sma::Token, sma::Token>;
  static Data data(const tasks::CommandLine& line) {
    return {line.generate ? tasks::generate_listops(line.seed) : tasks::read_listops(line.data), line.seed};
  }
};

}  // namespace

const tasks::About tasks::about_task{
    .program = "lra_listops",
    .description = "Trains SeqBoat on LRA ListOps.",
    .data = "directory with basic_train.tsv, basic_val.tsv and basic_test.tsv",
    .generated = "generate the benchmark's 96,000 / 2,000 / 2,000 expressions from --seed"};

void tasks::run_task(const tasks::CommandLine& line) { tasks::run<Task>(line); }
