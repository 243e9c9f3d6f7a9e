#pragma once

#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <sma/train/atomic_file.hpp>
#include <sma/train/checkpoint.hpp>
#include <sma/train/loss.hpp>
#include <sma/train/optimizer.hpp>
#include <sma/train/schedule.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sma {

/// Which part of a data set.
enum class Split { validation, test };

/// How a run goes. Limits: `steps` updates, or `minutes` of wall time (then the schedule runs over time), or whichever of
/// both comes first (then the schedule runs over steps).
struct TrainerOptions {
  Index steps = 1000;      // 0: no limit but minutes
  double minutes = 0;      // 0: no limit but steps
  Index stop_after = 0;    // leave at this update, the schedule unchanged, to be resumed; 0: do not
  Index batch = 32;        // sequences (or pairs) a micro-batch
  Index accumulation = 1;  // micro-batches an update
  Schedule schedule;       // `total` is set to `steps` when steps are limited
  double clip = 1.0;       // of the gradient's norm; 0: off
  AdamOptions adam;
  AuxiliaryWeights auxiliary;
  std::uint64_t seed = 1;
  Index evaluate_every = 500;  // updates; 0: only at the end
  Index evaluate_limit = 0;    // examples of the validation split; 0: all
  Index evaluate_batch = 32;   // sequences at a time
  Index log_every = 20;        // updates
  std::string directory;       // checkpoints: last.safetensors, best.safetensors; empty: none
  std::string log_file;        // JSON lines; empty: none
  bool quiet = false;          // no progress line
};

/// Mean loss (nats) and accuracy over a split.
struct Evaluation {
  double loss = 0.0;
  double accuracy = 0.0;
  Index rows = 0;
  std::vector<double> activation;  // mean activation rate of each router
};

namespace detail {
SMA_NOINLINE SMA_RARE inline std::vector<double> activation_rates(const std::vector<TensorEntry>& entries,
                                                                  std::span<const double> values) {
  std::vector<double> rates;
  double rows = 0;
  for (const TensorEntry& entry : entries) {
    if (entry.name.ends_with("rows")) rows = values[static_cast<std::size_t>(entry.offset)];
    if (!entry.name.ends_with("active")) continue;
    double active = 0;
    for (Index i = 0; i < entry.size; ++i) active += values[static_cast<std::size_t>(entry.offset + i)];
    rates.push_back(rows > 0 ? active / (rows * static_cast<double>(entry.size)) : 0.0);
  }
  return rates;
}
}  // namespace detail

/// Mean activation rate of each router in the last pass: active branch steps / (steps * branches).
template <class Net>
std::vector<double> activation_rates(const Net& net) {
  return detail::activation_rates(metric_entries<typename Net::description>(), net.metric_values());
}

namespace detail {

/// What of a trainer knows neither network nor data: limits, log, progress line.
class TrainerCore {
 public:
  TrainerCore(const TrainerCore&) = delete;
  TrainerCore& operator=(const TrainerCore&) = delete;

  [[nodiscard]] std::string last_path() const { return options_.directory + "/last.safetensors"; }
  [[nodiscard]] std::string best_path() const { return options_.directory + "/best.safetensors"; }
  [[nodiscard]] const TrainingState& state() const { return state_; }

  /// Writes one line {"kind":"eval", ...} to the log.
  SMA_NOINLINE SMA_RARE void log_evaluation(const char* split, const Evaluation& e) {
    if (log_ == nullptr) return;
    std::fprintf(log_,
                 "{\"kind\":\"eval\",\"step\":%" PRId64
                 ",\"split\":\"%s\",\"loss\":%.6g,\"accuracy\":%.6g,\"rows\":%" PRId64 ",\"activation\":",
                 state_.step, split, e.loss, e.accuracy, static_cast<std::int64_t>(e.rows));
    log_list(e.activation);
    std::fputs("}\n", log_);
    flush_log();
  }

 protected:
  using Clock = std::chrono::steady_clock;

