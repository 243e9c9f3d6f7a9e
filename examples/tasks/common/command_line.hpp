#pragma once

#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <sma/network/describe.hpp>
#include <sma/train/stop_signals.hpp>
#include <sma/train/trainer.hpp>
#include <string>
#include <utility>

/// The command line that all trainers share. Compiled once for them all, in command_line.cpp: CLI11 costs as much as a network.
namespace tasks {

struct CommandLine {
  std::string data;
  bool generate = false;
  std::optional<int> level;
  std::string preset = "small";
  std::optional<sma::Index> steps;
  std::optional<double> minutes;
  std::optional<sma::Index> batch;
  std::optional<double> learning_rate;
  std::optional<sma::Index> evaluate_every;
  sma::Index evaluate_limit = 0;
  std::uint64_t seed = 1;
  sma::Index threads = 1;  // the machine's, until the user says another number
  std::string save;
  bool resume = false;
  bool change_recipe = false;
  bool overwrite = false;
  std::string log;
  bool quiet = false;
  std::string activations;
  std::string statistics;
  bool describe = false;

  /// What a preset says, changed by what the user said.
  [[nodiscard]] sma::TrainerOptions apply(sma::TrainerOptions options) const;
};

/// How difficult what --generate makes for training may be.
struct Levels {
  int least = 0, most = 0;
  const char* what = "";
};

/// What a trainer says of itself and of its options; an empty text: no such option.
struct About {
  const char* program;
  const char* description;
  const char* data;              // what --data may be
  const char* generated = "";    // what --generate makes; without it --data must be given
  const char* activations = "";  // what --activations writes
  Levels levels = {};            // what --level may be, beside --generate
};

/// What a trainer throws when a signal has stopped its run: no error, but the end of the program.
class Stopped : public std::exception {
 public:
  Stopped(int signal, std::string message) : signal_(signal), message_(std::move(message)) {}
  [[nodiscard]] int signal() const { return signal_; }
  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }

 private:
  int signal_;
  std::string message_;
};
/// After update `step`; `path` is the checkpoint that holds it, empty when nothing is saved.
[[noreturn]] void throw_stopped(int signal, sma::Index step, const std::string& path);

/// Throws `sma::Error` when a file that is to be written in the end could not be.
void check_writable(const std::string& path);

/// Prints one line to stdout. Throws `sma::Error` when it cannot be written.
void print_line(const std::string& text);

/// Reads the command line and runs `train`; an error becomes one line on stderr. Returns the exit code: 0, or 1 for an error. After a
/// signal the process ends by it, so that its parent sees the signal (128 + its number in a shell).
int run_trainer(int argc, char** argv, const About& about, void (*train)(const CommandLine&));

/// What a task's file defines (task.hpp) and main.cpp runs.
extern const About about_task;
void run_task(const CommandLine& line);

/// Prints the model: its modules, and operations a row for sequences of so many rows that are all active.
template <class Net>
void print_description(double length) {
  std::string text = sma::describe<Net>({.length = length, .active = 1});
  text.pop_back();
  print_line(text);
}

/// The last line of a run: accuracy, or bits per character of a language model.
std::string test_line(const sma::Evaluation& test, sma::Measure measure);

/// Trains, then evaluates the best checkpoint (the last weights when nothing is saved) by `test(trainer)` and prints that.
template <class Optimizer, class Net, class Data, class Test>
[[gnu::cold]] void train_and_test(Net& net, Data& data, const CommandLine& line, sma::TrainerOptions options,
                                  const Test& test) {
  for (const std::string& path : {line.activations, line.statistics})
    if (!path.empty()) check_writable(path);
  const bool saves = !options.directory.empty();
  if (saves) {
    options.facts = {{"preset", line.preset}, {"data", data.fingerprint()}};
    if constexpr (requires {
                    data.convert().deviation;
                  }) {  // who reads the weights prepares its input with them
      options.facts["input mean"] = sma::number_text(data.convert().mean);
      options.facts["input deviation"] = sma::number_text(data.convert().deviation);
    }
  }
  sma::Trainer<Net, Data, Optimizer> trainer(net, data, options);
  if (line.resume) trainer.resume();
  print_line(std::to_string(Net::parameter_count) + " parameters, " + std::to_string(data.training_size()) +
             " training examples, " + std::to_string(line.threads) + " threads");
  {
    const sma::StopSignals signals(trainer);
    trainer.run();
    if (signals.received() != 0)
      throw_stopped(signals.received(), trainer.state().step, saves ? trainer.last_path() : "");
  }
  if (saves && std::filesystem::exists(trainer.best_path())) sma::load_weights(net, trainer.best_path());
  const sma::Evaluation tested = test(trainer);
  trainer.log_evaluation("test", tested);
  print_line(test_line(tested, options.measure));
}

}  // namespace tasks
