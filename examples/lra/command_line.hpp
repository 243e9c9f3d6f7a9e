#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <sma/eigen.hpp>
#include <sma/train/trainer.hpp>
#include <string>
#include <thread>

/// The command line that all trainers share.
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
  sma::Index threads = std::max<sma::Index>(1, static_cast<sma::Index>(std::thread::hardware_concurrency()));
  std::string save;
  bool resume = false;
  std::string log;
  bool quiet = false;

  /// What a preset says, changed by what the user said.
  [[nodiscard]] sma::TrainerOptions apply(sma::TrainerOptions options) const {
    if (minutes && !steps) {
      options.schedule.total = static_cast<double>(options.steps);
      options.steps = 0;  // the schedule runs over time
    }
    if (steps) {
      // The warm-up keeps its share of the run.
      options.schedule.warmup *= static_cast<double>(*steps) / static_cast<double>(options.steps);
      options.steps = *steps;
    }
    options.minutes = minutes.value_or(0.0);
    options.batch = batch.value_or(options.batch);
    options.schedule.peak = learning_rate.value_or(options.schedule.peak);
    options.evaluate_every = evaluate_every.value_or(options.evaluate_every);
    options.evaluate_limit = evaluate_limit;
    options.seed = seed;
    options.directory = save;
    options.log_file = log;
    options.quiet = quiet;
    return options;
  }
};

/// Describes the options to CLI11. `sources` says what --data may be and `generated` what --generate makes; empty: no such option.
inline void describe(CLI::App& app, CommandLine& line, const std::string& sources,
                     const std::string& generated) {
  auto* data = app.add_option("--data", line.data, sources);
  if (!generated.empty()) app.add_flag("--generate", line.generate, generated)->excludes(data);
  app.add_option(
         "--preset", line.preset,
         "paper: the model and recipe of the SeqBoat paper; small: one that learns in minutes on a CPU")
      ->check(CLI::IsMember({"paper", "small"}))
      ->capture_default_str();
  app.add_option("--steps", line.steps,
                 "optimizer updates; the preset's number unless --minutes is given alone")
      ->check(CLI::PositiveNumber);
  app.add_option("--minutes", line.minutes,
                 "stop after this wall time; without --steps the learning rate falls to 0 over this time")
      ->check(CLI::PositiveNumber);
  app.add_option("--batch", line.batch, "sequences an update (the preset's)")->check(CLI::PositiveNumber);
  app.add_option("--lr", line.learning_rate, "peak learning rate (the preset's)")->check(CLI::PositiveNumber);
  app.add_option("--seed", line.seed, "of weights, data order and dropout")->capture_default_str();
  app.add_option("--threads", line.threads, "threads; the result does not depend on it")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--save", line.save, "directory for last.safetensors and best.safetensors");
  app.add_flag("--resume", line.resume, "go on from SAVE/last.safetensors")->needs("--save");
  app.add_option("--eval-every", line.evaluate_every,
                 "updates between evaluations (the preset's); 0: only at the end")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--eval-limit", line.evaluate_limit, "examples of each validation pass; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--log", line.log, "JSON-lines log file");
  app.add_flag("--quiet", line.quiet, "no progress line");
}

/// Runs `body` and turns an error into one line on stderr and exit code 1.
template <class Body>
int guarded_main(const char* program, Body&& body) {
  try {
    return body();
  } catch (const sma::Error& error) {
    std::fprintf(stderr, "\n%s: %s\n", program, error.what());
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "\n%s: out of memory: try a smaller --batch\n", program);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "\n%s: %s\n", program, error.what());
  }
  return 1;
}

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
