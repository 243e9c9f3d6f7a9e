#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <sma/base/error.hpp>
#include <sma/device/buffer.hpp>
#include <sma/device/context.hpp>
#include <sma/module/module.hpp>
#include <sma/network/options.hpp>
#include <sma/network/unsummed.hpp>
#include <sma/ops/finite.hpp>
#include <sma/ops/sums.hpp>
#include <sma/shards/lane_cut.hpp>
#include <span>
#include <string>
#include <vector>

namespace sma::detail {

/// Resets scratch memory and gives each of the first `used` arenas the size of the largest: which of them runs which lane differs
/// from step to step, and must not make one allocate after warm-up.
template <class Backend>
SMA_NOINLINE void level_arenas(std::span<Arena<Backend>> arenas, Index used) {
  std::size_t largest = 0;
  for (auto& arena : arenas) {
    arena.reset();
    largest = std::max(largest, arena.capacity());
  }
  for (auto& arena : arenas.first(static_cast<std::size_t>(used))) arena.reserve(largest);
}

/// What a pass leaves in the backend's memory, and its copy in host memory once somebody asks.
template <class B, class T>
class Result {
 public:
  explicit Result(B& backend) : backend_(&backend), device_(backend) {}

  /// Makes room for `count` numbers, which are to be written.
  void begin(Index count) {
    device_.grow(count);
    count_ = count;
    fetched_ = false;
  }
  [[nodiscard]] T* data() const { return device_.data(); }
  [[nodiscard]] Index count() const { return count_; }

  template <Index Width>
  [[nodiscard]] Output<T, Width> rows() {
    const Rows<const T, Width> rows{device_.data(), count_ / Width};
    if constexpr (B::host_accessible)
      return Output<T, Width>(rows);
    else
      return Output<T, Width>(rows, this, [](void* self) { return static_cast<Result*>(self)->fetch(); });
  }

  /// In host memory; the first call waits and copies.
  const T* fetch() {
    if (!fetched_) {
      host_.resize(static_cast<std::size_t>(count_));
      device_.download(host_.data(), count_);
      backend_->wait();
      fetched_ = true;
    }
    return host_.data();
  }

 private:
  B* backend_;
  DeviceBuffer<B, T> device_;
  Index count_ = 0;
  bool fetched_ = false;
  std::vector<T> host_;
};

/// f from `first` on.
template <class F>
struct From {
  F f;
  Index first;
  SMA_HD void operator()(Index i) const { f(first + i); }
};

/// The passes of a network over a batch. It is cut into lanes of whole sequences; each runs alone in memory of its own and meets
/// the others only where a module couples the batch. Metrics and gradients are kept a lane and summed in the order of lanes.
/// `fits` is false for a description that has been refused: nothing of it is instantiated.
template <class Description, Backend B, bool fits>
class Pass {
 public:
  using Scalar = typename B::Scalar;
  using Compute = compute_of<Scalar>;
  using Element = input_element<Description, Scalar>;
  static constexpr bool couples = couples_batch<Description>();
  using Ctx = std::conditional_t<couples, CoupledContext<B>, Context<B>>;
  static constexpr Index input_width = Description::input_width;
  static constexpr Index output_width = Description::output_width;
  static constexpr Index parameter_count = sma::parameter_count<Description>;
  static constexpr Index metric_count = extent_of<Description>.metrics;
  /// Sequences that must stay together in one lane.
  static constexpr Index sequence_group = std::max<Index>(1, sequences_per_output<Description>());

  struct Lane {
    explicit Lane(B& backend) : context(backend), device_offsets(backend) {}

    Ctx context;
    saved_of<Description, Scalar> saved;
    std::vector<std::int32_t> offsets;
    DeviceBuffer<B, std::int32_t> device_offsets;
    Sequences sequences;
    Rows<const Element, input_width> x;
    Index first_row = 0;
    Index first_output = 0;
    Index output_rows = 0;
  };

  [[gnu::cold]] Pass(B& backend, NetworkOptions options)
      : backend_(backend),
        options_(fitted(options)),
        team_(options_.threads, options_.lanes),
        lane_gradients_(decltype(lane_gradients_)::unset(backend, options_.lanes * parameter_count)),
        metrics_(static_cast<std::size_t>(metric_count)),
        lanes_(static_cast<std::size_t>(options_.lanes)) {
    lane_metrics_.begin(options_.lanes * metric_count);
    append_unsummed<Description>(0, unsummed_);
    scratch_.reserve(lanes_.size());
    for (auto& lane : lanes_) {
      lane = std::make_unique<Lane>(backend);
      scratch_.emplace_back(backend);
    }
  }

