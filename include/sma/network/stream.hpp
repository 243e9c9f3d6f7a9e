#pragma once

#include <algorithm>
#include <memory>
#include <sma/base/error.hpp>
#include <sma/device/context.hpp>
#include <sma/device/finite.hpp>
#include <sma/module/module.hpp>
#include <sma/network/checks.hpp>
#include <string>
#include <type_traits>

namespace sma {

template <class Declared, Backend B>
class Network;

namespace detail {

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

/// Says why a description does not stream.
template <class Description>
void refuse_stream() {
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

}  // namespace detail

/// The state of one stream and the memory of its steps: constant size, copyable, resettable. Made by `net.stream()`. Streams of one
/// network may run on different threads at the same time, each on one of them.
/// `fits` is false for a description that has been refused.
template <class Description, Backend B, bool fits>
class NetworkStream {
  using Scalar = typename B::Scalar;
  using Element = input_element<Description, Scalar>;
  static constexpr Index input_width = Description::input_width;
  static constexpr Index output_width = Description::output_width;

 public:
  NetworkStream() : state_(std::make_unique<State>()) {}
  NetworkStream(const NetworkStream& o) : state_(std::make_unique<State>(*o.state_)) {}
  NetworkStream& operator=(const NetworkStream& o) {
    static_cast<Data&>(*state_) = *o.state_;
    return *this;
  }
  NetworkStream(NetworkStream&&) noexcept = default;
  NetworkStream& operator=(NetworkStream&&) noexcept = default;
  ~NetworkStream() = default;

  /// Back to the start of a sequence, whose first step is time `start`.
  void reset(Position start = 0) {
    // In place: a large window's state does not fit on the stack.
    Data* data = state_.get();
    std::destroy_at(data);
    std::construct_at(data);
    state_->time = start;
  }
  /// The time of the next step: steps taken, where the stream began at 0.
  [[nodiscard]] Position time() const { return state_->time; }

 private:
  template <class Declared, Backend Any>
  friend class Network;

  struct Data {
    stream_of<Description, Scalar> modules{};
    Position time = 0;
    std::int32_t offsets[2] = {0, 1};
    std::int32_t id = 0;
    const void* network = nullptr;  // whose steps these are
    std::string lost;               // what was not finite; empty: all was
  };
  struct State : Data {
    std::conditional_t<couples_batch<Description>(), CoupledContext<B>, Context<B>> context;
    State() = default;
    State(const State& o) : Data(o) {}
    State& operator=(const State&) = delete;
  };

  /// One step of `network`, whose settings and weights these are. A function of its own: callers of what throws are compiled for size.
  SMA_NOINLINE void step(const void* network, const StepSettings& settings,
                         const Weights<Description, Scalar>& w, const Element* x, Scalar* y) {
    State& state = *state_;
    check(state, network, x);
    state.network = network;
    state.context.settings = settings;
    state.context.settings.mode = Mode::inference;
    if constexpr (!is_streamable<Description>())
      detail::refuse_stream<Description>();
    else if constexpr (fits)
      step_in_arithmetic(state, w, x, y);
    if (!detail::all_finite(y, output_width)) [[unlikely]]
      lose(state, w, x, y);
    ++state.time;
  }

  static void step_in_arithmetic(State& state, const Weights<Description, Scalar>& w, const Element* x,
                                 Scalar* y) {
    [[maybe_unused]] const typename detail::ArithmeticOf<B>::type arithmetic;
    run_step(state, w, x, y);
  }
  /// A function of its own: what it computes must not move to where another arithmetic holds. Modules' steps become part of it, so that
  /// their weights' places are constants; kernels do not.
  SMA_NOINLINE [[gnu::flatten]] static void run_step(State& state, const Weights<Description, Scalar>& w,
                                                     const Element* x, Scalar* y) {
    state.context.reset();
    const Sequences s{1, 1, state.offsets, &state.time, &state.id};
    sma::step<Description>(state.context, s, Rows<const Element, input_width>{x, 1},
                           Rows<Scalar, output_width>{y, 1}, w, state.modules);
  }

  static void check(const State& state, const void* network, [[maybe_unused]] const Element* x) {
    if (!state.lost.empty()) throw NotFinite(state.lost);
    if (state.network != nullptr && state.network != network)
      throw Error(
          "sma::Network::step: found a stream of another network, expected one of this network's, or one "
          "that was reset");
    if constexpr (!takes_tokens<Description>())
      if (!detail::all_finite(x, input_width)) refuse_row(state, x);
  }
  [[noreturn, gnu::cold]] static void refuse_row(const State& state, const Scalar* x) {
    Index column = 0;
    while (detail::all_finite(x + column, 1)) ++column;
    throw NotFinite("sma::Network::step: step " + std::to_string(state.time) + ": found " +
                    detail::text_of_not_finite(static_cast<double>(x[column])) + " in column " +
                    std::to_string(column) +
                    " of the input, expected finite numbers; the stream is as it was");
  }
  /// The modules before the first that failed have finite states: the same step again finds it.
  [[noreturn, gnu::cold]] static void lose(State& state, const Weights<Description, Scalar>& w,
                                           const Element* x, Scalar* y) {
    Watch watch;
    state.context.watch = &watch;
    if constexpr (is_streamable<Description>() && fits) step_in_arithmetic(state, w, x, y);
    state.context.watch = nullptr;
    state.lost =
        "sma::Network::step: step " + std::to_string(state.time) + ": " +
        detail::text_of_instance(detail::module_table<Description>, std::max<Index>(watch.instance, 0)) +
        ": found " + detail::text_of_not_finite(watch.value) +
        ", expected finite numbers; the stream is lost until it is reset";
    throw NotFinite(state.lost);
  }

  std::unique_ptr<State> state_;
};

}  // namespace sma
