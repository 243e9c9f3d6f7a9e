/// LRA Image: classify pictures from their pixels, one grey value a step. Reads CIFAR-10 binary batches (the benchmark),
/// MEGA's text form of it, and IDX files such as Fashion-MNIST.

#include <filesystem>
#include <tasks/common/shown.hpp>
#include <tasks/common/task.hpp>
#include <tasks/data/cifar.hpp>
#include <tasks/data/idx.hpp>
#include <tasks/data/mega_text.hpp>

namespace {

/// The paper's recipe, small enough to learn Fashion-MNIST in minutes on two cores.
struct SmallLayer : tasks::Narrow<tasks::paper::ImageLayer> {
  using span = seqboat::Window<32>;
};

struct Task {
  using Paper = tasks::paper::Image;
  struct Small : Paper {
    using layer = SmallLayer;
    static constexpr sma::Index layers = 3, classifier_width = 96;
  };
  template <class Model>
  using Network = seqboat::Classifier<Model>;
  static constexpr double length = 1024;

  static sma::TrainerOptions paper() {
    sma::TrainerOptions o;
    o.steps = 180000;
    o.batch = 50;
    o.schedule.peak = 0.01;
    o.schedule.warmup = 9000;
    o.adam.weight_decay = 0.02;
    o.evaluate_every = 900;
    return o;
  }
  static sma::TrainerOptions small() {
    sma::TrainerOptions o = paper();
    o.steps = 4000;
    o.batch = 25;
    o.schedule.warmup = 200;
    o.evaluate_every = 200;
    return o;
  }

  using Data = tasks::TrainingData<std::uint8_t, tasks::Real, tasks::Normalisation>;
  /// Says what the directory holds and reads it.
  static Data data(const tasks::CommandLine& line) {
    const std::filesystem::path root(line.data);
    if (std::filesystem::exists(root / "data_batch_1.bin"))
      return {tasks::read_cifar(line.data), line.seed, {.mean = 0.48F, .deviation = 0.24F}};
    if (std::filesystem::exists(root / "input"))
      return {tasks::read_mega_pictures(line.data), line.seed, {.mean = 0.48F, .deviation = 0.24F}};
    return {tasks::read_idx_pictures(line.data), line.seed, {.mean = 0.286F, .deviation = 0.353F}};
  }
  template <class Net>
  static void finish(Net& net, Data& data, const tasks::CommandLine& line) {
    if (!line.activations.empty()) tasks::write_activations(net, data, line.activations);
  }
};

}  // namespace

const tasks::About tasks::about_task{
    .program = "lra_image",
    .description = "Trains SeqBoat on LRA Image: pictures as sequences of grey pixels.",
    .data =
        "directory with CIFAR-10 binary batches (data_batch_1.bin ...), MEGA's text form (input/, label/) or "
        "IDX files (train-images-idx3-ubyte.gz ...), such as Fashion-MNIST",
    .activations = "at the end, write the routers' confidences on a few test pictures to this JSON file"};

void tasks::run_task(const tasks::CommandLine& line) { tasks::run<Task>(line); }
