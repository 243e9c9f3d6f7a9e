#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <lra/command_line.hpp>
#include <new>
#include <thread>

namespace lra {

namespace {

void describe(CLI::App& app, CommandLine& line, const About& about) {
  const std::string generated = about.generated;
  const std::string activations = about.activations;
  auto* data = app.add_option("--data", line.data, about.data);
  if (generated.empty())
    data->required();
  else
    app.add_flag("--generate", line.generate, generated)->excludes(data);
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
  if (!activations.empty()) app.add_option("--activations", line.activations, activations);
}

}  // namespace

sma::TrainerOptions CommandLine::apply(sma::TrainerOptions options) const {
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

int run_trainer(int argc, char** argv, const About& about, void (*train)(const CommandLine&)) {
  CLI::App app(about.description);
  CommandLine line;
  line.threads = std::max<sma::Index>(1, static_cast<sma::Index>(std::thread::hardware_concurrency()));
  describe(app, line, about);
  CLI11_PARSE(app, argc, argv);
  try {
    train(line);
    return 0;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "\n%s: out of memory: try a smaller --batch\n", about.program);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "\n%s: %s\n", about.program, error.what());
  }
  return 1;
}

}  // namespace lra
