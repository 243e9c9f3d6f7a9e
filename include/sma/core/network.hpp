#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <sma/core/context.hpp>
#include <sma/core/lane_cut.hpp>
#include <sma/core/module.hpp>
#include <sma/core/names.hpp>
#include <sma/kernels/elementwise.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace sma {

/// Seed of a network's initial values and of all random numbers it draws.
struct Seed {
  std::uint64_t value = 0;
};

/// How a network uses the machine. Results depend on `lanes` (the order of sums), never on `threads`.
struct NetworkOptions {
  Index threads = 1;
  Index lanes = 8;  // the batch is cut into at most this many shards; a backend may allow fewer
};

/// A named number that a module reports after a step: an activation count, an auxiliary loss.
struct Metric {
  std::string name;
  double value = 0.0;
};

/// The result of a forward pass. Rows live in the network until its next call.
template <class S, Index Width>
struct Output {
  Rows<const S, Width> rows;  // (output rows, Width), host memory
  Index count = 0;            // output rows
  const S& operator()(Index row, Index column) const { return rows(row, column); }
};

/// What a loss functor returns for its rows: the sum of their losses, how many were predicted right, and how many counted.
struct LossSum {
  double loss = 0.0;
  double correct = 0.0;
  double counted = 0.0;
};

namespace detail {

/// Memory of a backend with a fixed element count; zeroed.
template <class Backend, class T>
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  explicit DeviceBuffer(Index count) { grow(count); }
  /// Not zeroed: pages that nobody writes take no memory where the system gives them when they are touched.
  static DeviceBuffer unset(Index count) {
    DeviceBuffer buffer;
    buffer.allocate(count);
    return buffer;
  }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  DeviceBuffer(DeviceBuffer&& o) noexcept
      : data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)) {}
  DeviceBuffer& operator=(DeviceBuffer&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(size_, o.size_);
    return *this;
  }
  ~DeviceBuffer() {
    if (data_ != nullptr) Backend::deallocate(data_);
  }

  /// Makes room for `count` elements; what was there is lost when it grows.
  void grow(Index count) {
    if (count <= size_ && data_ != nullptr) return;
    if (data_ != nullptr) Backend::deallocate(data_);
    allocate(count);
    fill(T{});
  }
  void fill(T value) { Backend::for_each_index(size_, kernels::Fill<T>{data_, size_, value}); }
  void upload(const T* host, Index count) {
    Backend::upload(data_, host, static_cast<std::size_t>(count) * sizeof(T));
  }
  void download(T* host, Index count) const {
    Backend::download(host, data_, static_cast<std::size_t>(count) * sizeof(T));
  }
  [[nodiscard]] T* data() const { return data_; }
  [[nodiscard]] Index size() const { return size_; }

 private:
  void allocate(Index count) {
    size_ = std::max<Index>(count, 1);
    data_ = static_cast<T*>(Backend::allocate(static_cast<std::size_t>(size_) * sizeof(T)));
  }

  T* data_ = nullptr;
  Index size_ = 0;
};

/// Parameters begin .. end - 1.
struct ParameterRange {
  Index begin, end;
};

/// Appends the parameters of M, the first of which is `at`, whose gradients M does not sum over meeting shards itself (`Repeat`).
template <class M>
void append_unsummed(Index at, std::vector<ParameterRange>& out) {
  constexpr bool sums = [] {
    if constexpr (requires { M::sums_gradients; })
      return M::sums_gradients;
    else
      return false;
  }();
  if constexpr (!sums) {
    const auto append = [&](Index begin, Index count) {
      if (count == 0) return;
      if (!out.empty() && out.back().end == begin)
        out.back().end += count;
      else
        out.push_back({begin, begin + count});
    };
    append(at, own_extent<M>.weights);
    [&]<std::size_t... N>(std::index_sequence<N...>) {
      (
          [&] {
            using Entry = typename children_of<M>::template at<N>;
            for (Index k = 0; k < Entry::count; ++k)
              append_unsummed<typename Entry::module>(
                  at + child_offset<M, N>().weights + k * parameter_count<typename Entry::module>, out);
          }(),
          ...);
    }(std::make_index_sequence<children_of<M>::size>{});
  }
}

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

/// Throws for a token outside the vocabulary.
SMA_NOINLINE inline void check_tokens(const Token* x, Index count, Index vocabulary) {
  for (Index i = 0; i < count; ++i)
    if (x[i] < 0 || x[i] >= vocabulary)
      throw Error("sma::Network: row " + std::to_string(i) + ": found token " + std::to_string(x[i]) +
                  ", expected 0 to " + std::to_string(vocabulary - 1));
}

/// f from `first` on.
template <class F>
struct From {
  F f;
  Index first;
  SMA_HD void operator()(Index i) const { f(first + i); }
};

