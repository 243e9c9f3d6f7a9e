#include <CLI/CLI.hpp>
#include <algorithm>
#include <common/bench.hpp>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sma/base/error.hpp>

namespace bench {

namespace {

/// fixed: the task's length; fixed:T; or a file with one length a line.
std::vector<std::int64_t> read_lengths(const std::string& text, std::int64_t task_length) {
  std::vector<std::int64_t> lengths;
  if (text == "fixed") return {task_length};
  if (text.starts_with("fixed:")) {
    if (CLI::detail::lexical_cast(text.substr(6), lengths.emplace_back()) && lengths[0] > 0) return lengths;
    throw sma::Error("--lengths: found '" + text + "', expected a number of at least 1 after fixed:");
  }
  std::ifstream file(text);
  if (!file) throw sma::Error("--lengths: " + text + ": cannot be read");
  for (std::int64_t length = 0; file >> length;) {
    if (length < 1)
      throw sma::Error("--lengths: " + text + ": found " + std::to_string(length) + ", expected at least 1");
    lengths.push_back(length);
  }
  if (!file.eof() || lengths.empty()) throw sma::Error("--lengths: " + text + ": expected one length a line");
  return lengths;
}

/// Runs `body`; an error is one line on stderr and exit code 1.
template <class Body>
int guarded(const char* program, Body&& body) {
  try {
    body();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", program, error.what());
    return 1;
  }
}

}  // namespace

int model_main(int argc, char** argv, const char* task, std::int64_t length,
               ModelResult (*measure)(const ModelOptions&)) {
  CLI::App app(std::string("Times the paper's model for ") + task + "; prints one line of JSON.");
  ModelOptions o;
  std::string lengths = "fixed";
  app.add_option("mode", o.mode, "train; infer; or weights: write the initial weights to --output")
      ->required()
      ->check(CLI::IsMember({"train", "infer", "weights"}));
  app.add_option("--batch", o.batch, "sequences")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--threads", o.threads)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--lanes", o.lanes, "the batch is cut into at most as many")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--lengths", lengths,
                 "fixed (the task's), fixed:T, or a file with one length a line, taken in order")
      ->capture_default_str();
  app.add_option("--seconds", o.seconds, "of measured steps")->capture_default_str();
  app.add_option("--steps", o.steps, "measured at least")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--warmup", o.warmup, "steps before them")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  auto* activation =
      app.add_option("--activation", o.activation,
                     "each step is active with this probability, in place of the routers' decisions")
          ->check(CLI::Range(0.0, 1.0));
  app.add_option("--seed", o.seed)->capture_default_str();
  app.add_option("--output", o.output, "file for the weights, under the reference's names");
  CLI11_PARSE(app, argc, argv);
  return guarded(argv[0], [&] {
    if ((o.mode == "weights") == o.output.empty())
      throw sma::Error("--output goes with mode weights, and weights with --output");
    o.lengths = read_lengths(lengths, length);
    const ModelResult r = measure(o);
    if (o.mode == "weights") return;
    std::vector<double> rates;
    for (std::size_t i = 0; i < r.seconds.size(); ++i) rates.push_back(r.tokens[i] / r.seconds[i]);
    nlohmann::ordered_json out{{"program", "seqboat"},
                               {"mode", o.mode},
                               {"task", task},
                               {"threads", o.threads},
                               {"lanes", o.lanes},
                               {"batch", o.batch},
                               {"lengths", lengths},
                               {"tokens_per_s", median(rates)},
                               {"steps", r.seconds.size()},
                               {"step_s", r.seconds},
                               {"peak_mb", r.peak_mb},
                               {"base_mb", r.base_mb},
                               {"forced_activation", nullptr},
                               {"activation", r.activation}};
    if (!activation->empty()) out["forced_activation"] = o.activation;
    std::puts(out.dump().c_str());
  });
}

int values_main(int argc, char** argv, const char* description, std::span<const char* const> names,
                Values (*measure)(const Options&)) {
  CLI::App app(std::string(description) + "; prints one line of JSON.");
  Options o;
  app.add_option("name", o.name, "what to measure")
      ->required()
      ->check(CLI::IsMember(std::vector<std::string>(names.begin(), names.end())));
  app.add_option("--threads", o.threads)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--seconds", o.seconds, "of each measurement")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return guarded(argv[0], [&] {
    nlohmann::ordered_json values = nlohmann::ordered_json::object();
    for (const auto& [name, value] : measure(o)) values[name] = value;
    const nlohmann::ordered_json out{{"program", "seqboat"},
                                     {"name", o.name},
                                     {"threads", o.threads},
                                     {"values", values},
                                     {"peak_mb", memory_mb("VmHWM")}};
    std::puts(out.dump().c_str());
  });
}

double memory_mb(const char* field) {
  std::ifstream status("/proc/self/status");
  const std::string start = std::string(field) + ":";
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(start)) return std::stod(line.substr(start.size())) / 1024.0;
  throw sma::Error("/proc/self/status: found no " + start);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace bench
