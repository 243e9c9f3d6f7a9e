/// enwik8: what is the next byte? A language model on the first 100,000,000 bytes of a Wikipedia, or on any other text.

#include <tasks/common/byte_data.hpp>
#include <tasks/common/shown.hpp>
#include <tasks/common/streamed.hpp>
#include <tasks/common/task.hpp>

namespace {

struct Task {
  using Paper = tasks::paper::Enwik8;
  using Small = tasks::small::Enwik8;
  template <class Model>
  using Network = seqboat::LanguageModel<Model>;
  template <class Net>
  using Optimizer = sma::RAdam<Net>;
  static constexpr double length = 8192;

  static sma::TrainerOptions paper() {
    return {.steps = 400000,
            .batch = 8,  // of 8,192 bytes
            .schedule = {.peak = 0.005, .warmup = 24000, .initial = 0.002},
            .clip = 0.25,
            .adam = {.weight_decay = 0.1},
            .measure = sma::Measure::bits,
            .evaluate_every = 5000,
            .evaluate_batch = 8,
            .ignored_target = tasks::ByteData::ignored};
  }
  static sma::TrainerOptions small() {
    sma::TrainerOptions o = paper();
    o.steps = 30000;
    o.batch = 4;  // of 512 bytes
    o.schedule.warmup = 1000;
    o.adam.weight_decay = 0.01;
    o.evaluate_every = 1000;
    return o;
  }

  using Data = tasks::ByteData;
  static Data data(const tasks::CommandLine& line) {
    const std::size_t segment = line.preset == "paper" ? 8192 : 512;
    return {tasks::read_bytes(line.data), line.seed, {.length = segment, .context = segment}};
  }

  /// Context is carried over the whole test part by streams.
  template <class Trainer, class Net>
  static sma::Evaluation test(Trainer&, const Net& net, const Data& data, const tasks::CommandLine& line) {
    return tasks::evaluate_streamed(net, data.text(), data.text().part(sma::Split::test), line.threads,
                                    static_cast<std::size_t>(line.evaluate_limit) * data.segments().length);
  }
  template <class Net>
  static void finish(Net& net, const Data& data, const tasks::CommandLine& line) {
    if (line.activations.empty()) return;
    std::vector<tasks::ShownText> shown;
    for (std::size_t i = 0; i < 3; ++i) shown.push_back(data.shown(sma::Split::test, i, 3, 512));
    tasks::write_texts(net, shown, line.activations);
  }
};

}  // namespace

const tasks::About tasks::about_task{
    .program = "enwik8",
    .description = "Trains SeqBoat as a language model of bytes.",
    .data =
        "file enwik8 of 100,000,000 bytes (mattmahoney.net/dc/enwik8.zip, unpacked), or another text, also "
        "gzip: its first 90 % train, 5 % validate, 5 % test",
    .activations =
        "at the end, write the routers' confidences on three passages of the test part to this JSON file"};

void tasks::run_task(const tasks::CommandLine& line) { tasks::run<Task>(line); }
