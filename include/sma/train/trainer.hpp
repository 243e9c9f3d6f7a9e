#pragma once

#include <cmath>
#include <optional>
#include <sma/train/activation_rates.hpp>
#include <sma/train/checkpoint.hpp>
#include <sma/train/loss.hpp>
#include <sma/train/optimizer.hpp>
#include <sma/train/trainer_core.hpp>
#include <sma/train/trainer_options.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace sma {

namespace detail {
template <class Net, class Optimizer>
constexpr const char* optimizer_name() {
  if constexpr (std::is_same_v<Optimizer, AdamW<Net>>)
    return "AdamW";
  else if constexpr (std::is_same_v<Optimizer, RAdam<Net>>)
    return "RAdam";
  else
    return "of the user";
}
}  // namespace detail

/// Trains a network by cross entropy on a data set, and keeps what a long run needs: progress line, JSON-lines log,
/// evaluation, best and last checkpoint, resume.
///
/// `Data` has
///     void next(Index count, Batch& x, std::vector<std::int32_t>& targets);          // appends the next training examples
///     std::int64_t epoch() const; std::int64_t index() const; void seek(std::int64_t epoch, std::int64_t index);
///     Index size(Split) const;                                                       // at least 1
///     void example(Split, Index i, Batch& x, std::vector<std::int32_t>& targets);    // appends example i
/// An example is one sequence (two where the network takes pairs), perhaps empty, and one target for each of its output rows.
/// After `seek(epoch, index)`, to what `epoch()` and `index()` once said, `next` gives the examples that it gave then.
///
/// Every member throws `Error`, in one sentence: for data that are not so, with the function, the split and the example; `NotFinite`
/// when loss or gradient, in training or in validation, stop being finite. Checkpoints on disk then stay as they were, and the
/// network is in the mode in which it was.
template <class Net, class Data, class Optimizer = AdamW<Net>>
class Trainer : detail::TrainerCore {
 public:
  using Input = Batch<typename Net::Element, Net::input_width>;

  /// Throws `Error` for options that make no sense.
  Trainer(Net& net, Data& data, TrainerOptions options)
      : TrainerCore(std::move(options), detail::optimizer_name<Net, Optimizer>(),
                    detail::routers_of<typename Net::description>()),
        net_(net),
        data_(data),
        loss_{options_.ignored_target},
        optimizer_(net, options_.adam) {
    set_up_network();
  }

  using TrainerCore::best_path;
  using TrainerCore::last_path;
  using TrainerCore::log_evaluation;
  using TrainerCore::request_stop;
  using TrainerCore::state;
  using TrainerCore::stop_flag;
  using TrainerCore::stopped;

  /// Goes on from a checkpoint: weights, moments, counters, data position. Throws `Error` when it is of another model, when its
  /// recipe is another, naming what differs, or when another run has the directory; nothing is changed then.
  void resume(const std::string& path) {
    const bool took = hold_directory();
    try {
      take_state(path, detail::load_checkpoint(net_, optimizer_, path, [&](const TrainingState& found) {
                   check_resumable(path, found);
                   data_.seek(found.epoch, found.index);
                 }));
    } catch (...) {
      if (took) release_directory();
      throw;
    }
    net_.settings().progress = last_progress();
  }
  /// The same from `last_path()`.
  void resume() { resume(last_path()); }

  /// Trains up to the limit, then evaluates and saves. Asked to stop, or at `stop_after`, it saves without an evaluation that would
  /// not have been due, so that a resumed run does what one that goes through does.
  void run() {
    const Session session(*this);
    set_up_network();
    try {
      train();
    } catch (...) {
      report_before_failure();
      throw;
    }
    stopped_ = stop_.exchange(false);
  }

  /// Loss and accuracy over a split (its first `limit` examples when limit > 0), without touching the weights.
  [[gnu::cold]] Evaluation evaluate(Split split, Index limit = 0) {
    Evaluation e = *pass(split, limit, false);
    if (!std::isfinite(e.loss))
      throw NotFinite(std::string("sma::Trainer::evaluate: found ") + detail::split_name(split) + " loss " +
                      number_text(e.loss) + ", expected a finite number");
    return e;
  }

 private:
  /// What is in the batch.
  struct Held {
    Index sequences;
    Index rows;
    Index targets;
  };
  [[nodiscard]] Held held() const { return {x_.count(), x_.rows(), static_cast<Index>(targets_.size())}; }

  void set_up_network() {
    net_.settings().seed = options_.seed;
    net_.settings().auxiliary = options_.auxiliary;
  }

  [[gnu::cold]] void train() {
    detail::evaluated_size(Split::validation, data_.size(Split::validation), 0);
    if (finished() && !evaluation_due_) say_that_nothing_is_left();
    if (evaluation_due_) evaluate_and_save();
    while (!finished() && !stop_requested()) {
      update(progress());
      const bool leaves = finished() || stop_requested();
      if (state_.step % options_.log_every == 0 || leaves) report(leaves);
      evaluation_due_ =
          complete() || (options_.evaluate_every > 0 && state_.step % options_.evaluate_every == 0);
      if (evaluation_due_) evaluate_and_save();
    }
    if (window_.updates > 0) report(true);
    if (complete() && evaluated_ != state_.step) evaluation_due_ = true;  // time has run out since
    if (evaluation_due_) evaluate_and_save();
    if (saved_ != state_.step) save(false);
  }

