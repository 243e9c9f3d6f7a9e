/// LRA Image: classify pictures from their pixels, one grey value a step. Reads CIFAR-10 binary batches (the benchmark),
/// MEGA's text form of it, and IDX files such as Fashion-MNIST.

#include <lra/command_line.hpp>
#include <lra/data/cifar.hpp>
#include <lra/data/idx.hpp>
#include <lra/data/mega_text.hpp>
#include <lra/training_data.hpp>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>

namespace {

/// The paper's model for LRA Image (REFERENCE: the SeqBoat paper's appendix; 8 layers of width 160).
struct PaperLayer : seqboat::LayerDefaults {
  static constexpr sma::Index width = 160, query_width = 96, hidden_width = 320, truncation = 1024;
  using span = seqboat::Window<128>;
  using attention = seqboat::Relu2;
  using position = seqboat::SimplePosition<1024>;
  template <sma::Index Width>
  using norm = sma::BatchNorm<Width>;
  using temperature_scale = std::ratio<4, 10>;
};
struct Paper : seqboat::ClassifierDefaults {
  using layer = PaperLayer;
  static constexpr sma::Index layers = 8, classes = 10, classifier_width = 320;
  static constexpr bool absolute_positions = true;
};

/// The same recipe, small enough to learn Fashion-MNIST in minutes on two cores.
struct SmallLayer : PaperLayer {
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

/// The routers' confidences on the first test pictures, as JSON: what scripts/plot.py draws.
template <class Net>
void write_activations(Net& net, Data& data, const std::string& path) {
  constexpr sma::Index kPictures = 6;
  typename Data::Input x;
  std::vector<std::int32_t> labels;
  const sma::Index count = std::min(kPictures, data.size(sma::Split::test));
  for (sma::Index i = 0; i < count; ++i) data.example(sma::Split::test, i, x, labels);
  std::vector<float> trace(static_cast<std::size_t>(x.rows() * Net::trace_width));
  net.training(false);
  const auto y = net.forward(x, trace);
  const sma::Sequences s = x.sequences();
  std::string out = "{\"images\":[";
  for (sma::Index i = 0; i < count; ++i) {
    sma::Index best = 0;
    for (sma::Index c = 1; c < Net::output_width; ++c)
      if (y(i, c) > y(i, best)) best = c;
    const auto side = static_cast<sma::Index>(std::lround(std::sqrt(static_cast<double>(s.length(i)))));
    out += (i > 0 ? "," : "") + std::string("{\"label\":") +
           std::to_string(labels[static_cast<std::size_t>(i)]) + ",\"predicted\":" + std::to_string(best) +
           ",\"width\":" + std::to_string(side) + ",\"height\":" + std::to_string(side) + ",\"pixels\":[";
    const auto pixels = data.splits().test.sequence(static_cast<std::size_t>(i));
    for (std::size_t t = 0; t < pixels.size(); ++t)
      out += (t > 0 ? "," : "") + std::to_string(static_cast<int>(pixels[t]));
    out += "],\"layers\":[";
    for (sma::Index router = 0; router < Net::trace_width; ++router) {
      out += router > 0 ? ",[" : "[";
      for (sma::Index t = s.begin(i); t < s.end(i); ++t) {
        char number[32];
        std::snprintf(number, sizeof(number), "%s%.4g", t > s.begin(i) ? "," : "",
                      static_cast<double>(trace[static_cast<std::size_t>(t * Net::trace_width + router)]));
        out += number;
      }
      out += "]";
    }
    out += "]}";
  }
  out += "]}\n";
  sma::write_file_atomically(path, out);
}

template <class Model>
void train(const lra::CommandLine& line, Pictures pictures, const sma::TrainerOptions& recipe) {
  sma::Network<seqboat::Classifier<Model>, sma::Eigen<float>> net(sma::Seed{line.seed},
                                                                  {.threads = line.threads});
  Data data(std::move(pictures.splits), line.seed, Pixel{pictures.normalisation});
  lra::train_and_test(net, data, line, line.apply(recipe));
  if (!line.activations.empty()) write_activations(net, data, line.activations);
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

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Trains SeqBoat on LRA Image: pictures as sequences of grey pixels.");
  lra::CommandLine line;
  lra::describe(app, line,
                "directory with CIFAR-10 binary batches (data_batch_1.bin ...), MEGA's text form (input/, "
                "label/) or IDX files "
                "(train-images-idx3-ubyte.gz ...), such as Fashion-MNIST",
                "");
  app.get_option("--data")->required();
  CLI11_PARSE(app, argc, argv);
  return lra::guarded_main("lra_image", [&] {
    Pictures pictures = read_pictures(line.data);
    if (line.preset == "paper")
      train<Paper>(line, std::move(pictures), paper_recipe());
    else
      train<Small>(line, std::move(pictures), small_recipe());
    return 0;
  });
}
