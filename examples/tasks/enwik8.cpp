/// enwik8: what is the next byte? A language model on the first 100,000,000 bytes of a Wikipedia, or on any other text.

#include <tasks/common/byte_data.hpp>
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
};

}  // namespace

const tasks::About tasks::about_task{
    .program = "enwik8",
    .description = "Trains SeqBoat as a language model of bytes.",
    .data =
        "file enwik8 of 100,000,000 bytes (mattmahoney.net/dc/enwik8.zip, unpacked), or another text, also "
        "gzip: its first 90 % train, 5 % validate, 5 % test"};

void tasks::run_task(const tasks::CommandLine& line) { tasks::run<Task>(line); }
