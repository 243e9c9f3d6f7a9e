#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numbers>
#include <optional>
#include <sma/base/error.hpp>
#include <sma/base/text.hpp>
#include <sma/device/context.hpp>
#include <sma/train/optimizer.hpp>
#include <sma/train/schedule.hpp>
#include <string>
#include <vector>

namespace sma {

/// Which part of a data set.
enum class Split { validation, test };

/// What evaluations are compared by, and what is shown of them: accuracy, or bits a target, loss / log 2 (of a byte model: bits per
/// character), the fewer the better.
enum class Measure { accuracy, bits };

/// Mean loss (nats) and accuracy over the rows of a split whose targets count.
struct Evaluation {
  double loss = 0.0;
  double accuracy = 0.0;
  Index rows = 0;                  // that count
  std::vector<double> activation;  // activation rate of each router

  /// Bits a target: loss / log 2.
  [[nodiscard]] double bits() const { return loss / std::numbers::ln2; }
};

/// How a run goes. Limits: `steps` updates, or `minutes` of wall time (then the schedule runs over time), or whichever of
/// both comes first (then the schedule runs over steps). A `Trainer` throws `Error` for numbers that make no sense, such as NaN, a
/// batch of 0 or 10^12 updates.
struct TrainerOptions {
  Index steps = 1000;      // 0: no limit but minutes
  double minutes = 0;      // 0: no limit but steps
  Index stop_after = 0;    // leave at this update, the schedule unchanged, to be resumed; 0: do not
  Index batch = 32;        // sequences (or pairs) a micro-batch
  Index accumulation = 1;  // micro-batches an update
  Schedule schedule{};     // `total` is set to `steps` when steps are limited
  double clip = 1.0;       // of the gradient's norm; 0: off
  AdamOptions adam{};
  AuxiliaryWeights auxiliary{};
  double auxiliary_from =
      0;  // fraction of training from which auxiliary losses count: first the task, then a budget
  std::uint64_t seed = 1;
  Measure measure = Measure::accuracy;  // which checkpoint is the best, what the progress line says
  Index evaluate_every = 500;           // updates; 0: only at the end
  Index evaluate_limit = 0;             // examples of the validation split; 0: all
  Index evaluate_batch = 32;            // sequences (or pairs) at a time
  Index log_every = 20;                 // updates
  std::string directory{};              // checkpoints: last.safetensors, best.safetensors; empty: none
  std::string log_file{};               // JSON lines; empty: none
  bool quiet = false;                   // no progress line
  std::optional<std::int32_t> ignored_target{};  // rows with this target count nowhere
  bool overwrite = false;                        // replace the run that the directory or the log holds
  bool change_recipe = false;                    // resume although the checkpoint's recipe is another
  /// What else makes the run what it is, such as the data set, in UTF-8: kept in checkpoints, and compared on resume.
  std::map<std::string, std::string> facts{};