/// out[i] += sum over lanes, in lane order.
template <class T>
struct SumLanes {
  const T* lanes;  // (count_lanes, stride)
  Index count_lanes;
  Index stride;
  Index size;
  T* out;
  SMA_HD Index extent() const { return size; }
  SMA_HD void operator()(Index i) const {
    T total = out[i];
    for (Index l = 0; l < count_lanes; ++l) total += lanes[l * stride + i];
    out[i] = total;
  }
};

/// Puts a network's settings back at its end.
class Restored {
 public:
  explicit Restored(StepSettings& settings)
      : settings_(settings), mode_(settings.mode), share_(settings.auxiliary_share) {}
  Restored(const Restored&) = delete;
  Restored& operator=(const Restored&) = delete;
  ~Restored() {
    settings_.mode = mode_;
    settings_.auxiliary_share = share_;
  }

 private:
  StepSettings& settings_;
  Mode mode_;
  double share_;
};

/// What holds on a thread of the user's while a backend's code runs on it; nothing unless the backend says so.
struct AnyArithmetic {};
template <class B>
struct ArithmeticOf {
  using type = AnyArithmetic;
};
template <class B>
  requires requires { typename B::Arithmetic; }
struct ArithmeticOf<B> {
  using type = typename B::Arithmetic;
};

/// "nan", "inf" or "-inf".
SMA_NOINLINE SMA_RARE inline std::string text_of_not_finite(double value) {
  if (value > 0) return "inf";
  return value < 0 ? "-inf" : "nan";
}

/// The path of module instance `instance` in messages.
SMA_NOINLINE SMA_RARE inline std::string text_of_instance(const ModuleTable& network, Index instance) {
  std::string found;
  const auto visit = [&](const ModuleTable&, const std::string& path, const Extent& at) {
    if (at.instances == instance) found = path;
  };
  visit_modules(network, "", Extent{}, visit);
  return found.empty() ? "the network itself" : "module '" + found + "'";
}

/// "row 7 (sequence 2, step 3)".
SMA_NOINLINE SMA_RARE inline std::string text_of_row(const Sequences& s, Index row) {
  Index sequence = 0;
  while (sequence + 1 < s.count && s.end(sequence) <= row) ++sequence;
  return "row " + std::to_string(row) + " (sequence " + std::to_string(sequence) + ", step " +
         std::to_string(row - s.begin(sequence)) + ")";
}

/// Throws for the first of `width` numbers a row that is not finite.
template <class S>
SMA_NOINLINE SMA_RARE void refuse_input(const Sequences& s, const S* x, Index width) {
  for (Index e = 0; e < s.rows * width; ++e)
    if (!all_finite(x + e, 1))
      throw NotFinite("sma::Network::forward: " + text_of_row(s, e / width) + ": found " +
                      text_of_not_finite(static_cast<double>(x[e])) + " in column " +
                      std::to_string(e % width) + " of the input, expected finite numbers");
}

/// Throws for what a watch has seen.
[[noreturn]] SMA_NOINLINE SMA_RARE inline void refuse_output(const ModuleTable& network, const Sequences& s,
                                                             const Watch& watch) {
  if (watch.instance < 0)
    throw NotFinite("sma::Network::forward: found nan or infinity in the output, expected finite numbers");
  throw NotFinite("sma::Network::forward: " + text_of_row(s, watch.row) + ": " +
                  text_of_instance(network, watch.instance) + ": found " + text_of_not_finite(watch.value) +
                  ", expected finite numbers");
}

}  // namespace detail

/// Where a description meets a backend and a scalar type and gets data.
///
///     sma::Network<sma::Repeat<6, Layer>, sma::Eigen<float>> net{sma::Seed{1}};
///     auto y = net.forward(batch);     // whole packed batch
///     net.backward(dy);                // parameter gradients accumulate in net.gradients()
///
/// The batch is cut into lanes of whole sequences, contiguous and of about equal cost; each lane runs alone in memory of its
/// own and meets the others only where a module couples the batch. After warm-up nothing is allocated.
/// Throws `Error` for a token outside its vocabulary and for shapes that do not fit. In inference it throws `NotFinite` for NaN and
/// infinity in the input or in what a module makes of it, and names the first module and row; in training these go through to the
/// loss.
template <class Declared, Backend B>
class Network {
  /// False: what is wrong has been said, once, and nothing of the description is instantiated.
  using Fits = std::bool_constant<detail::check_network<Declared, Context<B>>()>;
  using Description = std::conditional_t<Module<Declared>, canonical<Declared>, detail::NoModule>;
  static constexpr bool couples = couples_batch<Description>();