  /// Sums since the last report.
  struct Window {
    double loss = 0;
    double correct = 0;
    double examples = 0;
    double tokens = 0;
    Index updates = 0;
    Clock::time_point since = Clock::now();
    void add(const LossSum& sum, Index new_tokens, Index new_examples) {
      loss += sum.loss;
      correct += sum.correct;
      tokens += static_cast<double>(new_tokens);
      examples += static_cast<double>(new_examples);
      ++updates;
    }
  };

  SMA_RARE explicit TrainerCore(TrainerOptions options) : options_(std::move(options)) {
    if (options_.steps <= 0 && options_.minutes <= 0)
      throw Error("sma::Trainer: found neither steps nor minutes, expected a limit");
    if (options_.steps > 0) options_.schedule.total = static_cast<double>(options_.steps);
    state_.seed = static_cast<std::int64_t>(options_.seed);
    if (!options_.directory.empty()) {
      std::error_code failure;
      std::filesystem::create_directories(options_.directory, failure);
      if (failure) throw Error(options_.directory + ": cannot make this directory: " + failure.message());
      remove_stale_temporaries(last_path());
      remove_stale_temporaries(best_path());
    }
  }
  ~TrainerCore() {
    if (log_ != nullptr) std::fclose(log_);
  }

  /// Throws when a checkpoint is of a run with another seed.
  SMA_NOINLINE SMA_RARE void check_seed(const std::string& path) const {
    if (state_.seed != static_cast<std::int64_t>(options_.seed))
      throw Error(path + ": found a run with seed " + std::to_string(state_.seed) + ", expected --seed " +
                  std::to_string(options_.seed));
  }
  /// Throws when a step's numbers are not finite.
  SMA_NOINLINE SMA_RARE void check_finite(double loss) const {
    if (!std::isfinite(loss) || !std::isfinite(norm_))
      throw Error("training step " + std::to_string(state_.step + 1) + ": found loss " +
                  std::to_string(loss) + " and gradient norm " + std::to_string(norm_) +
                  ", expected finite numbers; saved checkpoints are as they were");
  }

  static double seconds_since(Clock::time_point then) {
    return std::chrono::duration<double>(Clock::now() - then).count();
  }
  [[nodiscard]] double elapsed(Clock::time_point started) const { return earlier_ + seconds_since(started); }
  [[nodiscard]] bool by_time() const { return options_.steps <= 0; }

  [[nodiscard]] bool finished(Clock::time_point started) const {
    if (options_.steps > 0 && state_.step >= options_.steps) return true;
    if (options_.stop_after > 0 && state_.step >= options_.stop_after) return true;
    return options_.minutes > 0 && elapsed(started) >= options_.minutes * 60.0;
  }
  /// Fraction of the run that is done.
  [[nodiscard]] double progress(Clock::time_point started) const {
    if (by_time()) return std::min(1.0, elapsed(started) / (options_.minutes * 60.0));
    return static_cast<double>(state_.step) / static_cast<double>(options_.steps);
  }

  SMA_NOINLINE SMA_RARE void report(const Window& w, double fraction, Clock::time_point started,
                                    const std::vector<double>& rates) {
    const double loss = w.loss / static_cast<double>(std::max<Index>(w.updates, 1));
    const double accuracy = w.correct / std::max(w.examples, 1.0);
    const double speed = w.tokens / std::max(seconds_since(w.since), 1e-9);
    if (log_ != nullptr) {
      std::fprintf(log_,
                   "{\"kind\":\"train\",\"step\":%" PRId64
                   ",\"loss\":%.6g,\"accuracy\":%.6g,\"learning_rate\":%.6g,\"gradient_norm\":%.6g,"
                   "\"tokens_per_second\":%.6g,\"seconds\":%.6g,\"activation\":",
                   state_.step, loss, accuracy, rate_, norm_, speed, elapsed(started));
      log_list(rates);
      std::fputs("}\n", log_);
      flush_log();
    }
    if (options_.quiet) return;
    const double done = std::max(fraction, 1e-6);
    double left = seconds_since(started) * (1.0 - done) / done;
    if (options_.minutes > 0) left = std::min(left, options_.minutes * 60.0 - elapsed(started));
    std::fprintf(stderr, "\rstep %" PRId64 "  loss %.4f  accuracy %.3f  %.0f tokens/s  active", state_.step,
                 loss, accuracy, speed);
    for (const double rate : rates) std::fprintf(stderr, " %.2f", rate);
    std::fprintf(stderr, "  %d:%02d left   ", static_cast<int>(left) / 60, static_cast<int>(left) % 60);
    std::fflush(stderr);
  }