  std::atomic<bool> finite{true};  // input and output of the last pass in inference

  [[nodiscard]] Index rows() const { return rows_; }
  [[nodiscard]] Index output_rows() const { return output_rows_; }
  [[nodiscard]] Index sequences() const { return host_.count; }
  [[nodiscard]] Index lanes() const { return cut_.lanes(); }
  [[nodiscard]] Index most_lanes() const { return options_.lanes; }
  [[nodiscard]] Lane& lane(Index i) { return *lanes_[static_cast<std::size_t>(i)]; }
  /// What modules reported in the last pass, summed over the batch: waits for it when it is first asked.
  [[nodiscard]] std::span<const double> metrics() {
    if (reports_ > 0) sum_metrics();
    return metrics_;
  }
  void clear_metrics() {
    std::fill(metrics_.begin(), metrics_.end(), 0.0);
    reports_ = 0;
  }
  /// (output rows, output_width).
  [[nodiscard]] Output<Scalar, output_width> output() { return output_.template rows<output_width>(); }
  /// (rows, input_width), with room made for it.
  [[nodiscard]] Scalar* input_gradient() {
    input_gradient_.begin(rows_ * input_width);
    return input_gradient_.data();
  }
  [[nodiscard]] Output<Scalar, input_width> input_gradient_output() {
    return input_gradient_.template rows<input_width>();
  }
  /// A lane's rows of it.
  [[nodiscard]] Rows<Scalar, output_width> output_of(const Lane& l) const {
    return {output_.data() + l.first_output * output_width, l.output_rows};
  }

  /// Whether a lane's input and output, in host memory, are.
  [[nodiscard]] bool is_finite(const Lane& l) const {
    if constexpr (!takes_tokens<Description>())
      if (!detail::all_finite(l.x.data, l.x.rows * input_width)) return false;
    return detail::all_finite(output_of(l).data, l.output_rows * output_width);
  }

  /// Whether the whole output is, wherever it lies.
  [[nodiscard]] bool is_finite_output() {
    finite_parts_.begin(kFiniteParts);
    ops::FiniteParts<Scalar> parts{output_.data(), output_.count(), kFiniteParts, finite_parts_.data()};
    backend_.for_each_index(parts.extent(), parts);
    const std::uint8_t* finite_part = finite_parts_.fetch();
    return std::find(finite_part, finite_part + kFiniteParts, 0) == finite_part + kFiniteParts;
  }

  [[nodiscard]] std::size_t workspace_bytes() const {
    std::size_t total = 0;
    for (const auto& lane : lanes_) total += lane->context.peak_bytes();
    for (const auto& arena : scratch_) total += arena.capacity();
    return total;
  }

  /// Cuts the batch into lanes and brings it to the backend's memory.
  SMA_NOINLINE void prepare(const Batch<Element, input_width>& x) {
    if (x.count() % sequence_group != 0)
      throw Error("sma::Network: found " + std::to_string(x.count()) + " sequences, expected a multiple of " +
                  std::to_string(sequence_group));
    rows_ = x.rows();
    host_ = x.sequences();
    constexpr Index per_output = sequences_per_output<Description>();
    output_rows_ = per_output == 0 ? rows_ : host_.count / sequence_group;
    output_.begin(output_rows_ * output_width);
    if constexpr (B::host_accessible) {
      device_ = host_;
      input_ = x.view().data;
    } else {
      device_input_.grow(rows_ * input_width);
      device_input_.upload(x.view().data, rows_ * input_width);
      device_positions_.grow(rows_);
      device_positions_.upload(host_.positions, rows_);
      device_ids_.grow(rows_);
      device_ids_.upload(host_.ids, rows_);
      device_ = {rows_, host_.count, nullptr, device_positions_.data(), device_ids_.data()};
      input_ = device_input_.data();
    }
    cut_.cut(host_, options_.lanes, sequence_group);
  }

