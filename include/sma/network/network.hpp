#pragma once

#include <algorithm>
#include <memory>
#include <sma/device/buffer.hpp>
#include <sma/device/context.hpp>
#include <sma/module/module.hpp>
#include <sma/module/names.hpp>
#include <sma/network/checks.hpp>
#include <sma/network/options.hpp>
#include <sma/network/parameter_store.hpp>
#include <sma/network/pass.hpp>
#include <sma/network/stream.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace sma {

/// Where a description meets a backend and a scalar type and gets data.
///
///     sma::Network<sma::Repeat<6, Layer>, sma::Eigen<float>> net{sma::Seed{1}};
///     auto y = net.infer(batch);       // whole packed batch
///     auto z = net.train(batch);       // the same in training: what backward needs is kept
///     net.backward(dz);                // parameter gradients accumulate in net.gradients()
///
/// The batch is cut into lanes of whole sequences, contiguous and of about equal cost; each lane runs alone in memory of its
/// own and meets the others only where a module couples the batch. After warm-up nothing is allocated.
/// A network can be moved, with its streams and what its last pass gave; what holds a reference to it (optimizers, trainers) goes on
/// holding the old place.
/// Throws `Error` for a token outside its vocabulary and for shapes that do not fit. `infer` throws `NotFinite` for NaN and infinity in
/// the input or in what a module makes of it, and names the first module and row; in training these go through to the loss.
template <class Declared, Backend B>
class Network {
  /// False: what is wrong has been said, once, and nothing of the description is instantiated.
  using Fits = std::bool_constant<detail::check_network<Declared, Context<B>>()>;
  using Description = std::conditional_t<Module<Declared>, canonical<Declared>, detail::NoModule>;
  using Store = detail::ParameterStore<Description, B>;
  using Pass = detail::Pass<Description, B, Fits::value>;
  using Lane = typename Pass::Lane;
  static constexpr bool couples = Pass::couples;

 public:
  using Scalar = typename B::Scalar;   // of rows
  using Compute = compute_of<Scalar>;  // of parameters, gradients, traces
  using BackendType = B;
  using description = Description;
  using Element = input_element<Description, Scalar>;
  using Ctx = typename Pass::Ctx;
  using Stream = NetworkStream<Description, B, Fits::value>;
  static constexpr Index input_width = Description::input_width;
  static constexpr Index output_width = Description::output_width;
  static constexpr Index parameter_count = sma::parameter_count<Description>;
  static constexpr Index trace_width = extent_of<Description>.trace;
  /// Sequences that must stay together in one lane.
  static constexpr Index sequence_group = Pass::sequence_group;

  /// `backend`: where it runs, and in which queue.
  explicit Network(Seed seed, NetworkOptions options = {}, B backend = B())
      : backend_(std::make_unique<B>(std::move(backend))),
        store_(*backend_, seed),
        pass_(std::make_unique<Pass>(*backend_, options)),
        output_gradient_(*backend_),
        trace_(*backend_) {
    settings_.seed = seed.value;
  }
  Network(Network&&) noexcept = default;
  Network& operator=(Network&& other) noexcept {
    if (this != &other) {  // in this order, as memory goes back to the backend that gave it
      std::destroy_at(this);
      std::construct_at(this, std::move(other));
    }
    return *this;
  }
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  ~Network() = default;

  /// Memory and queue. `net.backend().wait()` returns when all that was asked of the network is done.
  [[nodiscard]] B& backend() { return *backend_; }

  // Parameters.

  /// All parameters, one contiguous buffer in the backend's memory; `parameter_entries<Description>()` says what is where.
  [[nodiscard]] std::span<Compute> parameters() { return {store_.weights(), kParameters}; }
  [[nodiscard]] std::span<const Compute> parameters() const { return {store_.weights(), kParameters}; }
  [[nodiscard]] std::span<Compute> gradients() { return {store_.gradients(), kParameters}; }
  [[nodiscard]] std::span<Compute> buffers() {
    return {store_.buffer_values(), static_cast<std::size_t>(Store::buffers)};
  }
  void set_parameters(std::span<const Compute> host) { store_.set_parameters(host); }
  void set_buffers(std::span<const Compute> host) { store_.set_buffers(host); }
  void zero_gradients() {
    for_each_index(parameter_count, ops::Fill<Compute>{store_.gradients(), parameter_count, Compute(0)});
  }