  /// Takes notice of a validation; true: the best so far.
  SMA_NOINLINE SMA_RARE bool validated(const Evaluation& e, Clock::time_point started) {
    log_evaluation("validation", e);
    if (!options_.quiet)
      std::fprintf(stderr, "\nstep %" PRId64 "  validation loss %.4f  accuracy %.4f\n", state_.step, e.loss,
                   e.accuracy);
    const bool better = e.accuracy > state_.best;
    if (better) state_.best = e.accuracy;
    if (by_time()) state_.elapsed_seconds = elapsed(started);
    return better;
  }

  SMA_NOINLINE SMA_RARE void open_log() {
    if (options_.log_file.empty() || log_ != nullptr) return;
    const auto parent = std::filesystem::path(options_.log_file).parent_path();
    std::error_code ignored;
    if (!parent.empty()) std::filesystem::create_directories(parent, ignored);
    log_ = std::fopen(options_.log_file.c_str(), state_.step > 0 ? "a" : "w");
    if (log_ == nullptr) detail::throw_system_error(options_.log_file, "cannot open the log", errno);
  }
  void flush_log() {
    if (std::fflush(log_) != 0 || std::ferror(log_) != 0)
      detail::throw_system_error(options_.log_file, "cannot write the log", errno);
  }
  SMA_NOINLINE SMA_RARE void log_list(const std::vector<double>& values) {
    std::fputc('[', log_);
    for (std::size_t i = 0; i < values.size(); ++i)
      std::fprintf(log_, "%s%.5g", i == 0 ? "" : ",", values[i]);
    std::fputc(']', log_);
  }

  TrainerOptions options_;
  TrainingState state_;
  double norm_ = 0;
  double rate_ = 0;
  double earlier_ = 0;
  std::FILE* log_ = nullptr;
};

}  // namespace detail

/// Trains a network by cross entropy on a data set, and keeps what a long run needs: progress line, JSON-lines log,
/// evaluation, best and last checkpoint, resume.
///
/// `Data` has
///     void next(Index count, Batch& x, std::vector<std::int32_t>& targets);          // the next training examples
///     std::int64_t epoch() const; std::int64_t index() const; void seek(std::int64_t epoch, std::int64_t index);
///     Index size(Split) const;
///     void example(Split, Index i, Batch& x, std::vector<std::int32_t>& targets);    // appends example i
/// `run` throws `Error` when loss or gradient stop being finite; checkpoints on disk stay as they were.
template <class Net, class Data, class Optimizer = AdamW<Net>>
class Trainer : detail::TrainerCore {
 public:
  using Input = Batch<typename Net::Element, Net::input_width>;

  Trainer(Net& net, Data& data, TrainerOptions options)
      : TrainerCore(std::move(options)), net_(net), data_(data), optimizer_(net, options_.adam) {
    net_.settings().seed = options_.seed;
    net_.settings().auxiliary = options_.auxiliary;
  }

  using TrainerCore::best_path;
  using TrainerCore::last_path;
  using TrainerCore::log_evaluation;
  using TrainerCore::state;

  /// Goes on from a checkpoint: weights, moments, counters, data position.
  void resume(const std::string& path) {
    state_ = load_checkpoint(net_, optimizer_, path);
    check_seed(path);
    data_.seek(state_.epoch, state_.index);
  }

