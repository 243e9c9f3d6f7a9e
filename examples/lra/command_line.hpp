#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <sma/train/trainer.hpp>
#include <string>

/// The command line that all trainers share. Compiled once for them all, in command_line.cpp: CLI11 costs as much as a network.
namespace lra {

struct CommandLine {
  std::string data;
  bool generate = false;
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
  std::string log;
  bool quiet = false;
  std::string activations;

  /// What a preset says, changed by what the user said.
  [[nodiscard]] sma::TrainerOptions apply(sma::TrainerOptions options) const;
};

/// What a trainer says of itself and of its options; an empty text: no such option.
struct About {
  const char* program;
  const char* description;
  const char* data;              // what --data may be
  const char* generated = "";    // what --generate makes; without it --data must be given
  const char* activations = "";  // what --activations writes
};

/// Reads the command line and runs `train`; an error becomes one line on stderr. Returns the exit code.
int run_trainer(int argc, char** argv, const About& about, void (*train)(const CommandLine&));

/// Trains, then evaluates the best checkpoint (the last weights when nothing is saved) on the test split and prints that.
template <class Net, class Data>
void train_and_test(Net& net, Data& data, const CommandLine& line, const sma::TrainerOptions& options) {
  sma::Trainer<Net, Data> trainer(net, data, options);
  if (line.resume) trainer.resume(trainer.last_path());
  std::printf("%lld parameters, %lld training examples, %lld threads\n",
              static_cast<long long>(Net::parameter_count), static_cast<long long>(data.training_size()),
              static_cast<long long>(line.threads));
  std::fflush(stdout);
  trainer.run();
  if (!options.directory.empty() && std::filesystem::exists(trainer.best_path()))
    sma::load_weights(net, trainer.best_path());
  const sma::Evaluation test = trainer.evaluate(sma::Split::test);
  trainer.log_evaluation("test", test);
  std::printf("test accuracy %.2f %% (loss %.4f, %lld examples)\n", 100.0 * test.accuracy, test.loss,
              static_cast<long long>(test.rows));
  std::fflush(stdout);
}

}  // namespace lra