  static constexpr Index most_steps =
      1'000'000'000;  // also of the other numbers of updates and of evaluate_limit
  static constexpr Index most_accumulation = 10'000;
  static constexpr Index most_batch = 1 << 24;
  static constexpr double most_minutes = 1e7;
  static constexpr double most_number = 1e38;  // of rates and weights: they are used in single precision
};

namespace detail {

/// Throws `Error` for options that make no sense, naming the member, what was found and what was expected.
[[gnu::cold]] inline void check_options(const TrainerOptions& o) {
  using O = TrainerOptions;
  const auto fail = [](const std::string& name, const std::string& found, const std::string& expected) {
    throw Error("sma::TrainerOptions: found " + name + " " + found + ", expected " + expected);
  };
  const auto whole = [&](const char* name, Index value, Index least, Index most) {
    if (value < least || value > most)
      fail(name, std::to_string(value), std::to_string(least) + " to " + std::to_string(most));
  };
  const auto real = [&](const char* name, double value, double least, double most) {
    if (!(value >= least && value <= most))
      fail(name, number_text(value), number_text(least) + " to " + number_text(most));
  };
  const auto positive = [&](const char* name, double value, double most) {
    if (!(value > 0 && value <= most))
      fail(name, number_text(value), "a number above 0, up to " + number_text(most));
  };
  const auto path = [&](const char* name, const std::string& text) {
    if (text.find('\0') != std::string::npos) fail(name, "a path with a zero byte", "one without");
  };
  constexpr auto most_steps = static_cast<double>(O::most_steps);

  whole("steps", o.steps, 0, O::most_steps);
  real("minutes", o.minutes, 0, O::most_minutes);
  if (o.steps == 0 && !(o.minutes > 0))
    throw Error("sma::Trainer: found neither steps nor minutes, expected a limit");
  whole("stop_after", o.stop_after, 0, O::most_steps);
  whole("batch", o.batch, 1, O::most_batch);
  whole("accumulation", o.accumulation, 1, O::most_accumulation);
  positive("schedule.peak", o.schedule.peak, O::most_number);
  if (o.steps == 0) real("schedule.total", o.schedule.total, 1, most_steps);
  real("schedule.warmup", o.schedule.warmup, 0, most_steps);
  real("schedule.initial", o.schedule.initial, 0, O::most_number);
  positive("schedule.power", o.schedule.power, 20);
  real("schedule.last", o.schedule.last, 0, O::most_number);
  real("clip", o.clip, 0, O::most_number);
  constexpr double below_one = 0.9999999;  // the largest that is not 1 in single precision, nearly
  real("adam.beta1", o.adam.beta1, 0, below_one);
  real("adam.beta2", o.adam.beta2, 0, below_one);
  real("adam.epsilon", o.adam.epsilon, 1e-30, 1e6);
  real("adam.weight_decay", o.adam.weight_decay, 0, 1e6);
  real("auxiliary.load_balance", o.auxiliary.load_balance, 0, 1e6);
  real("auxiliary.z_loss", o.auxiliary.z_loss, 0, 1e6);
  real("auxiliary.budget", o.auxiliary.budget, 0, 1e6);
  real("auxiliary.budget_target", o.auxiliary.budget_target, 0, 1);
  real("auxiliary_from", o.auxiliary_from, 0, 1);
  whole("evaluate_every", o.evaluate_every, 0, O::most_steps);
  whole("evaluate_limit", o.evaluate_limit, 0, O::most_steps);
  whole("evaluate_batch", o.evaluate_batch, 1, O::most_batch);
  whole("log_every", o.log_every, 1, O::most_steps);
  path("directory", o.directory);
  path("log_file", o.log_file);
}

/// What decides how the weights of a run come about, by name: two parts of one run have the same. Throws `Error` for a fact with the
/// name of an option.
[[gnu::cold]] inline std::map<std::string, std::string> recipe_of(const TrainerOptions& o,
                                                                  const std::string& optimizer) {
  std::map<std::string, std::string> recipe;
  if (o.steps > 0) {
    recipe["steps"] = std::to_string(o.steps);
  } else {
    recipe["minutes"] = number_text(o.minutes);
    recipe["schedule.total"] = number_text(o.schedule.total);
  }
  recipe["batch"] = std::to_string(o.batch);
  recipe["accumulation"] = std::to_string(o.accumulation);
  recipe["learning rate"] = number_text(o.schedule.peak);
  recipe["schedule.warmup"] = number_text(o.schedule.warmup);
  recipe["schedule.initial"] = number_text(o.schedule.initial);
  recipe["schedule.power"] = number_text(o.schedule.power);
  recipe["schedule.last"] = number_text(o.schedule.last);
  recipe["schedule.decay"] = o.schedule.decay == Schedule::Decay::linear   ? "linear"
                             : o.schedule.decay == Schedule::Decay::cosine ? "cosine"
                                                                           : "constant";
  recipe["clip"] = number_text(o.clip);
  recipe["optimizer"] = optimizer;
  recipe["adam.beta1"] = number_text(o.adam.beta1);
  recipe["adam.beta2"] = number_text(o.adam.beta2);
  recipe["adam.epsilon"] = number_text(o.adam.epsilon);
  recipe["adam.weight_decay"] = number_text(o.adam.weight_decay);
  recipe["auxiliary.load_balance"] = number_text(o.auxiliary.load_balance);
  recipe["auxiliary.z_loss"] = number_text(o.auxiliary.z_loss);
  recipe["auxiliary.budget"] = number_text(o.auxiliary.budget);
  recipe["auxiliary.budget_target"] = number_text(o.auxiliary.budget_target);
  if (o.auxiliary_from > 0)
    recipe["auxiliary from"] = number_text(o.auxiliary_from);  // files of versions without it have 0
  if (o.measure == Measure::bits)
    recipe["measure"] = "bits";  // files of versions without a measure have accuracy's
  recipe["ignored target"] = o.ignored_target ? std::to_string(*o.ignored_target) : "none";
  for (const auto& [name, value] : o.facts)
    if (!recipe.emplace(name, value).second)
      throw Error("sma::TrainerOptions: found a fact named '" + name +
                  "', expected another name: an option has it");
  return recipe;
}

/// "found steps 40 and batch 16, expected steps 60 and batch 32", "" when both are the same.
[[gnu::cold]] inline std::string recipe_difference(const std::map<std::string, std::string>& found,
                                                   const std::map<std::string, std::string>& expected) {
  std::map<std::string, std::string> all = found;
  all.insert(expected.begin(), expected.end());
  const auto value = [](const std::map<std::string, std::string>& of, const std::string& name) {
    const auto at = of.find(name);
    return at == of.end() ? "none" : at->second;
  };
  std::string left;
  std::string right;
  for (const auto& [name, unused] : all) {
    if (value(found, name) == value(expected, name)) continue;
    left += (left.empty() ? "" : ", ") + name + " " + value(found, name);
    right += (right.empty() ? "" : ", ") + name + " " + value(expected, name);
  }
  return left.empty() ? "" : "found " + left + "; expected " + right;
}

}  // namespace detail

}  // namespace sma