  /// Trains up to the limit, then evaluates and saves.
  void run() {
    open_log();
    const auto started = Clock::now();
    earlier_ = state_.elapsed_seconds;
    Window window;
    Index last_evaluation = -1;
    while (!finished(started)) {
      const double fraction = progress(started);
      const LossSum sum = update(fraction);
      window.add(sum, tokens_, examples_);
      if (state_.step % options_.log_every == 0 || finished(started)) {
        report(window, fraction, started, activation_rates(net_));
        window = Window{};
      }
      if (options_.evaluate_every > 0 && state_.step % options_.evaluate_every == 0) {
        evaluate_and_save(started);
        last_evaluation = state_.step;
        window = Window{};
      }
    }
    if (last_evaluation != state_.step) evaluate_and_save(started);
    if (!options_.quiet) std::fputc('\n', stderr);
  }

  /// Loss and accuracy over a split (its first `limit` examples when limit > 0), without touching the weights.
  SMA_NOINLINE Evaluation evaluate(Split split, Index limit = 0) {
    net_.training(false);
    Evaluation total;
    Index size = data_.size(split);
    if (limit > 0) size = std::min(size, limit);
    Index batches = 0;
    for (Index first = 0; first < size; first += options_.evaluate_batch) {
      x_.clear();
      targets_.clear();
      for (Index i = first; i < std::min(first + options_.evaluate_batch, size); ++i)
        data_.example(split, i, x_, targets_);
      const LossSum sum = CrossEntropy::evaluate(net_.forward(x_), targets_);
      total.loss += sum.loss;
      total.accuracy += sum.correct;
      total.rows += static_cast<Index>(targets_.size());
      const auto rates = activation_rates(net_);
      total.activation.resize(rates.size());
      for (std::size_t r = 0; r < rates.size(); ++r) total.activation[r] += rates[r];
      ++batches;
    }
    net_.training(true);
    if (total.rows > 0) {
      total.loss /= static_cast<double>(total.rows);
      total.accuracy /= static_cast<double>(total.rows);
    }
    for (double& rate : total.activation) rate /= static_cast<double>(std::max<Index>(batches, 1));
    return total;
  }

 private:
  /// One optimizer update over `accumulation` micro-batches; the mean loss and the number of right answers.
  SMA_NOINLINE LossSum update(double fraction) {
    net_.training(true);
    net_.zero_gradients();
    LossSum total;
    tokens_ = 0;
    examples_ = 0;
    for (Index a = 0; a < options_.accumulation; ++a) {
      x_.clear();
      targets_.clear();
      data_.next(options_.batch, x_, targets_);
      net_.settings().step = static_cast<std::uint64_t>(state_.step * options_.accumulation + a);
      net_.settings().progress = fraction;
      const double scale =
          1.0 / static_cast<double>(static_cast<Index>(targets_.size()) * options_.accumulation);
      const LossSum sum = net_.accumulate(x_, std::span<const std::int32_t>(targets_), CrossEntropy{}, scale);
      total.loss += sum.loss;
      total.correct += sum.correct;
      tokens_ += x_.rows();
      examples_ += static_cast<Index>(targets_.size());
    }
    norm_ = optimizer_.gradient_norm();
    check_finite(total.loss);
    const double next =
        by_time() ? std::max(fraction * options_.schedule.total, 1.0) : static_cast<double>(state_.step + 1);
    rate_ = options_.schedule.at(next);
    optimizer_.step(rate_, clip_factor(norm_, options_.clip));
    ++state_.step;
    state_.epoch = data_.epoch();
    state_.index = data_.index();
    return total;
  }

  SMA_NOINLINE void evaluate_and_save(Clock::time_point started) {
    const bool better = validated(evaluate(Split::validation, options_.evaluate_limit), started);
    if (options_.directory.empty()) return;
    save_checkpoint(net_, optimizer_, state_, last_path());
    if (better) save_checkpoint(net_, optimizer_, state_, best_path());
  }

  Net& net_;
  Data& data_;
  Optimizer optimizer_;
  Input x_;
  std::vector<std::int32_t> targets_;
  Index tokens_ = 0;
  Index examples_ = 0;
};

}  // namespace sma
