/// LRA Image: classify pictures from their pixels, one grey value a step. Reads CIFAR-10 binary batches (the benchmark),
/// MEGA's text form of it, and IDX files such as Fashion-MNIST.

#include <lra/activations.hpp>
#include <lra/command_line.hpp>
#include <lra/data/cifar.hpp>
#include <lra/data/idx.hpp>
#include <lra/data/mega_text.hpp>
#include <lra/paper.hpp>
#include <lra/training_data.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>

namespace {

using Paper = lra::paper::Image;

/// The same recipe, small enough to learn Fashion-MNIST in minutes on two cores.
struct SmallLayer : lra::paper::ImageLayer {
  static constexpr sma::Index width = 48, query_width = 24, hidden_width = 96;
  using span = seqboat::Window<32>;
};
struct Small : Paper {
  using layer = SmallLayer;
  static constexpr sma::Index layers = 3, classifier_width = 96;
};

struct Pixel {
  lra::Normalisation normalisation;
  float operator()(std::uint8_t value) const {
    return (static_cast<float>(value) / 255.0F - normalisation.mean) / normalisation.deviation;
  }
};
using Data = lra::TrainingData<std::uint8_t, float, Pixel>;

struct Pictures {
  lra::Splits<std::uint8_t> splits;
  lra::Normalisation normalisation;
};

/// Says what the directory holds and reads it.
Pictures read_pictures(const std::string& directory) {
  const std::filesystem::path root(directory);
  if (std::filesystem::exists(root / "data_batch_1.bin")) return {lra::read_cifar(directory), {0.48F, 0.24F}};
  if (std::filesystem::exists(root / "input")) return {lra::read_mega_pictures(directory), {0.48F, 0.24F}};
  return {lra::read_idx_pictures(directory), {0.286F, 0.353F}};
}

template <class Model>
using Net = sma::Network<seqboat::Classifier<Model>, sma::Eigen<float>>;

template <class Model>
void train(const lra::CommandLine& line, Pictures pictures, const sma::TrainerOptions& recipe) {
  Net<Model> net(sma::Seed{line.seed}, {.threads = line.threads});
  Data data(std::move(pictures.splits), line.seed, Pixel{pictures.normalisation});
  lra::train_and_test(net, data, line, line.apply(recipe));
  if (!line.activations.empty()) lra::write_activations(net, data, line.activations);
}

sma::TrainerOptions paper_recipe() {
  sma::TrainerOptions o;
  o.steps = 180000;
  o.batch = 50;
  o.schedule.peak = 0.01;
  o.schedule.warmup = 9000;
  o.adam.weight_decay = 0.02;
  o.evaluate_every = 900;
  return o;
}

sma::TrainerOptions small_recipe() {
  sma::TrainerOptions o = paper_recipe();
  o.steps = 4000;
  o.batch = 25;
  o.schedule.warmup = 200;
  o.evaluate_every = 200;
  return o;
}

void train_preset(const lra::CommandLine& line) {
  constexpr double length = 1024;
  if (line.describe)
    return line.preset == "paper" ? lra::print_description<Net<Paper>>(length)
                                  : lra::print_description<Net<Small>>(length);
  Pictures pictures = read_pictures(line.data);
  if (line.preset == "paper")
    train<Paper>(line, std::move(pictures), paper_recipe());
  else
    train<Small>(line, std::move(pictures), small_recipe());
}

}  // namespace

int main(int argc, char** argv) {
  return lra::run_trainer(
      argc, argv,
      {.program = "lra_image",
       .description = "Trains SeqBoat on LRA Image: pictures as sequences of grey pixels.",
       .data = "directory with CIFAR-10 binary batches (data_batch_1.bin ...), MEGA's text form (input/, "
               "label/) or IDX files "
               "(train-images-idx3-ubyte.gz ...), such as Fashion-MNIST",
       .activations = "at the end, write the routers' confidences on a few test pictures to this JSON file"},
      train_preset);
}