  /// f(0) .. f(count-1) in any order, cut among the network's threads; a kernel that has `part` is launched part by part.
  template <class F>
  void for_each_index(Index count, const F& f) {
    pass_->for_each_index(count, f);
  }

  // Settings.

  /// Seed, step number (random masks), progress (annealing), weights of auxiliary losses.
  [[nodiscard]] StepSettings& settings() { return settings_; }
  [[nodiscard]] const StepSettings& settings() const { return settings_; }

  // Whole sequences.

  /// The network's output for a packed batch. Where `trace` (rows, trace_width) is given it receives each router's weight of each branch
  /// at each row: 0 where skipped. Throws `NotFinite` for NaN and infinity in the input or in what a module makes of it.
  Output<Scalar, output_width> infer(const Batch<Element, input_width>& x, std::span<Compute> trace = {}) {
    settings_.mode = Mode::inference;
    const auto y = run_batch(x, trace);
    if (!pass_->finite) refuse_not_finite(x);
    return y;
  }

  /// The same as in training: dropout, noise, statistics of the batch. What `backward` needs is kept until the next call; x itself is not
  /// copied and must live, unchanged, until then. NaN and infinity go through.
  Output<Scalar, output_width> train(const Batch<Element, input_width>& x, std::span<Compute> trace = {}) {
    settings_.mode = Mode::training;
    return run_batch(x, trace);
  }
  /// The network keeps a temporary batch until the next one comes.
  Output<Scalar, output_width> train(Batch<Element, input_width>&& x, std::span<Compute> trace = {}) {
    temporary_ = std::move(x);
    return train(std::as_const(temporary_), trace);
  }
  Output<Scalar, output_width> train(const Batch<Element, input_width>&& x, std::span<Compute> trace = {}) {
    return train(Batch<Element, input_width>(x), trace);
  }

  /// Back-propagates d loss / d output (rows of the last forward's output, in host memory) and adds to `gradients()`; returns d loss /
  /// d input (no rows for token inputs). Requires `train` just before: backward uses up what that kept.
  Output<Scalar, input_width> backward(Rows<const Scalar, output_width> dy) {
    check_gradient(dy);
    output_gradient_.grow(pass_->output_rows() * output_width);
    if (dy.contiguous())
      output_gradient_.upload(dy.data, pass_->output_rows() * output_width);
    else
      upload_rows(dy);
    constexpr bool wants_dx = !takes_tokens<Description>();
    Scalar* dx = wants_dx ? pass_->input_gradient() : nullptr;
    pass_->run(couples, [&](Index lane, Index place) {
      Lane& l = pass_->lane(lane);
      pass_->take_turns(l, place);
      pass_->zero_gradients(l);
      pass_->backward(l, store_.all(),
                      {output_gradient_.data() + l.first_output * output_width, l.output_rows}, dx);
    });
    kept_ = false;
    pass_->finish(store_.gradients());
    if constexpr (!wants_dx)
      return {};
    else
      return pass_->input_gradient_output();
  }