  /// f(0) .. f(count-1) in any order, cut among the network's threads; a kernel that has `part` is launched part by part.
  template <class F>
  void for_each_index(Index count, const F& f) {
    const Index parts = std::min(options_.threads, options_.lanes);
    team_.run(parts, false, [&](Index part, Index) {
      const Index begin = count * part / parts;
      const Index size = count * (part + 1) / parts - begin;
      if constexpr (requires { f.part(begin, size); })
        lanes_[static_cast<std::size_t>(part)]->context.launch(f.part(begin, size));
      else
        backend_.for_each_index(size, From<F>{f, begin});
    });
  }

  /// task(lane, worker) for all lanes; the longest ones begin, so that threads end together. Coupled ones run all at once.
  template <class Task>
  void run(bool coupled, const Task& task) {
    team_.run(cut_.lanes(), coupled, [&](Index turn, Index worker) {
      task(coupled ? turn : cut_.by_length(turn), coupled ? place_of(turn) : worker);
    });
    level_arenas(std::span(scratch_), std::min(options_.threads, options_.lanes));
  }

  /// Coupled lanes of one place run one after the other, from one meeting to the next.
  [[nodiscard]] Index place_of(Index lane) const {
    if constexpr (requires { team_.place(lane); })
      return team_.place(lane);
    else
      return lane;
  }

  /// Gives every worker's memory the size of the largest: which of them runs which lane differs from step to step, and must not
  /// make one allocate after warm-up.
  SMA_NOINLINE void level_workers() {
    const auto workers = static_cast<std::size_t>(std::min(options_.threads, options_.lanes));
    std::size_t sequences = 0;
    for (std::size_t i = 0; i < workers; ++i) sequences = std::max(sequences, lanes_[i]->offsets.capacity());
    for (std::size_t i = 0; i < workers; ++i) {
      for (std::size_t j = 0; j < workers; ++j) lanes_[i]->context.match(lanes_[j]->context);
      lanes_[i]->offsets.reserve(sequences);
      if constexpr (!B::host_accessible) lanes_[i]->device_offsets.grow(static_cast<Index>(sequences));
    }
  }

  SMA_NOINLINE Lane& begin(Index lane, Lane& l, Index place, const StepSettings& settings,
                           Compute* gradients) {
    const Index first = cut_.begin(lane);
    const Index last = cut_.end(lane);
    const Index first_row = host_.begin(first);
    l.offsets.resize(static_cast<std::size_t>(last - first) + 1);
    for (Index q = first; q <= last; ++q)
      l.offsets[static_cast<std::size_t>(q - first)] =
          static_cast<std::int32_t>(host_.offsets[q] - first_row);
    const std::int32_t* offsets = l.offsets.data();
    if constexpr (!B::host_accessible) {
      l.device_offsets.grow(last - first + 1);
      l.device_offsets.upload(offsets, last - first + 1);
      offsets = l.device_offsets.data();
    }
    l.sequences = {host_.offsets[last] - first_row, last - first, offsets, device_.positions + first_row,
                   device_.ids + first_row};
    l.x = {input_ + first_row * input_width, l.sequences.rows};
    l.first_row = first_row;
    constexpr Index per_output = sequences_per_output<Description>();
    l.first_output = per_output == 0 ? first_row : first / std::max<Index>(per_output, 1);
    l.output_rows = per_output == 0 ? l.sequences.rows : (last - first) / std::max<Index>(per_output, 1);
    l.context.settings = settings;
    l.context.place = {lane, team_.reducer(cut_.lanes()), settings.mode == Mode::training,
                       lane_gradients_.data() + lane * parameter_count,
                       sums_on_the_way() ? gradients : nullptr};
    take_turns(l, place);
    l.context.trace = nullptr;
    l.context.trace_columns = extent_of<Description>.trace;
    l.context.reset();
    return l;
  }

  SMA_NOINLINE void forward(Lane& l, Weights<Description, Scalar> w) {
    auto scope = scope_of<Description>(l.context);
    w.metric_data = metrics_of_lane(l);
    l.context.launch(ops::Fill<double>{w.metric_data, metric_count, 0.0});
    const Rows<Scalar, output_width> y = output_of(l);
    if constexpr (fits) sma::forward<Description>(l.context, l.sequences, l.x, y, w, l.saved);
  }