 public:
  using Scalar = typename B::Scalar;
  using BackendType = B;
  using description = Description;
  using Element = input_element<Description, Scalar>;
  using Ctx = std::conditional_t<couples, CoupledContext<B>, Context<B>>;
  static constexpr Index input_width = Description::input_width;
  static constexpr Index output_width = Description::output_width;
  static constexpr Index parameter_count = sma::parameter_count<Description>;
  static constexpr Index trace_width = extent_of<Description>.trace;
  /// Sequences that must stay together in one lane.
  static constexpr Index sequence_group = std::max<Index>(1, sequences_per_output<Description>());

  explicit Network(Seed seed, NetworkOptions options = {})
      : options_(fitted(options)),
        team_(options_.threads, options_.lanes),
        weights_(parameter_count),
        gradients_(parameter_count),
        buffers_(extent_of<Description>.buffers),
        lane_gradients_(decltype(lane_gradients_)::unset(options_.lanes * parameter_count)),
        metrics_(static_cast<std::size_t>(extent_of<Description>.metrics)),
        lane_metrics_(options_.lanes * extent_of<Description>.metrics),
        lanes_(static_cast<std::size_t>(options_.lanes)),
        scratch_(static_cast<std::size_t>(options_.lanes)) {
    settings_.seed = seed.value;
    detail::append_unsummed<Description>(0, unsummed_);
    for (auto& lane : lanes_) lane = std::make_unique<Lane>();
    std::vector<Scalar> w(static_cast<std::size_t>(parameter_count));
    std::vector<Scalar> b(static_cast<std::size_t>(extent_of<Description>.buffers));
    initialize<Description>(w.data(), b.data(), seed.value);
    set_parameters(w);
    set_buffers(b);
  }

  // ---- parameters -------------------------------------------------------------------------------------------

