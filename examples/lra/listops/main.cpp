/// LRA ListOps: evaluate nested expressions such as [MAX 2 [MED 4 8 1 ] 9 ] from their tokens. The data are generated, by the
/// benchmark's own distribution, or read from its TSV files.

#include <lra/command_line.hpp>
#include <lra/data/listops.hpp>
#include <lra/paper.hpp>
#include <lra/training_data.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>

namespace {

using Paper = lra::paper::ListOps;

/// The same recipe, narrower and with a shorter memory.
struct SmallLayer : lra::paper::ListOpsLayer {
  static constexpr sma::Index width = 48, query_width = 24, hidden_width = 96;
  using span = seqboat::Window<32>;
};
struct Small : Paper {
  using layer = SmallLayer;
  static constexpr sma::Index layers = 3, classifier_width = 96;
};

struct SameToken {
  sma::Token operator()(sma::Token token) const { return token; }
};
using Data = lra::TrainingData<sma::Token, sma::Token, SameToken>;

template <class Model>
using Net = sma::Network<seqboat::Classifier<Model>, sma::Eigen<float>>;

template <class Model>
void train(const lra::CommandLine& line, lra::Splits<sma::Token> splits, const sma::TrainerOptions& recipe) {
  Net<Model> net(sma::Seed{line.seed}, {.threads = line.threads});
  Data data(std::move(splits), line.seed, SameToken{});
  lra::train_and_test(net, data, line, line.apply(recipe));
}

sma::TrainerOptions paper_recipe() {
  sma::TrainerOptions o;
  o.steps = 90000;
  o.batch = 64;
  o.schedule.peak = 0.004;
  o.schedule.warmup = 27000;
  o.adam.weight_decay = 0.001;
  o.evaluate_every = 1500;
  return o;
}

sma::TrainerOptions small_recipe() {
  sma::TrainerOptions o = paper_recipe();
  o.steps = 5000;
  o.batch = 16;
  o.schedule.warmup = 500;
  o.evaluate_every = 500;
  return o;
}

void train_preset(const lra::CommandLine& line) {
  constexpr double length = 2000;  // the longest expressions
  if (line.describe)
    return line.preset == "paper" ? lra::print_description<Net<Paper>>(length)
                                  : lra::print_description<Net<Small>>(length);
  auto splits = line.generate ? lra::generate_listops(line.seed) : lra::read_listops(line.data);
  if (line.preset == "paper")
    train<Paper>(line, std::move(splits), paper_recipe());
  else
    train<Small>(line, std::move(splits), small_recipe());
}

}  // namespace

int main(int argc, char** argv) {
  return lra::run_trainer(
      argc, argv,
      {.program = "lra_listops",
       .description = "Trains SeqBoat on LRA ListOps.",
       .data = "directory with basic_train.tsv, basic_val.tsv and basic_test.tsv",
       .generated = "generate the benchmark's 96,000 / 2,000 / 2,000 expressions from --seed"},
      train_preset);
}
