#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <map>
#include <numbers>
#include <sma/base/text.hpp>
#include <sma/io/atomic_file.hpp>
#include <sma/io/json.hpp>
#include <sma/network/network.hpp>
#include <sma/train/activation_rates.hpp>
#include <sma/train/checkpoint.hpp>
#include <sma/train/examples.hpp>
#include <sma/train/log.hpp>
#include <sma/train/progress.hpp>
#include <sma/train/run_lock.hpp>
#include <sma/train/trainer_options.hpp>
#include <sma/train/window.hpp>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace sma::detail {

/// "1:02:03" or "2:03".
[[gnu::cold]] inline std::string clock_text(double seconds) {
  const auto whole = static_cast<long long>(std::clamp(seconds, 0.0, 1e12));
  std::array<char, 48> text{};
  if (whole >= 3600)
    std::snprintf(text.data(), text.size(), "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
  else
    std::snprintf(text.data(), text.size(), "%lld:%02lld", whole / 60, whole % 60);
  return text.data();
}

inline constexpr const char* kRecipeNote = "recipe.";     // and the name
inline constexpr const char* kWindowNote = "log.window";  // updates that no line of the log holds yet
inline constexpr const char* kDueNote = "evaluation";     // "due": a stopped run left it out

/// What of a trainer knows neither network nor data: limits, log, progress line, checkpoints' directory, resuming, stopping.
class TrainerCore {
 public:
  TrainerCore(const TrainerCore&) = delete;
  TrainerCore& operator=(const TrainerCore&) = delete;

  [[nodiscard]] std::string last_path() const { return checkpoint_path("last.safetensors"); }
  [[nodiscard]] std::string best_path() const { return checkpoint_path("best.safetensors"); }
  [[nodiscard]] const TrainingState& state() const { return state_; }

  /// Asks `run` to finish its update, save and return. A signal's handler or another thread may call it.
  void request_stop() noexcept { stop_ = true; }
  /// What `request_stop` sets and `run`, when it returns, clears.
  [[nodiscard]] std::atomic<bool>& stop_flag() { return stop_; }
  /// Whether the last `run` returned because it was asked to.
  [[nodiscard]] bool stopped() const { return stopped_; }

  /// Writes one line {"kind":"eval", ...} to the log, once a run has begun it.
  [[gnu::cold]] void log_evaluation(const char* split, const Evaluation& e) {
    if (!log_begun_) return;
    const bool was_open = log_.is_open();
    if (!was_open) log_.open(options_.log_file, LogFile::Start::append);
    JsonLine line("eval");
    line.add("step", state_.step).add("split", std::string_view(split)).add("loss", e.loss);
    if (by_bits()) line.add("bits", e.bits());
    log_.write(line.add("accuracy", e.accuracy)
                   .add("rows", static_cast<std::int64_t>(e.rows))
                   .add("activation", e.activation));
    if (!was_open) log_.close();
  }

 protected:
  using Clock = std::chrono::steady_clock;

  [[gnu::cold]] TrainerCore(TrainerOptions options, const char* optimizer, std::vector<RouterSlots> routers)
      : options_(std::move(options)), progress_(options_.quiet) {
    check_options(options_);
    if (options_.steps > 0) options_.schedule.total = static_cast<double>(options_.steps);
    for (const auto& [name, value] : options_.facts)
      if (!is_utf8(name) || !is_utf8(value))
        throw Error("sma::TrainerOptions: found a fact '" + ascii_text(name) + "' of '" + ascii_text(value) +
                    "', expected UTF-8");
    recipe_ = recipe_of(options_, optimizer);
    window_.activation = ActivationSums(routers);
    update_.activation = ActivationSums(std::move(routers));
    state_.seed = static_cast<std::int64_t>(options_.seed);
    if (options_.directory.empty()) return;
    std::error_code failure;
    std::filesystem::create_directories(options_.directory, failure);
    if (failure)
      throw Error(one_line(options_.directory) + ": cannot make this directory: " + failure.message());
    remove_stale_temporaries(last_path());
    remove_stale_temporaries(best_path());
  }
  ~TrainerCore() = default;

  // ---- a run's files ------------------------------------------------------------------------------------------

  /// What a run holds: the directory, the log. Nothing of an earlier run is touched before all of it is there.
  class Session {
   public:
    explicit Session(TrainerCore& core) : core_(core) { core_.begin(); }
    ~Session() { core_.end(); }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

   private:
    TrainerCore& core_;
  };

  /// Takes the directory for a run; true when it was not held before.
  [[gnu::cold]] bool hold_directory() {
    if (options_.directory.empty() || lock_.held()) return false;
    lock_.take(options_.directory);
    return true;
  }
  void release_directory() { lock_.release(); }

  // ---- resuming -----------------------------------------------------------------------------------------------

  /// Throws when a checkpoint is not of this run.
  [[gnu::cold]] void check_resumable(const std::string& path, const TrainingState& found) {
    if (!(found.elapsed_seconds >= 0 && std::isfinite(found.elapsed_seconds)))
      throw Error(one_line(path) + ": found " + number_text(found.elapsed_seconds) +
                  " seconds of training, expected a finite number, 0 or more");
    if (const auto note = found.notes.find(kWindowNote); note != found.notes.end()) {
      Window tried = window_;
      tried.restore(note->second, path);
    }
    if (options_.change_recipe) return;
    if (found.seed != static_cast<std::int64_t>(options_.seed))
      throw Error(one_line(path) + ": found a run with seed " +
                  std::to_string(static_cast<std::uint64_t>(found.seed)) + ", expected --seed " +
                  std::to_string(options_.seed));
    std::map<std::string, std::string> recipe;
    for (const auto& [key, value] : found.notes)
      if (key.starts_with(kRecipeNote)) recipe[key.substr(std::string_view(kRecipeNote).size())] = value;
    if (recipe.empty()) {
      progress_.say(one_line(path) +
                    ": found no recipe (an earlier version wrote the file), so that it is not compared");
      return;
    }
    const std::string difference = recipe_difference(recipe, recipe_);
    if (!difference.empty())
      throw Error(one_line(path) + ": " + one_line(difference) +
                  ", unless the recipe is to change (TrainerOptions::change_recipe, --change-recipe)");
  }

  [[gnu::cold]] void take_state(const std::string& path, const TrainingState& found) {
    state_ = found;
    state_.seed = static_cast<std::int64_t>(options_.seed);
    if (std::isnan(state_.best)) state_.best = -1.0;
    window_.clear();
    const auto window = found.notes.find(kWindowNote);
    if (window != found.notes.end()) window_.restore(window->second, path);
    evaluation_due_ = found.notes.contains(kDueNote);
    evaluated_ = evaluation_due_ ? -1 : state_.step;
    saved_ = state_.step;
    resumed_ = true;
    std::error_code ignored;
    const auto parent = std::filesystem::path(path).parent_path();
    owns_directory_ = !options_.directory.empty() &&
                      std::filesystem::equivalent(parent.empty() ? "." : parent, options_.directory, ignored);
  }

  // ---- data ---------------------------------------------------------------------------------------------------

  /// The call that gives a micro-batch.
  [[nodiscard]] [[gnu::cold]] std::string next_call(std::int64_t epoch, std::int64_t index) const {
    return "training step " + std::to_string(state_.step + 1) + ": Data::next(" +
           std::to_string(options_.batch) + ") at epoch " + std::to_string(epoch) + ", index " +
           std::to_string(index);
  }
  [[noreturn]] [[gnu::cold]] void throw_nothing_counts(const std::string& where) const {
    throw Error(where + ": found the ignored target " + std::to_string(options_.ignored_target.value_or(0)) +
                " alone, expected a target that counts");
  }

  // ---- limits -------------------------------------------------------------------------------------------------

  static double seconds_since(Clock::time_point then) {
    return std::chrono::duration<double>(Clock::now() - then).count();
  }
  [[nodiscard]] double elapsed() const { return earlier_ + seconds_since(started_); }
  [[nodiscard]] bool by_time() const { return options_.steps <= 0; }
  [[nodiscard]] bool stop_requested() const { return stop_; }

  /// No update is left to do.
  [[nodiscard]] bool complete() const {
    if (options_.steps > 0 && state_.step >= options_.steps) return true;
    return options_.minutes > 0 && elapsed() >= options_.minutes * 60.0;
  }
  [[nodiscard]] bool finished() const {
    return complete() || (options_.stop_after > 0 && state_.step >= options_.stop_after);
  }
  /// Fraction of the run that is done.
  [[nodiscard]] double progress() const {
    if (by_time()) return std::min(1.0, elapsed() / (options_.minutes * 60.0));
    return static_cast<double>(state_.step) / static_cast<double>(options_.steps);
  }
  /// Fraction that was done before the last update: the network's `progress` since.
  [[nodiscard]] double last_progress() const {
    if (by_time()) return std::min(1.0, state_.elapsed_seconds / (options_.minutes * 60.0));
    return static_cast<double>(std::max<std::int64_t>(state_.step - 1, 0)) /
           static_cast<double>(options_.steps);
  }

  // ---- what a run says ----------------------------------------------------------------------------------------

  /// Throws when a step's numbers are not finite.
  [[gnu::cold]] void check_finite(double loss, double norm) const {
    if (!std::isfinite(loss) || !std::isfinite(norm))
      throw_not_finite(state_.step + 1,
                       "loss " + number_text(loss) + " and gradient norm " + number_text(norm));
  }
  [[noreturn]] [[gnu::cold]] static void throw_not_finite(std::int64_t step, const std::string& found) {
    throw NotFinite("training step " + std::to_string(step) + ": found " + found +
                    ", expected finite numbers; saved checkpoints are as they were");
  }

  /// Writes the line of the updates since the one before.
  [[gnu::cold]] void report(bool last) {
    const auto updates = static_cast<double>(std::max<Index>(window_.updates, 1));
    const double counted = std::max(window_.counted, 1.0);
    const double loss = window_.loss / counted;
    const double accuracy = window_.correct / counted;
    const double speed = window_.tokens / std::max(window_.seconds, 1e-9);
    const std::vector<double> rates = window_.activation.rates();
    if (log_.is_open()) {
      JsonLine line("train");
      line.add("step", state_.step).add("loss", loss);
      if (by_bits()) line.add("bits", loss / std::numbers::ln2);
      log_.write(line.add("accuracy", accuracy)
                     .add("learning_rate", window_.learning_rate / updates)
                     .add("gradient_norm", window_.gradient_norm / updates)
                     .add("tokens_per_second", speed)
                     .add("seconds", elapsed())
                     .add("activation", rates));
    }
    window_.clear();
    std::array<char, 160> text{};
    std::snprintf(text.data(), text.size(), "step %lld  %s  accuracy %.3f  %.0f tokens/s  active",
                  static_cast<long long>(state_.step), loss_text(loss).c_str(), accuracy, speed);
    std::string line = text.data();
    for (const double rate : rates) {
      std::snprintf(text.data(), text.size(), " %.2f", rate);
      line += text.data();
    }
    progress_.show(line + "  " + clock_text(seconds_left()) + " left", last);
  }
  /// The same on the way out of a run that fails: no second error hides the first.
  [[gnu::cold]] void report_before_failure() noexcept {
    try {
      if (window_.updates > 0) report(true);
    } catch (const std::exception&) {
    }
  }

  /// Takes notice of a validation; true: the best so far.
  [[gnu::cold]] bool validated(const Evaluation& e) {
    log_evaluation("validation", e);
    std::array<char, 120> text{};
    std::snprintf(text.data(), text.size(), "step %lld  validation %s  accuracy %.4f",
                  static_cast<long long>(state_.step), loss_text(e.loss).c_str(), e.accuracy);
    progress_.say(text.data());
    evaluation_due_ = false;
    evaluated_ = state_.step;
    const double score = by_bits() ? std::exp(-e.loss) : e.accuracy;
    const bool better = score > state_.best;
    if (better) state_.best = score;
    return better;
  }

  [[gnu::cold]] void say_that_nothing_is_left() {
    progress_.tell("sma::Trainer: found a run of " + std::to_string(state_.step) +
                   " updates that is at its end, so that " + "no update is made");
  }

  /// What a checkpoint is to hold. Afterwards the log's lines up to here are on the disk and the directory is this run's.
  [[gnu::cold]] void prepare_to_save() {
    if (by_time()) state_.elapsed_seconds = elapsed();
    state_.notes.clear();
    for (const auto& [name, value] : recipe_) state_.notes[kRecipeNote + name] = value;
    if (evaluation_due_) state_.notes[kDueNote] = "due";
    if (log_.is_open()) log_.sync();
    lock_.ensure(options_.directory);
  }

  /// For the checkpoint from which runs resume: where lines of the log stand depends on interruptions, and nothing else must.
  [[gnu::cold]] void note_window() {
    if (window_.updates > 0) state_.notes[kWindowNote] = window_.text();
  }

  TrainerOptions options_;
  TrainingState state_;
  Window window_;
  Window update_;  // the update under way
  bool evaluation_due_ = false;
  std::int64_t evaluated_ = -1;  // the step of the last evaluation
  std::int64_t saved_ = 0;       // and of the last checkpoint
  std::atomic<bool> stop_ = false;
  bool stopped_ = false;
  bool owns_directory_ = false;  // what it holds is of this run

 private:
  [[nodiscard]] bool by_bits() const { return options_.measure == Measure::bits; }
  /// "loss 0.6931", or "bits 1.0000".
  [[nodiscard]] [[gnu::cold]] std::string loss_text(double loss) const {
    std::array<char, 48> text{};
    std::snprintf(text.data(), text.size(), "%s %.4f", by_bits() ? "bits" : "loss",
                  by_bits() ? loss / std::numbers::ln2 : loss);
    return text.data();
  }

  [[nodiscard]] std::string checkpoint_path(const char* name) const {
    if (options_.directory.empty())
      throw Error(
          "sma::Trainer: found no directory of checkpoints, expected TrainerOptions::directory (--save)");
    return options_.directory + "/" + name;
  }

  [[gnu::cold]] void begin() {
    started_ = Clock::now();
    earlier_ = state_.elapsed_seconds;
    first_step_ = state_.step;
    stopped_ = false;
    try {
      hold_directory();
      std::vector<std::string> old;
      if (!options_.directory.empty() && !owns_directory_) {
        for (const std::string& path : {last_path(), best_path()})
          if (std::filesystem::exists(std::filesystem::symlink_status(path))) old.push_back(path);
        if (!old.empty() && !options_.overwrite)
          throw Error(one_line(options_.directory) + ": found a run (" +
                      std::filesystem::path(old[0]).filename().string() +
                      "), expected none: resume it, choose another directory, or overwrite it "
                      "(TrainerOptions::overwrite, --overwrite)");
      }
      if (!options_.log_file.empty()) {
        using Start = LogFile::Start;
        const bool goes_on = resumed_ || log_begun_;
        const Start start = goes_on ? Start::go_on : options_.overwrite ? Start::replace : Start::fresh;
        log_.open(options_.log_file, start, state_.step);
        log_begun_ = true;
      }
      // A run that dies before its first checkpoint must not be resumed from another's.
      for (const std::string& path : old) std::filesystem::remove(path);
      owns_directory_ = true;
    } catch (...) {
      end();
      throw;
    }
  }
  [[gnu::cold]] void end() noexcept {
    progress_.end();
    log_.close();
    lock_.release();
  }

  /// By the pace of this run's updates so far.
  [[nodiscard]] double seconds_left() const {
    const double limit = options_.minutes > 0 ? options_.minutes * 60.0 - elapsed() : 1e12;
    if (by_time()) return limit;
    const Index end =
        options_.stop_after > 0 ? std::min(options_.stop_after, options_.steps) : options_.steps;
    const auto done = static_cast<double>(std::max<std::int64_t>(state_.step - first_step_, 1));
    return std::min(limit, seconds_since(started_) / done * static_cast<double>(end - state_.step));
  }

  std::map<std::string, std::string> recipe_;
  Progress progress_;
  RunLock lock_;
  LogFile log_;
  bool log_begun_ = false;
  bool resumed_ = false;
  Clock::time_point started_;
  double earlier_ = 0;
  std::int64_t first_step_ = 0;  // where this run began
};

}  // namespace sma::detail
