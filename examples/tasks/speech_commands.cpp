/// Speech Commands (SC10): which of ten words is said in a second of raw audio, 16,000 samples? Reads the owners' directory, or one in its
/// layout, such as the spoken words of scripts/spoken_words.py.

#include <tasks/common/task.hpp>
#include <tasks/data/speech_commands.hpp>

namespace {

struct Task {
  using Paper = tasks::paper::SpeechCommands;
  using Small = tasks::small::SpeechCommands;
  template <class Model>
  using Network = seqboat::Classifier<Model>;
  static constexpr double length = 16000;

  static sma::TrainerOptions paper() {
    sma::TrainerOptions o;
    o.steps = 250000;
    o.batch = 20;
    o.schedule.peak = 0.01;
    o.schedule.warmup = 10000;
    o.adam.weight_decay = 0.01;
    o.evaluate_every = 1000;
    return o;
  }
  static sma::TrainerOptions small() {
    sma::TrainerOptions o = paper();
    o.steps = 4000;
    o.schedule.peak = 0.004;
    o.schedule.warmup = 400;
    o.evaluate_every = 250;
    return o;
  }

  using Data = tasks::TrainingData<std::int16_t, tasks::Real, tasks::Standardisation>;
  static Data data(const tasks::CommandLine& line) {
    tasks::SpokenWords words = tasks::read_speech_commands(line.data);
    if (words.left_out > 0)
      tasks::print_line(std::to_string(words.left_out) +
                        " clips of another length than 16,000 samples left out");
    tasks::print_line(words.is_listed ? "validation and test clips by the directory's lists"
                                      : "validation and test clips drawn at random");
    const tasks::Standardisation standardisation = tasks::standardisation_of(words.splits.train);
    return {std::move(words.splits), line.seed, standardisation};
  }
};

}  // namespace

const tasks::About tasks::about_task{
    .program = "speech_commands",
    .description = "Trains SeqBoat on Speech Commands: ten words from raw audio.",
    .data =
        "directory with yes/*.wav, no/*.wav, ...: 16 kHz, mono, 16 bit "
        "(download.tensorflow.org/data/speech_commands_v0.02.tar.gz), or spoken words"};

void tasks::run_task(const tasks::CommandLine& line) { tasks::run<Task>(line); }