  /// Forward in training, loss and backward of a packed batch in one go: a lane's memory is used again by the next lane of the same
  /// thread. Gradients add up. `loss(ctx, y, dy, targets, scale)` writes dy = scale * d loss / d y for its rows and
  /// returns their LossSum or PendingLossSum; `targets` holds one entry an output row. `loss.check(targets, output_width)`, where there is such a
  /// member, is called with all of them before anything runs.
  /// Auxiliary losses of routers, means over the batch's sequences, count as much as the loss does: times `scale` times the number of
  /// targets (of `loss.count(targets)`, where there is such a member). With scale = 1 / (targets of an update) micro-batches, and
  /// shards of a batch on other machines, add up to the gradient of the whole batch.
  /// Returns the sums over the batch, the loss times `scale`.
  template <class Loss, class Target>
  LossSum accumulate(const Batch<Element, input_width>& x, std::span<const Target> targets, Loss&& loss,
                     double scale) {
    settings_.mode = Mode::training;
    prepare(x);
    if (static_cast<Index>(targets.size()) != pass_->output_rows())
      throw Error("sma::Network::accumulate: found " + std::to_string(targets.size()) +
                  " targets, expected " + std::to_string(pass_->output_rows()));
    if constexpr (requires { loss.check(targets, output_width); }) loss.check(targets, output_width);
    StepSettings settings = settings_;
    settings.auxiliary_share = scale * static_cast<double>(counted(targets, loss));
    pass_->run(couples, [&](Index lane, Index place) {
      Lane& l = pass_->begin(lane, pass_->lane(couples ? lane : place), place, settings, store_.gradients());
      pass_->forward(l, store_.all());
      const Rows<const Scalar, output_width> y = pass_->output_of(l);
      const auto dy = l.context.template keep_rows<output_width>(l.output_rows);
      const auto sums = loss(
          l.context, y, dy,
          targets.subspan(static_cast<std::size_t>(l.first_output), static_cast<std::size_t>(l.output_rows)),
          static_cast<Compute>(scale));
      pass_->zero_gradients(l);
      pass_->backward(l, store_.all(), dy, nullptr);
      l.context.wait();  // with everything in the queue
      loss_sums_[static_cast<std::size_t>(lane)] = static_cast<LossSum>(sums);
    });
    pass_->finish(store_.gradients());
    if constexpr (!couples) pass_->level_workers();
    LossSum total;
    for (Index lane = 0; lane < pass_->lanes(); ++lane) {
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
                       metric_values()[static_cast<std::size_t>(entry.offset + i)]});
    return out;
  }
  [[nodiscard]] std::span<const double> metric_values() const { return pass_->metrics(); }

  /// Bytes of activations, saved state and workspace held for reuse.
  [[nodiscard]] std::size_t workspace_bytes() const { return pass_->workspace_bytes(); }

  // Streaming.

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
    stream.step(pass_.get(), settings_, store_.all(), x.data(), y.data());
  }

  /// The next time steps of one stream, one after another in x, in blocks, in which rows are multiplied together and which keep the
  /// memory constant: outputs and state to rounding those of as many calls of `step`. y: rows of all of them, or of the last one
  /// alone, or empty (a prompt is read). Throws as `step` does, and `Error` for sizes that are no whole rows.
  void steps(Stream& stream, std::span<const Element> x, std::span<Scalar> y) const
    requires(B::host_accessible)
  {
    const auto rows = static_cast<Index>(x.size()) / input_width;
    const auto outputs = static_cast<Index>(y.size());
    const bool all = outputs == rows * output_width;
    if (static_cast<Index>(x.size()) != rows * input_width ||
        (!all && outputs != 0 && (outputs != output_width || rows == 0)))
      throw Error("sma::Network::steps: found " + std::to_string(x.size()) + " numbers in and " +
                  std::to_string(y.size()) + " out, expected " + std::to_string(input_width) + " a row and " +
                  std::to_string(output_width) + " a row, for all rows, the last one or none");
    check_tokens(x.data(), rows);
    stream.steps(pass_.get(), settings_, store_.all(), x.data(), rows, y.empty() ? nullptr : y.data(),
                 all && !y.empty());
  }

 private:
  static constexpr auto kParameters = static_cast<std::size_t>(parameter_count);

  void prepare(const Batch<Element, input_width>& x) {
    kept_ = false;
    check_tokens(x.values().data(), static_cast<Index>(x.values().size()));
    pass_->prepare(x);
    settings_.batch_sequences = std::max<Index>(pass_->sequences(), 1);
    loss_sums_.resize(static_cast<std::size_t>(pass_->most_lanes()));
    pass_->clear_metrics();
  }

  [[nodiscard]] bool trains() const { return settings_.mode == Mode::training; }

  Output<Scalar, output_width> run_batch(const Batch<Element, input_width>& x, std::span<Compute> trace) {
    if (!trace.empty() && static_cast<Index>(trace.size()) != x.rows() * trace_width)
      throw Error("sma::Network: found a trace of " + std::to_string(trace.size()) + " numbers, expected " +
                  std::to_string(x.rows() * trace_width));
    prepare(x);
    if (!trace.empty()) {
      trace_.grow(x.rows() * trace_width);
      trace_.fill(Compute(0));
    }
    pass_->finite = true;
    pass_->run(couples && trains(), [&](Index lane, Index place) {
      Lane& l = pass_->begin(lane, pass_->lane(lane), place, settings_, store_.gradients());
      l.context.trace = trace.empty() ? nullptr : trace_.data();
      pass_->forward(l, store_.all());
      if (B::host_accessible && !trains() && !pass_->is_finite(l)) pass_->finite = false;
    });
    kept_ = trains();
    pass_->finish(nullptr);
    if constexpr (!B::host_accessible)
      if (!trains()) pass_->finite = all_finite_input(x) && pass_->is_finite_output();
    if (!trace.empty()) {
      trace_.download(trace.data(), x.rows() * trace_width);
      backend_->wait();
    }
    return pass_->output();
  }

  static bool all_finite_input([[maybe_unused]] const Batch<Element, input_width>& x) {
    if constexpr (takes_tokens<Description>())
      return true;
    else
      return detail::all_finite(x.values().data(), static_cast<Index>(x.values().size()));
  }

  /// Names what in a pass in inference was not finite: the input, or the first module, which another pass finds.
  [[noreturn, gnu::cold]] void refuse_not_finite(const Batch<Element, input_width>& x) {
    if constexpr (!takes_tokens<Description>())
      detail::refuse_input(x.sequences(), x.values().data(), input_width);
    std::vector<Watch> watches(static_cast<std::size_t>(pass_->most_lanes()));
    const auto look = [&](bool on) {
      for (Index lane = 0; lane < pass_->most_lanes(); ++lane)
        pass_->lane(lane).context.watch = on ? &watches[static_cast<std::size_t>(lane)] : nullptr;
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
  SMA_NOINLINE void upload_rows(Rows<const Scalar, output_width> dy) {
    std::vector<Scalar> packed;
    packed.reserve(static_cast<std::size_t>(dy.rows * output_width));
    for (Index i = 0; i < dy.rows; ++i) packed.insert(packed.end(), dy.row(i), dy.row(i) + output_width);
    output_gradient_.upload(packed.data(), dy.rows * output_width);
  }

  void check_gradient(Rows<const Scalar, output_width> dy) const {
    const Index expected = pass_->output_rows();
    if (!kept_) throw Error("sma::Network::backward: expected train just before, found none");
    if (dy.rows != expected)
      throw Error("sma::Network::backward: found " + std::to_string(dy.rows) + " rows, expected " +
                  std::to_string(expected));
    if (!dy && expected > 0)
      throw Error("sma::Network::backward: found null rows, expected " + std::to_string(expected) +
                  " rows of the loss's gradient");
  }

  void check_tokens([[maybe_unused]] const Element* x, [[maybe_unused]] Index count) const {
    if constexpr (takes_tokens<Description>())
      detail::check_tokens(x, count, detail::first_vocabulary<Description>());
  }

  StepSettings settings_;
  std::unique_ptr<B> backend_;
  Store store_;
  std::unique_ptr<Pass> pass_;
  std::vector<LossSum> loss_sums_;                   // (lanes)
  bool kept_ = false;                                // the last pass was `train`
  detail::DeviceBuffer<B, Scalar> output_gradient_;  // (output rows, output_width)
  detail::DeviceBuffer<B, Compute> trace_;           // (rows, trace_width)
  Batch<Element, input_width> temporary_;
};

/// A copy in host memory of a buffer of the network's or its optimizer's, such as `net.parameters()`, which may live in another
/// memory. PyTorch: `tensor.cpu()`.
template <class Net>
std::vector<typename Net::Compute> host_copy(Net& net, std::span<typename Net::Compute> device) {
  std::vector<typename Net::Compute> host(device.size());
  if (!host.empty()) net.backend().download(host.data(), device.data(), device.size_bytes());
  net.backend().wait();
  return host;
}

}  // namespace sma