  SMA_NOINLINE void zero_gradients(Lane& l) {
    for_each_left([&](Index begin, Index count) {
      l.context.launch(ops::Fill<Compute>{l.context.place.own_gradients + begin, count, Compute(0)});
    });
  }

  SMA_NOINLINE void backward(Lane& l, Weights<Description, Scalar> w, Rows<const Scalar, output_width> dy,
                             Scalar* input_gradient) {
    auto scope = scope_of<Description>(l.context);
    w.metric_data = metrics_of_lane(l);
    const Gradients<Description, Scalar> g{l.context.place.own_gradients};
    Rows<Element, input_width> dx;
    if constexpr (!takes_tokens<Description>())
      if (input_gradient != nullptr) dx = {input_gradient + l.first_row * input_width, l.sequences.rows};
    if constexpr (fits) sma::backward<Description>(l.context, l.sequences, l.x, dy, dx, w, g, l.saved);
  }

  /// Sums what the lanes left, in lane order; gradients unless null.
  SMA_NOINLINE void finish(Compute* gradients) {
    reports_ = cut_.lanes();
    lane_metrics_.begin(reports_ * metric_count);
    if (gradients == nullptr) return;
    for_each_left([&](Index begin, Index count) {
      for_each_index(count, ops::SumLanes<Compute>{lane_gradients_.data() + begin, cut_.lanes(),
                                                   parameter_count, count, gradients + begin});
    });
  }

  /// This lane's scratch memory from here on: what lanes of its place use in turn.
  void take_turns(Lane& l, Index place) { l.context.turns = &scratch_[static_cast<std::size_t>(place)]; }

 private:
  static constexpr Index kFiniteParts = 4096;

  SMA_NOINLINE void sum_metrics() {
    const double* reported = lane_metrics_.fetch();
    std::fill(metrics_.begin(), metrics_.end(), 0.0);
    for (Index lane = 0; lane < reports_; ++lane)
      for (Index i = 0; i < metric_count; ++i)
        metrics_[static_cast<std::size_t>(i)] += reported[lane * metric_count + i];
    reports_ = 0;
  }

  /// Where a lane's modules report.
  [[nodiscard]] double* metrics_of_lane(const Lane& l) const {
    return lane_metrics_.data() + l.context.place.number * metric_count;
  }

  /// Lanes that meet sum some gradients over themselves on the way, all but `unsummed_`.
  [[nodiscard]] bool sums_on_the_way() const {
    return couples && Ctx::Shards::sums_gradients && cut_.lanes() > 1;
  }
  /// f(begin, count) for the parameters whose gradients lanes leave to be summed after the pass.
  template <class F>
  void for_each_left(const F& f) const {
    if (!sums_on_the_way()) return f(Index{0}, parameter_count);
    for (const auto& [begin, end] : unsummed_) f(begin, end - begin);
  }

  static NetworkOptions fitted(NetworkOptions options) {
    if (options.lanes < 1 || options.threads < 1)
      throw Error("sma::Network: found " + std::to_string(options.threads) + " threads and " +
                  std::to_string(options.lanes) + " lanes, expected at least one of each");
    if constexpr (requires { B::Team::max_lanes; })
      options.lanes = std::min(options.lanes, B::Team::max_lanes);
    return options;
  }

  B& backend_;
  NetworkOptions options_;
  typename B::Team team_;
  DeviceBuffer<B, Compute> lane_gradients_;  // (lanes, parameters)
  std::vector<ParameterRange> unsummed_;
  std::vector<double> metrics_;               // (metrics), of the lanes that have been asked for
  Index reports_ = 0;                         // lanes whose metrics have not been
  Result<B, double> lane_metrics_{backend_};  // (lanes, metrics)
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<Arena<B>> scratch_;  // (places), of lanes that run one after the other
  LaneCut cut_;
  Index rows_ = 0;
  Index output_rows_ = 0;
  Sequences host_;
  Sequences device_;
  const Element* input_ = nullptr;
  Result<B, Scalar> output_{backend_};          // (output rows, output_width)
  Result<B, Scalar> input_gradient_{backend_};  // (rows, input_width)
  Result<B, std::uint8_t> finite_parts_{backend_};
  DeviceBuffer<B, Element> device_input_{backend_};
  DeviceBuffer<B, Position> device_positions_{backend_};
  DeviceBuffer<B, std::int32_t> device_ids_{backend_};
};

}  // namespace sma::detail