  /// One optimizer update over `accumulation` micro-batches. What it leaves in the window is of whole updates alone.
  [[gnu::cold]] void update(double fraction) {
    const auto started = Clock::now();
    net_.zero_gradients();
    update_.clear();
    double loss = 0;
    for (Index a = 0; a < options_.accumulation; ++a) {
      const std::int64_t epoch = data_.epoch();
      const std::int64_t index = data_.index();
      const auto where = [&] { return next_call(epoch, index); };
      next_examples(where);
      const Index counted = loss_.count(targets_);
      if (counted == 0) continue;
      net_.settings().step = static_cast<std::uint64_t>(state_.step * options_.accumulation + a);
      net_.settings().progress = fraction;
      net_.settings().auxiliary =
          fraction < options_.auxiliary_from ? AuxiliaryWeights{} : options_.auxiliary;
      const double scale = 1.0 / static_cast<double>(counted * options_.accumulation);
      const LossSum sum = explained(
          where, [&] { return net_.accumulate(x_, std::span<const std::int32_t>(targets_), loss_, scale); });
      loss += sum.loss;
      update_.loss += sum.loss / scale;
      update_.correct += sum.correct;
      update_.counted += static_cast<double>(counted);
      update_.tokens += static_cast<double>(x_.rows());
      update_.activation.add(net_.metric_values());
    }
    if (!(update_.counted > 0)) throw_nothing_counts(next_call(data_.epoch(), data_.index()));
    const double norm = optimizer_.gradient_norm();
    check_finite(loss, norm);
    const double next =
        by_time() ? std::max(fraction * options_.schedule.total, 1.0) : static_cast<double>(state_.step + 1);
    const double rate = options_.schedule.at(next);
    optimizer_.step(rate, clip_factor(norm, options_.clip));
    ++state_.step;
    state_.epoch = data_.epoch();
    state_.index = data_.index();
    update_.updates = 1;
    update_.learning_rate = rate;
    update_.gradient_norm = norm;
    update_.seconds = seconds_since(started);
    window_.add(update_);
  }

  /// The next micro-batch in x_ and targets_.
  template <class Where>
  void next_examples(const Where& where) {
    x_.clear();
    targets_.clear();
    const Held before = held();
    data_.next(options_.batch, x_, targets_);
    check_appended(before, options_.batch, where);
  }

  /// Throws unless `examples` whole ones have been appended since, with targets that are classes.
  template <class Where>
  void check_appended(const Held& before, Index examples, const Where& where) const {
    constexpr Index per_output = sequences_per_output<typename Net::description>();
    const Held now{x_.count() - before.sequences, x_.rows() - before.rows,
                   static_cast<Index>(targets_.size()) - before.targets};
    const Index outputs = per_output == 0 ? now.rows : examples;
    if (now.sequences != examples * Net::sequence_group || now.targets != outputs)
      detail::throw_wrong_examples(where(), now.sequences, examples * Net::sequence_group, now.targets,
                                   outputs);
    explained(where, [&] {
      loss_.check(std::span<const std::int32_t>(targets_).last(static_cast<std::size_t>(outputs)),
                  Net::output_width);
    });
  }

  /// What `action` returns; its errors say where.
  template <class Where, class Action>
  static auto explained(const Where& where, const Action& action) {
    try {
      return action();
    } catch (const NotFinite& error) {
      throw NotFinite(where() + ": " + error.what());
    } catch (const Error& error) {
      throw Error(where() + ": " + error.what());
    }
  }

  /// Means over the first `limit` examples of a split; nothing when it may stop and was asked to.
  [[gnu::cold]] std::optional<Evaluation> pass(Split split, Index limit, bool may_stop) {
    const Index size = detail::evaluated_size(split, data_.size(split), limit);
    detail::ActivationSums activation(detail::routers_of<typename Net::description>());
    LossSum total;
    for (Index first = 0; first < size; first += options_.evaluate_batch) {
      if (may_stop && stop_requested()) return {};
      x_.clear();
      targets_.clear();
      const Index end = std::min(first + options_.evaluate_batch, size);
      for (Index i = first; i < end; ++i) {
        const Held before = held();
        data_.example(split, i, x_, targets_);
        check_appended(before, 1, [&] { return detail::example_call(split, i); });
      }
      const auto where = [&] { return detail::examples_of(split, first, end); };
      const LossSum sum =
          explained(where, [&] { return CrossEntropy::evaluate(net_.infer(x_), targets_, loss_); });
      total.loss += sum.loss;
      total.correct += sum.correct;
      total.counted += sum.counted;
      activation.add(net_.metric_values());
    }
    if (!(total.counted > 0)) throw_nothing_counts(detail::examples_of(split, 0, size));
    return Evaluation{total.loss / total.counted, total.correct / total.counted,
                      static_cast<Index>(total.counted), activation.rates()};
  }

  /// Leaves all as it is when asked to stop on the way; the evaluation is then still due.
  [[gnu::cold]] void evaluate_and_save() {
    std::optional<Evaluation> e;
    try {
      e = pass(Split::validation, options_.evaluate_limit, true);
    } catch (const NotFinite& error) {
      throw_not_finite(state_.step, std::string("validation loss nan (") + error.what() + ")");
    }
    if (!e) return;
    if (!std::isfinite(e->loss)) throw_not_finite(state_.step, "validation loss " + number_text(e->loss));
    save(validated(*e));
  }

  /// The best before the last: whoever resumes from the last finds the best that it speaks of.
  [[gnu::cold]] void save(bool is_best) {
    if (options_.directory.empty()) return;
    prepare_to_save();
    if (is_best) save_checkpoint(net_, optimizer_, state_, best_path());
    note_window();
    save_checkpoint(net_, optimizer_, state_, last_path());
    saved_ = state_.step;
  }

  Net& net_;
  Data& data_;
  CrossEntropy loss_;
  Optimizer optimizer_;
  Input x_;
  std::vector<std::int32_t> targets_;
};

}  // namespace sma
