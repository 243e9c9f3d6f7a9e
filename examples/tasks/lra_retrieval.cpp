/// LRA Retrieval: does one of two papers cite the other? From the bytes of both, up to 4,000 each, by one encoder. Reads the owners'
/// TSV files.

#include <tasks/common/task.hpp>
#include <tasks/data/aan.hpp>

namespace {

/// The paper's recipe, narrower and with a shorter memory.
struct SmallLayer : tasks::Narrow<tasks::paper::RetrievalLayer> {
  using span = seqboat::Window<32>;
};

struct Task {
  using Paper = tasks::paper::Retrieval;
  struct Small : Paper {
    using layer = SmallLayer;
    static constexpr sma::Index layers = 2, classifier_width = 96;
  };
  template <class Model>
  using Network = seqboat::PairClassifier<Model>;
  static constexpr double length = 4000;  // the longest texts

  static sma::TrainerOptions paper() {
    sma::TrainerOptions o;
    o.steps = 91960;
    o.batch = 8;
    o.accumulation = 8;
    o.schedule.peak = 0.003;
    o.schedule.warmup = 10000;
    o.adam.weight_decay = 0.04;
    o.evaluate_every = 2299;
    return o;
  }
  static sma::TrainerOptions small() {
    sma::TrainerOptions o = paper();
    o.steps = 3000;
    o.accumulation = 1;
    o.schedule.warmup = 300;
    o.evaluate_every = 300;
    return o;
  }

  using Data = tasks::TrainingData<std::uint8_t, sma::Token, tasks::ByteToken, 2>;
  static Data data(const tasks::CommandLine& line) { return {tasks::read_aan(line.data), line.seed}; }
};

}  // namespace

const tasks::About tasks::about_task{
    .program = "lra_retrieval",
    .description = "Trains SeqBoat on LRA Retrieval: pairs of papers, byte by byte.",
    .data =
        "directory with new_aan_pairs.train.tsv, new_aan_pairs.eval.tsv and new_aan_pairs.test.tsv "
        "(lra_release of github.com/google-research/long-range-arena)"};

void tasks::run_task(const tasks::CommandLine& line) { tasks::run<Task>(line); }