  /// All parameters, one contiguous buffer in the backend's memory; `parameter_entries<Description>()` says what is where.
  [[nodiscard]] std::span<Scalar> parameters() {
    return {weights_.data(), static_cast<std::size_t>(parameter_count)};
  }
  [[nodiscard]] std::span<const Scalar> parameters() const {
    return {weights_.data(), static_cast<std::size_t>(parameter_count)};
  }
  [[nodiscard]] std::span<Scalar> gradients() {
    return {gradients_.data(), static_cast<std::size_t>(parameter_count)};
  }
  [[nodiscard]] std::span<Scalar> buffers() {
    return {buffers_.data(), static_cast<std::size_t>(extent_of<Description>.buffers)};
  }
  void set_parameters(std::span<const Scalar> host) {
    check_size("set_parameters", host.size(), parameter_count);
    weights_.upload(host.data(), static_cast<Index>(host.size()));
  }
  void set_buffers(std::span<const Scalar> host) {
    check_size("set_buffers", host.size(), extent_of<Description>.buffers);
    buffers_.upload(host.data(), static_cast<Index>(host.size()));
  }
  void zero_gradients() {
    for_each_index(parameter_count, kernels::Fill<Scalar>{gradients_.data(), parameter_count, Scalar(0)});
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
        B::for_each_index(size, detail::From<F>{f, begin});
    });
  }

  // ---- settings ---------------------------------------------------------------------------------------------

  void training(bool on) { settings_.mode = on ? Mode::training : Mode::inference; }
  [[nodiscard]] bool training() const { return settings_.mode == Mode::training; }
  /// Mode, seed, step number (random masks), progress (annealing), weights of auxiliary losses.
  [[nodiscard]] StepSettings& settings() { return settings_; }
  [[nodiscard]] const StepSettings& settings() const { return settings_; }

  // ---- whole sequences --------------------------------------------------------------------------------------

  /// Runs the network on a packed batch. In training mode what backward needs is kept until the next call; x itself is not
  /// copied and must live, unchanged, until then. Where `trace` (rows, trace_width) is given it receives each router's weight of each
  /// branch at each row: 0 where skipped.
  Output<Scalar, output_width> forward(const Batch<Element, input_width>& x, std::span<Scalar> trace = {}) {
    const auto y = run_batch(x, trace);
    if (!training() && !finite_) refuse_not_finite(x);
    return y;
  }
  /// The network keeps a temporary batch until the next one comes.
  Output<Scalar, output_width> forward(Batch<Element, input_width>&& x, std::span<Scalar> trace = {}) {
    temporary_ = std::move(x);
    return forward(std::as_const(temporary_), trace);
  }
  Output<Scalar, output_width> forward(const Batch<Element, input_width>&& x, std::span<Scalar> trace = {}) {
    return forward(Batch<Element, input_width>(x), trace);
  }

  /// Back-propagates d loss / d output (rows of the last forward's output) and adds to `gradients()`; returns d loss / d input
  /// (null for token inputs). Requires a forward pass in training mode just before: backward uses up what that kept.
  Rows<const Scalar, input_width> backward(Rows<const Scalar, output_width> dy) {
    if (!kept_)
      throw Error("sma::Network::backward: expected a forward pass in training mode just before, found none");
    if (dy.rows != output_rows_)
      throw Error("sma::Network::backward: found " + std::to_string(dy.rows) + " rows, expected " +
                  std::to_string(output_rows_));
    if (!dy && output_rows_ > 0)
      throw Error("sma::Network::backward: found null rows, expected " + std::to_string(output_rows_) +
                  " rows of the loss's gradient");
    output_gradient_.grow(output_rows_ * output_width);
    if (dy.contiguous())
      output_gradient_.upload(dy.data, output_rows_ * output_width);
    else
      upload_rows(dy);
    constexpr bool wants_dx = !takes_tokens<Description>();
    if constexpr (wants_dx) input_gradient_.grow(rows_ * input_width);
    run_lanes(couples, [&](Index lane, Index place) {
      Lane& l = *lanes_[static_cast<std::size_t>(lane)];
      l.context.turns = &scratch_[static_cast<std::size_t>(place)];
      zero_lane_gradients(l, lane);
      run_backward(l, lane, {output_gradient_.data() + l.first_output * output_width, l.output_rows},
                   wants_dx ? input_gradient_.data() : nullptr);
    });
    kept_ = false;
    finish_lanes(true);
    if constexpr (!wants_dx) return {};
    if constexpr (!B::host_accessible) {
      host_input_gradient_.resize(static_cast<std::size_t>(rows_ * input_width));
      input_gradient_.download(host_input_gradient_.data(), rows_ * input_width);
      return {host_input_gradient_.data(), rows_, input_width};
    } else {
      return {input_gradient_.data(), rows_, input_width};
    }
  }

  /// Forward, loss and backward of a packed batch in one go, in training mode, whatever the network's: a lane's memory is used again
  /// by the next lane of the same thread. Gradients add up. `loss(ctx, y, dy, targets, scale)` writes dy = scale * d loss / d y for its rows and
  /// returns their LossSum; `targets` holds one entry an output row. `loss.check(targets, output_width)`, where there is such a
  /// member, is called with all of them before anything runs.
  /// Auxiliary losses of routers, means over the batch's sequences, count as much as the loss does: times `scale` times the number of
  /// targets (of `loss.count(targets)`, where there is such a member). With scale = 1 / (targets of an update) micro-batches, and
  /// shards of a batch on other machines, add up to the gradient of the whole batch.
  /// Returns the sums over the batch, the loss times `scale`.
  template <class Loss, class Target>
  LossSum accumulate(const Batch<Element, input_width>& x, std::span<const Target> targets, Loss&& loss,
                     double scale) {
    const detail::Restored restored(settings_);
    training(true);
    prepare(x);
    if (static_cast<Index>(targets.size()) != output_rows_)
      throw Error("sma::Network::accumulate: found " + std::to_string(targets.size()) +
                  " targets, expected " + std::to_string(output_rows_));
    if constexpr (requires { loss.check(targets, output_width); }) loss.check(targets, output_width);
    std::fill(metrics_.begin(), metrics_.end(), 0.0);
    settings_.auxiliary_share = scale * static_cast<double>(counted(targets, loss));
    run_lanes(couples, [&](Index lane, Index place) {
      Lane& memory = *lanes_[static_cast<std::size_t>(couples ? lane : place)];
      Lane& l = begin_lane(lane, memory, place);
      run_forward(l);
      const auto dy = l.context.template keep_rows<output_width>(l.output_rows);
      const Rows<const Scalar, output_width> y{output_.data() + l.first_output * output_width, l.output_rows};
      loss_sums_[static_cast<std::size_t>(lane)] = loss(
          l.context, y, dy,
          targets.subspan(static_cast<std::size_t>(l.first_output), static_cast<std::size_t>(l.output_rows)),
          static_cast<Scalar>(scale));
      zero_lane_gradients(l, lane);
      run_backward(l, lane, dy, nullptr);
    });
    finish_lanes(true);
    if constexpr (!couples) level_workers();
    LossSum total;
    for (Index lane = 0; lane < cut_.lanes(); ++lane) {
      total.loss += loss_sums_[static_cast<std::size_t>(lane)].loss * scale;
      total.correct += loss_sums_[static_cast<std::size_t>(lane)].correct;
      total.counted += loss_sums_[static_cast<std::size_t>(lane)].counted;
    }
    return total;
  }

  /// What modules reported in the last pass, summed over the batch, by path.
  [[nodiscard]] std::vector<Metric> metrics() const {
    std::vector<Metric> out;
    for (const TensorEntry& entry : metric_entries<Description>())
      for (Index i = 0; i < entry.size; ++i)
        out.push_back({entry.size == 1 ? entry.name : entry.name + "." + std::to_string(i),
                       metrics_[static_cast<std::size_t>(entry.offset + i)]});
    return out;
  }
  [[nodiscard]] std::span<const double> metric_values() const { return metrics_; }

  /// Bytes of activations, saved state and workspace held for reuse.
  [[nodiscard]] std::size_t workspace_bytes() const {
    std::size_t total = 0;
    for (const auto& lane : lanes_) total += lane->context.peak_bytes();
    for (const auto& arena : scratch_) total += arena.capacity();
    return total;
  }

  // ---- streaming --------------------------------------------------------------------------------------------

  /// The state of one stream and the memory of its steps: constant size, copyable, resettable. Made by `net.stream()`. Streams of one
  /// network may run on different threads at the same time, each on one of them.
  class Stream {
   public:
    Stream() : state_(std::make_unique<State>()) {}
    Stream(const Stream& o) : state_(std::make_unique<State>(*o.state_)) {}
    Stream& operator=(const Stream& o) {
      static_cast<Data&>(*state_) = *o.state_;
      return *this;
    }
    Stream(Stream&&) noexcept = default;
    Stream& operator=(Stream&&) noexcept = default;
    ~Stream() = default;
    /// Back to the start of a sequence, whose first step is time `start`.
    void reset(Position start = 0) {
      // In place: a large window's state does not fit on the stack.
      Data* data = state_.get();
      std::destroy_at(data);
      std::construct_at(data);
      state_->time = start;
      state_->start = start;
    }
    /// The time of the next step: steps taken, where the stream began at 0.
    [[nodiscard]] Position time() const { return state_->time; }

   private:
    friend class Network;
    struct Data {
      stream_of<Description, Scalar> modules{};
      Position time = 0;
      Position start = 0;
      std::int32_t offsets[2] = {0, 1};
      std::int32_t id = 0;
      const void* network = nullptr;  // whose steps these are
      std::string lost;               // what was not finite; empty: all was
    };
    struct State : Data {
      Ctx context;
      State() = default;
      State(const State& o) : Data(o) {}
      State& operator=(const State&) = delete;
    };
    std::unique_ptr<State> state_;
  };

  /// A stream whose first step is time `start`.
  [[nodiscard]] Stream stream(Position start = 0) const {
    Stream stream;
    stream.reset(start);
    return stream;
  }

  /// One time step of one stream: x (input_width) in, y (output_width) out, O(1) in time and memory, no allocation once
  /// each branch of its routers has run. Only for causal, streamable descriptions. Reads the network and writes the stream alone; a
  /// stream that has begun keeps to its network, and to the parameters that this had then.
  /// Throws `NotFinite` for NaN and infinity: in x, and the stream is as it was; in what a module makes of it, and the stream is lost
  /// until it is reset.
  void step(Stream& stream, std::span<const Element, static_cast<std::size_t>(input_width)> x,
            std::span<Scalar, static_cast<std::size_t>(output_width)> y) const
    requires(B::host_accessible)
  {
    check_tokens(x.data(), 1);
    auto& state = *stream.state_;
    check_stream(state, x.data());
    state.network = this;
    state.context.settings = settings_;
    state.context.settings.mode = Mode::inference;
    if constexpr (!is_streamable<Description>())
      refuse_stream();
    else if constexpr (Fits::value)
      step_in_arithmetic(state, x.data(), y.data());
    if (!detail::all_finite(y.data(), output_width)) [[unlikely]]
      lose(state, x.data(), y.data());
    ++state.time;
  }

 private:
  struct Lane {
    Ctx context;
    saved_of<Description, Scalar> saved;
    std::vector<std::int32_t> offsets;
    detail::DeviceBuffer<B, std::int32_t> device_offsets;
    Sequences sequences;
    Rows<const Element, input_width> x;
    Index first_row = 0;
    Index first_output = 0;
    Index output_rows = 0;
  };

  Output<Scalar, output_width> run_batch(const Batch<Element, input_width>& x, std::span<Scalar> trace) {
    if (!trace.empty() && static_cast<Index>(trace.size()) != x.rows() * trace_width)
      throw Error("sma::Network::forward: found a trace of " + std::to_string(trace.size()) +
                  " numbers, expected " + std::to_string(x.rows() * trace_width));
    prepare(x);
    if (!trace.empty()) {
      trace_.grow(x.rows() * trace_width);
      trace_.fill(Scalar(0));
    }
    std::fill(metrics_.begin(), metrics_.end(), 0.0);
    finite_ = true;
    run_lanes(couples && training(), [&](Index lane, Index place) {
      Lane& l = begin_lane(lane, *lanes_[static_cast<std::size_t>(lane)], place);
      l.context.trace = trace.empty() ? nullptr : trace_.data();
      run_forward(l);
      if (B::host_accessible && !training() && !is_finite(l)) finite_ = false;
    });
    kept_ = training();
    finish_lanes(false);
    if constexpr (!B::host_accessible) {
      host_output_.resize(static_cast<std::size_t>(output_rows_ * output_width));
      output_.download(host_output_.data(), output_rows_ * output_width);
      if (!training())
        finite_ = detail::all_finite(host_output_.data(), output_rows_ * output_width) &&
                  (takes_tokens<Description>() || all_finite_input(x));
    }
    if (!trace.empty()) trace_.download(trace.data(), x.rows() * trace_width);
    return {{output_host(), output_rows_, output_width}, output_rows_};
  }

  static bool all_finite_input([[maybe_unused]] const Batch<Element, input_width>& x) {
    if constexpr (takes_tokens<Description>())
      return true;
    else
      return detail::all_finite(x.values().data(), static_cast<Index>(x.values().size()));
  }
  /// Whether a lane's input and output, in host memory, are.
  [[nodiscard]] bool is_finite(const Lane& l) const {
    if constexpr (!takes_tokens<Description>())
      if (!detail::all_finite(l.x.data, l.x.rows * input_width)) return false;
    return detail::all_finite(output_.data() + l.first_output * output_width, l.output_rows * output_width);
  }

  /// Names what in a pass in inference was not finite: the input, or the first module, which another pass finds.
  [[noreturn]] SMA_NOINLINE SMA_RARE void refuse_not_finite(const Batch<Element, input_width>& x) {
    if constexpr (!takes_tokens<Description>())
      detail::refuse_input(x.sequences(), x.values().data(), input_width);
    std::vector<Watch> watches(lanes_.size());
    const auto look = [&](bool on) {
      for (std::size_t lane = 0; lane < lanes_.size(); ++lane)
        lanes_[lane]->context.watch = on ? &watches[lane] : nullptr;
    };
    try {
      look(true);
      run_batch(x, {});
      look(false);
    } catch (...) {
      look(false);
      throw;
    }
    Watch first;
    for (const Watch& watch : watches)
      if (watch.instance >= 0 && (first.instance < 0 || watch.row < first.row)) first = watch;
    detail::refuse_output(detail::module_table<Description>, x.sequences(), first);
  }

  /// Targets that count.
  template <class Target, class Loss>
  static Index counted(std::span<const Target> targets, const Loss& loss) {
    if constexpr (requires { loss.count(targets); })
      return loss.count(targets);
    else
      return static_cast<Index>(targets.size());
  }

  /// Rows that do not follow each other.
  SMA_NOINLINE SMA_RARE void upload_rows(Rows<const Scalar, output_width> dy) {
    std::vector<Scalar> packed;
    packed.reserve(static_cast<std::size_t>(dy.rows * output_width));
    for (Index i = 0; i < dy.rows; ++i) packed.insert(packed.end(), dy.row(i), dy.row(i) + output_width);
    output_gradient_.upload(packed.data(), dy.rows * output_width);
  }

  static void refuse_stream() {
    using Part = not_streaming_part<Description>;
    if constexpr (requires { requires Part::decides_sequences; })
      static_assert(does_not_stream<Part>,
                    "sma::Network::step(stream, x, y) requires selection rules that decide a step at a time: "
                    "select, and not select_sequence");
    else
      static_assert(
          does_not_stream<Part>,
          "sma::Network::step(stream, x, y) requires every module to stream: causal, with a bounded state");
  }

  using StreamState = typename Stream::State;

  void step_in_arithmetic(StreamState& state, const Element* x, Scalar* y) const {
    [[maybe_unused]] const typename detail::ArithmeticOf<B>::type arithmetic;
    run_step(state, all_weights(), x, y);
  }
  /// A function of its own: what it computes must not move to where another arithmetic holds.
  SMA_NOINLINE static void run_step(StreamState& state, Weights<Description, Scalar> w, const Element* x,
                                    Scalar* y) {
    state.context.reset();
    const Sequences s{1, 1, state.offsets, &state.time, &state.id};
    step_module(state.context, s, Rows<const Element, input_width>{x, 1}, Rows<Scalar, output_width>{y, 1}, w,
                state.modules);
  }

  void check_stream(const StreamState& state, [[maybe_unused]] const Element* x) const {
    if (!state.lost.empty()) throw NotFinite(state.lost);
    if (state.network != nullptr && state.network != this)
      throw Error(
          "sma::Network::step: found a stream of another network, expected one of this network's, or one "
          "that "
          "was reset");
    if constexpr (!takes_tokens<Description>())
      if (!detail::all_finite(x, input_width)) refuse_row(state, x);
  }
  [[noreturn]] SMA_NOINLINE SMA_RARE static void refuse_row(const StreamState& state, const Scalar* x) {
    Index column = 0;
    while (detail::all_finite(x + column, 1)) ++column;
    throw NotFinite("sma::Network::step: step " + std::to_string(state.time) + ": found " +
                    detail::text_of_not_finite(static_cast<double>(x[column])) + " in column " +
                    std::to_string(column) +
                    " of the input, expected finite numbers; the stream is as it was");
  }
  /// The modules before the first that failed have finite states: the same step again finds it.
  [[noreturn]] SMA_NOINLINE SMA_RARE void lose(StreamState& state, const Element* x, Scalar* y) const {
    Watch watch;
    state.context.watch = &watch;
    if constexpr (is_streamable<Description>() && Fits::value) step_in_arithmetic(state, x, y);
    state.context.watch = nullptr;
    state.lost =
        "sma::Network::step: step " + std::to_string(state.time) + ": " +
        detail::text_of_instance(detail::module_table<Description>, std::max<Index>(watch.instance, 0)) +
        ": found " + detail::text_of_not_finite(watch.value) +
        ", expected finite numbers; the stream is lost until it is reset";
    throw NotFinite(state.lost);
  }

  static void check_size(const char* what, std::size_t found, Index expected) {
    if (static_cast<Index>(found) != expected)
      throw Error(std::string("sma::Network::") + what + ": found " + std::to_string(found) +
                  " numbers, expected " + std::to_string(expected));
  }

  static NetworkOptions fitted(NetworkOptions options) {
    if (options.lanes < 1 || options.threads < 1)
      throw Error("sma::Network: found " + std::to_string(options.threads) + " threads and " +
                  std::to_string(options.lanes) + " lanes, expected at least one of each");
    if constexpr (requires { B::Team::max_lanes; })
      options.lanes = std::min(options.lanes, B::Team::max_lanes);
    return options;
  }

  [[nodiscard]] Weights<Description, Scalar> all_weights() const {
    return {weights_.data(), buffers_.data(), nullptr, 0, 0};
  }

  void check_tokens([[maybe_unused]] const Element* x, [[maybe_unused]] Index count) const {
    if constexpr (takes_tokens<Description>())
      detail::check_tokens(x, count, first_vocabulary<Description>());
  }
  template <class M>
  static constexpr Index first_vocabulary() {
    if constexpr (requires { M::vocabulary; })
      return M::vocabulary;
    else
      return first_vocabulary<child_module<M, 0>>();
  }

  /// Cuts the batch into lanes and brings it to the backend's memory.
  SMA_NOINLINE void prepare(const Batch<Element, input_width>& x) {
    kept_ = false;
    check_tokens(x.values().data(), static_cast<Index>(x.values().size()));
    if (x.count() % sequence_group != 0)
      throw Error("sma::Network: found " + std::to_string(x.count()) + " sequences, expected a multiple of " +
                  std::to_string(sequence_group));
    rows_ = x.rows();
    host_ = x.sequences();
    constexpr Index per_output = sequences_per_output<Description>();
    output_rows_ = per_output == 0 ? rows_ : host_.count / sequence_group;
    settings_.batch_sequences = std::max<Index>(host_.count, 1);
    output_.grow(output_rows_ * output_width);
    loss_sums_.resize(lanes_.size());
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

  /// task(lane, worker) for all lanes; the longest ones begin, so that threads end together. Coupled ones run all at once.
  template <class Task>
  void run_lanes(bool coupled, const Task& task) {
    team_.run(cut_.lanes(), coupled, [&](Index turn, Index worker) {
      task(coupled ? turn : cut_.by_length(turn), coupled ? place_of(turn) : worker);
    });
    detail::level_arenas(std::span(scratch_), std::min(options_.threads, options_.lanes));
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

  SMA_NOINLINE Lane& begin_lane(Index lane, Lane& l, Index place) {
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
    l.context.settings = settings_;
    l.context.reducer = team_.reducer(cut_.lanes());
    l.context.lane = lane;
    l.context.turns = &scratch_[static_cast<std::size_t>(place)];
    l.context.trace = nullptr;
    l.context.trace_columns = trace_width;
    l.context.own_gradients = lane_gradients_.data() + lane * parameter_count;
    l.context.batch_gradients = sums_on_the_way() ? gradients_.data() : nullptr;
    l.context.reset();
    return l;
  }

  SMA_NOINLINE void run_forward(Lane& l) {
    auto scope = scope_of<Description>(l.context);
    auto w = all_weights();
    w.metric_data = lane_metrics_.data() + l.context.lane * extent_of<Description>.metrics;
    l.context.launch(kernels::Fill<double>{w.metric_data, extent_of<Description>.metrics, 0.0});
    if constexpr (Fits::value)
      Description::forward(
          l.context, l.sequences, l.x,
          Rows<Scalar, output_width>{output_.data() + l.first_output * output_width, l.output_rows}, w,
          l.saved);
    if constexpr (sequences_per_output<Description>() == 0)
      observe(l.context, w, l.sequences,
              Rows<Scalar, output_width>{output_.data() + l.first_output * output_width, l.output_rows});
  }

  /// Lanes that meet sum some gradients over themselves on the way, all but `unsummed_`.
  [[nodiscard]] bool sums_on_the_way() const { return couples && Ctx::sums_gradients && cut_.lanes() > 1; }
  /// f(begin, count) for the parameters whose gradients lanes leave to be summed after the pass.
  template <class F>
  void for_each_left(const F& f) const {
    if (!sums_on_the_way()) return f(Index{0}, parameter_count);
    for (const auto& [begin, end] : unsummed_) f(begin, end - begin);
  }

  SMA_NOINLINE void zero_lane_gradients(Lane& l, Index lane) {
    Scalar* own = lane_gradients_.data() + lane * parameter_count;
    for_each_left([&](Index begin, Index count) {
      l.context.launch(kernels::Fill<Scalar>{own + begin, count, Scalar(0)});
    });
  }

  SMA_NOINLINE void run_backward(Lane& l, Index lane, Rows<const Scalar, output_width> dy,
                                 Scalar* input_gradient) {
    auto scope = scope_of<Description>(l.context);
    auto w = all_weights();
    w.metric_data = lane_metrics_.data() + l.context.lane * extent_of<Description>.metrics;
    const Gradients<Description, Scalar> g{lane_gradients_.data() + lane * parameter_count};
    if constexpr (!Fits::value) {
      return;
    } else if constexpr (takes_tokens<Description>()) {
      Description::backward(l.context, l.sequences, dy, Rows<Token, 1>{}, w, g, l.saved);
    } else {
      const Rows<Scalar, input_width> dx =
          input_gradient == nullptr
              ? Rows<Scalar, input_width>{}
              : Rows<Scalar, input_width>{input_gradient + l.first_row * input_width, l.sequences.rows};
      Description::backward(l.context, l.sequences, dy, dx, w, g, l.saved);
    }
  }

  /// Sums what the lanes left, in lane order.
  SMA_NOINLINE void finish_lanes(bool gradients) {
    constexpr Index metrics = extent_of<Description>.metrics;
    if (metrics > 0) {
      host_metrics_.resize(static_cast<std::size_t>(cut_.lanes() * metrics));
      lane_metrics_.download(host_metrics_.data(), cut_.lanes() * metrics);
      std::fill(metrics_.begin(), metrics_.end(), 0.0);
      for (Index lane = 0; lane < cut_.lanes(); ++lane)
        for (Index i = 0; i < metrics; ++i)
          metrics_[static_cast<std::size_t>(i)] +=
              host_metrics_[static_cast<std::size_t>(lane * metrics + i)];
    }
    if (!gradients) return;
    for_each_left([&](Index begin, Index count) {
      for_each_index(count, detail::SumLanes<Scalar>{lane_gradients_.data() + begin, cut_.lanes(),
                                                     parameter_count, count, gradients_.data() + begin});
    });
  }

  [[nodiscard]] const Scalar* output_host() const {
    if constexpr (B::host_accessible)
      return output_.data();
    else
      return host_output_.data();
  }

  NetworkOptions options_;
  StepSettings settings_;
  typename B::Team team_;
  detail::DeviceBuffer<B, Scalar> weights_;         // (parameters)
  detail::DeviceBuffer<B, Scalar> gradients_;       // (parameters)
  detail::DeviceBuffer<B, Scalar> buffers_;         // (buffers)
  detail::DeviceBuffer<B, Scalar> lane_gradients_;  // (lanes, parameters)
  std::vector<detail::ParameterRange> unsummed_;
  std::vector<double> metrics_;                   // (metrics)
  detail::DeviceBuffer<B, double> lane_metrics_;  // (lanes, metrics)
  std::vector<double> host_metrics_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<Arena<B>> scratch_;  // (places), of lanes that run one after the other
  detail::LaneCut cut_;
  std::vector<LossSum> loss_sums_;  // (lanes)
  Index rows_ = 0;
  Index output_rows_ = 0;
  bool kept_ = false;  // the last pass was a forward pass in training mode
  Sequences host_;
  Sequences device_;
  const Element* input_ = nullptr;
  detail::DeviceBuffer<B, Scalar> output_;           // (output rows, output_width)
  detail::DeviceBuffer<B, Scalar> output_gradient_;  // (output rows, output_width)
  detail::DeviceBuffer<B, Scalar> input_gradient_;   // (rows, input_width)
  detail::DeviceBuffer<B, Scalar> trace_;            // (rows, trace_width)
  detail::DeviceBuffer<B, Element> device_input_;
  detail::DeviceBuffer<B, Position> device_positions_;
  detail::DeviceBuffer<B, std::int32_t> device_ids_;
  std::vector<Scalar> host_output_;
  std::vector<Scalar> host_input_gradient_;
  Batch<Element, input_width> temporary_;
  std::atomic<bool> finite_{true};  // input and output of the last pass in inference
};

}  // namespace sma
