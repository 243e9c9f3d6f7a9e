#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <exception>
#include <new>
#include <sma/base/text.hpp>
#include <string_view>
#include <tasks/common/command_line.hpp>
#include <tasks/common/whole.hpp>
#include <tasks/data/text.hpp>
#include <thread>
#include <utility>

namespace tasks {

namespace {

using Limits = sma::TrainerOptions;

/// Takes a number above 0, up to `most`.
CLI::Validator positive(double most) {
  const auto check = [=](std::string& text) -> std::string {
    const auto value = sma::number_of(text);
    if (value && *value > 0 && *value <= most) return {};
    return "found " + excerpt(text) + ", expected a number above 0, up to " + sma::number_text(most);
  };
  return {check, ""};
}

/// Takes a path. An empty one is a variable of a script that was not set: it must not mean that nothing is saved.
CLI::Validator path() {
  return {[](std::string& text) -> std::string {
            return text.empty() ? "found an empty text, expected a path" : "";
          },
          ""};
}

CLI::Validator preset() {
  return {[](std::string& text) -> std::string {
            return text == "paper" || text == "small"
                       ? ""
                       : "found " + excerpt(text) + ", expected paper or small";
          },
          "{paper,small}"};
}

void describe(CLI::App& app, CommandLine& line, const About& about) {
  constexpr sma::Index most = Limits::most_steps;
  const std::string generated = about.generated;
  const std::string activations = about.activations;
  auto* data = app.add_option("--data", line.data, about.data)->transform(path());
  if (!generated.empty()) {
    auto* generate = app.add_flag("--generate", line.generate, generated)->excludes(data);
    if (about.levels.most > 0)
      app.add_option("--level", line.level, about.levels.what)
          ->transform(whole<int>(about.levels.least, about.levels.most))
          ->needs(generate);
  }
  app.add_option(
         "--preset", line.preset,
         "paper: the model and recipe of the SeqBoat paper; small: one that learns in minutes on a CPU")
      ->transform(preset())
      ->capture_default_str();
  app.add_option("--steps", line.steps,
                 "optimizer updates; the preset's number unless --minutes is given alone")
      ->transform(whole<sma::Index>(1, most));
  app.add_option("--minutes", line.minutes,
                 "stop after this wall time; without --steps the learning rate falls to 0 over this time")
      ->transform(positive(Limits::most_minutes));
  app.add_option("--batch", line.batch, "sequences an update (the preset's)")
      ->transform(whole<sma::Index>(1, Limits::most_batch));
  app.add_option("--lr", line.learning_rate, "peak learning rate (the preset's)")
      ->transform(positive(Limits::most_number));
  app.add_option("--seed", line.seed, "of weights, data order and dropout")
      ->transform(whole<std::uint64_t>(0, UINT64_MAX))
      ->capture_default_str();
  app.add_option("--threads", line.threads, "threads; the result does not depend on it")
      ->transform(whole<sma::Index>(1, 1024))
      ->capture_default_str();
  auto* save = app.add_option("--save", line.save, "directory for last.safetensors and best.safetensors")
                   ->transform(path());
  auto* resume = app.add_flag("--resume", line.resume, "go on from SAVE/last.safetensors")->needs(save);
  app.add_flag("--change-recipe", line.change_recipe,
               "resume although steps, learning rate, batch, preset, data or seed are not the checkpoint's")
      ->needs(resume);
  app.add_flag("--overwrite", line.overwrite, "replace the run that SAVE or the log file holds")
      ->excludes(resume);
  app.add_option("--eval-every", line.evaluate_every,
                 "updates between evaluations (the preset's); 0: only at the end")
      ->transform(whole<sma::Index>(0, most));
  app.add_option("--eval-limit", line.evaluate_limit, "examples of each validation pass; 0: all")
      ->transform(whole<sma::Index>(0, most))
      ->capture_default_str();
  app.add_option("--log", line.log, "JSON-lines log file")->transform(path());
  app.add_flag("--quiet", line.quiet, "no progress line");
  app.add_flag("--describe", line.describe,
               "print the preset's model, part by part, and do nothing else: shapes, parameters, operations "
               "a row, what is kept");
  if (!activations.empty()) app.add_option("--activations", line.activations, activations)->transform(path());
  app.add_option("--statistics", line.statistics,
                 "at the end, write how often each layer's attention ran and how far its memory reached, in "
                 "up to 200 test examples, "
                 "to this JSON file")
      ->transform(path());
}

/// Throws for a command line whose options are well but do not fit together.
void check_together(const CommandLine& line, const About& about) {
  const bool generates = *about.generated != 0;
  if (line.data.empty() && !line.generate && !line.describe)
    throw sma::Error(generates ? "found neither --data nor --generate, expected one of them"
                               : std::string("found no --data, expected it: ") + about.data);
}

/// What CLI11 says, as one sentence.
std::string sentence(const CLI::App& app, const CLI::ParseError& error) {
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr && !app.remaining().empty())
    return "found argument " + excerpt(app.remaining().front()) + ", expected one that --help lists";
  std::string text = error.what();
  // Of ArgumentMismatch, after the option's name.
  for (const auto& [theirs, ours] :
       {std::pair(": 1 required ", ": found no value, expected one"),
        std::pair(": At Most 1 required ", ": found several values, expected one")})
    if (const std::size_t at = text.find(theirs); at != std::string::npos) text = text.substr(0, at) + ours;
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

int fail(const About& about, const std::string& message) {
  std::fprintf(stderr, "%s: %s\n", about.program, sma::one_line(message).c_str());
  return 1;
}

const char* name_of(int signal) {
  return signal == SIGINT ? "SIGINT" : signal == SIGTERM ? "SIGTERM" : "SIGHUP";
}

}  // namespace

void throw_stopped(int signal, sma::Index step, const std::string& path) {
  throw Stopped(signal, std::string("stopped by ") + name_of(signal) + " after update " +
                            std::to_string(step) + "; " +
                            (path.empty() ? "nothing is saved, because there is no --save"
                             : step == 0  ? "nothing is saved yet"
                                          : path + " holds it, --resume goes on from there"));
}

std::string test_line(const sma::Evaluation& test, sma::Measure measure) {
  const auto rows = static_cast<long long>(test.rows);
  char text[120];
  if (measure == sma::Measure::bits)
    std::snprintf(text, sizeof(text), "test %.4f bits per character (%lld bytes)", test.bits(), rows);
  else
    std::snprintf(text, sizeof(text), "test accuracy %.2f %% (loss %.4f, %lld examples)",
                  100.0 * test.accuracy, test.loss, rows);
  return text;
}

void check_writable(const std::string& path) { const sma::AtomicFile file(path); }

void print_line(const std::string& text) {
  if (std::fprintf(stdout, "%s\n", text.c_str()) < 0 || std::fflush(stdout) != 0)
    sma::detail::throw_system_error("standard output", "write failed", errno);
}

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
  options.change_recipe = change_recipe;
  options.overwrite = overwrite;
  return options;
}

int run_trainer(int argc, char** argv, const About& about, void (*train)(const CommandLine&)) {
  CLI::App app(about.description);
  CommandLine line;
  line.threads =
      std::clamp<sma::Index>(static_cast<sma::Index>(std::thread::hardware_concurrency()), 1, 1024);
  describe(app, line, about);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    try {
      std::string help = app.help();
      while (!help.empty() && help.back() == '\n') help.pop_back();
      print_line(help);
      return 0;
    } catch (const sma::Error& error) {
      return fail(about, error.what());
    }
  } catch (const CLI::ParseError& error) {
    return fail(about, sentence(app, error));
  }
  try {
    check_together(line, about);
    train(line);
    return 0;
  } catch (const Stopped& stopped) {
    fail(about, stopped.what());
    ::signal(stopped.signal(), SIG_DFL);
    ::raise(stopped.signal());
    return 128 +
           stopped.signal();  // where signals' default actions are off: the first process of a container
  } catch (const std::bad_alloc&) {
    return fail(about, "out of memory: try a smaller --batch");
  } catch (const std::exception& error) {
    return fail(about, error.what());
  }
}

}  // namespace tasks
