/// Marked recall: which value had this key? A few facts in a text of noise, far before the questions: what a router is for.

#include <tasks/common/recall_data.hpp>
#include <tasks/common/shown.hpp>
#include <tasks/common/task.hpp>
#include <vector>

namespace {

/// Its memory holds 64 of the 192 steps: a router that opens at noise forgets the marks.
struct Layer : tasks::paper::Layer {
  static constexpr sma::Index width = 32, query_width = 24, hidden_width = 64, truncation = 0;
  static constexpr bool causal = true, prenorm = true;
  using span = seqboat::Window<64>;
  using position = seqboat::RotaryPosition;
};

struct Task {
  struct Small : seqboat::LanguageModelDefaults {
    using layer = Layer;
    static constexpr sma::Index layers = 1, vocabulary = tasks::RecallText::vocabulary;
  };
  using Paper = Small;
  template <class Model>
  using Network = seqboat::LanguageModel<Model>;
  static constexpr double length = 192;

  static sma::TrainerOptions small() {
    return {.steps = 4000,
            .batch = 32,
            .schedule = {.peak = 0.004, .warmup = 100},
            .adam = {.weight_decay = 0.01},
            .auxiliary = {.budget = 0.01, .budget_target = 0.4},
            .auxiliary_from = 0.4,
            .evaluate_every = 200,
            .ignored_target = tasks::RecallText::none};
  }
  static sma::TrainerOptions paper() { return small(); }

  using Data = tasks::RecallData;
  static Data data(const tasks::CommandLine& line) { return {static_cast<std::size_t>(length), line.seed}; }
  template <class Net>
  static void finish(Net& net, Data& data, const tasks::CommandLine& line) {
    if (line.activations.empty()) return;
    std::vector<tasks::ShownText> shown;
    for (sma::Index i = 0; i < 4; ++i) shown.push_back(data.shown(sma::Split::test, i));
    tasks::write_texts(net, shown, line.activations);
  }
};

}  // namespace

const tasks::About tasks::about_task{
    .program = "recall",
    .description = "Trains SeqBoat to recall marked facts from a text of noise.",
    .data = "",
    .generated = "texts are drawn from --seed",
    .activations = "at the end, write the routers' confidences on a few test texts to this JSON file"};

void tasks::run_task(const tasks::CommandLine& line) { tasks::run<Task>(line); }
