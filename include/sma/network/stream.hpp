#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <sma/base/error.hpp>
#include <sma/device/context.hpp>
#include <sma/device/finite.hpp>
#include <sma/module/module.hpp>
#include <sma/network/checks.hpp>
#include <span>
#include <string>
#include <tuple>
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

/// Whether steps before time `now` may have left a state: as a module's `Stream` says of itself, and all that it is made of.
template <class Stream>
bool is_sound(const Stream& stream, Position now) {
  if constexpr (requires { stream.is_sound(now); })
    return stream.is_sound(now);
  else if constexpr (requires { std::tuple_size<decltype(Stream::parts)>::value; })
    return std::apply([now](const auto&... part) { return (is_sound(part, now) && ...); }, stream.parts);
  else if constexpr (requires { stream.inner; })
    return is_sound(stream.inner, now);
  else if constexpr (requires { stream.body; })
    return is_sound(stream.body, now);
  else
    return true;
}

}  // namespace detail

/// The state of one stream and the memory of its steps: constant size, copyable, resettable, and saved as bytes. Made by `net.stream()`. Streams of one
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

  /// Bytes of a saved stream. They mean something to networks of this type on machines like this one (`sma::save_stream` writes a
  /// file that says whose they are).
  static constexpr std::size_t state_bytes = sizeof(stream_of<Description, Scalar>) + sizeof(Position);

  /// Writes the stream's state, with which another of a network with the same weights goes on.
  void save(std::span<std::byte, state_bytes> to) const {
    if (!state_->lost.empty()) throw NotFinite(state_->lost);
    std::memcpy(to.data(), &state_->time, sizeof(Position));
    std::memcpy(to.data() + sizeof(Position), &state_->modules, sizeof(state_->modules));
  }
  /// Goes on from what `save` wrote. Throws `Error`, and is reset, where no steps leave such a state: where modules would reach outside
  /// of their memory. Other changes in the bytes are not seen.
  void restore(std::span<const std::byte, state_bytes> from) {
    reset();
    std::memcpy(&state_->time, from.data(), sizeof(Position));
    std::memcpy(static_cast<void*>(&state_->modules), from.data() + sizeof(Position),
                sizeof(state_->modules));
    const Position time = state_->time;
    if (std::clamp(time, -latest_position, latest_position) == time &&
        detail::is_sound(state_->modules, time))
      return;
    reset();
    throw Error("found a stream's state at time " + std::to_string(time) +
                " that no steps leave, expected what a stream has saved");
  }

 private:
  // Copied alone: tuples of plain data are not assigned as bytes.
  static_assert(std::is_trivially_copy_constructible_v<stream_of<Description, Scalar>> &&
                    std::is_trivially_destructible_v<stream_of<Description, Scalar>>,
                "sma::Network::stream requires every module's Stream<S> to be plain data");

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
  using ContextOfMany = std::conditional_t<couples_batch<Description>(), CoupledContext<B>, Context<B>>;
  struct State : Data {
    StepContext<ContextOfMany> context;
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
      lose(state, 1, [&] {
        if constexpr (is_streamable<Description>() && fits) step_in_arithmetic(state, w, x, y);
      });
    ++state.time;
  }

  /// Rows of a block: what keeps `steps` in constant memory.
  static constexpr Index kBlock = 256;

  /// The next `rows` steps, in blocks. y: rows of all, if `all`, or of the last one, or null.
  void steps(const void* network, const StepSettings& settings, const Weights<Description, Scalar>& w,
             const Element* x, Index rows, Scalar* y, bool all) {
    State& state = *state_;
    check(state, network, x, rows);
    state.network = network;
    state.context.settings = settings;
    state.context.settings.mode = Mode::inference;
    if constexpr (!is_streamable<Description>()) {
      detail::refuse_stream<Description>();
    } else if constexpr (fits) {
      for (Index first = 0; first < rows; first += kBlock) {
        const Index count = std::min(kBlock, rows - first);
        const auto block = [&] {
          return steps_in_arithmetic(state, w, x + first * input_width, count,
                                     all ? y + first * output_width : nullptr,
                                     first + count == rows ? y : nullptr);
        };
        if (!block()) [[unlikely]]
          lose(state, count, block);
        state.time += count;
      }
    }
  }

  static void step_in_arithmetic(State& state, const Weights<Description, Scalar>& w, const Element* x,
                                 Scalar* y) {
    [[maybe_unused]] const typename detail::ArithmeticOf<B>::type arithmetic;
    run_step(state, w, x, y);
  }
  static bool steps_in_arithmetic(State& state, const Weights<Description, Scalar>& w, const Element* x,
                                  Index rows, Scalar* y, Scalar* last) {
    [[maybe_unused]] const typename detail::ArithmeticOf<B>::type arithmetic;
    return run_steps(state, w, x, rows, y, last);
  }
  /// A block of steps, whose outputs go to y, or else the last of them to `last`, unless they are null. False: not all are finite.
  SMA_NOINLINE static bool run_steps(State& state, const Weights<Description, Scalar>& w, const Element* x,
                                     Index rows, Scalar* y, Scalar* last) {
    ContextOfMany& ctx = state.context;
    ctx.reset();
    auto* positions = ctx.template scratch<Position>(rows);
    auto* ids = ctx.template scratch<std::int32_t>(rows);
    for (Index i = 0; i < rows; ++i) {
      positions[i] = state.time + i;
      ids[i] = static_cast<std::int32_t>(i);
    }
    const std::int32_t offsets[2] = {0, static_cast<std::int32_t>(rows)};
    Scalar* out = y != nullptr ? y : ctx.template scratch<Scalar>(rows * output_width);
    sma::steps<Description>(ctx, {rows, 1, offsets, positions, ids},
                            Rows<const Element, input_width>{x, rows}, Rows<Scalar, output_width>{out, rows},
                            w, state.modules);
    if (y == nullptr && last != nullptr) std::copy_n(out + (rows - 1) * output_width, output_width, last);
    return detail::all_finite(out, rows * output_width);
  }

  /// A function of its own: what it computes must not move to where another arithmetic holds. Modules' steps become part of it, so that
  /// their weights' places are constants, and their kernels with them (StepContext).
  SMA_NOINLINE [[gnu::flatten]] static void run_step(State& state, const Weights<Description, Scalar>& w,
                                                     const Element* x, Scalar* y) {
    state.context.reset();
    const Sequences s{1, 1, state.offsets, &state.time, &state.id};
    sma::step<Description>(state.context, s, Rows<const Element, input_width>{x, 1},
                           Rows<Scalar, output_width>{y, 1}, w, state.modules);
  }

  static void check(const State& state, const void* network, [[maybe_unused]] const Element* x,
                    Index rows = 1) {
    if (!state.lost.empty()) throw NotFinite(state.lost);
    if (state.network != nullptr && state.network != network)
      throw Error(
          "sma::Network::step: found a stream of another network, expected one of this network's, or one "
          "that was reset");
    if constexpr (!takes_tokens<Description>())
      if (!detail::all_finite(x, rows * input_width)) refuse_row(state, x);
  }
  [[noreturn, gnu::cold]] static void refuse_row(const State& state, const Scalar* x) {
    Index at = 0;
    while (detail::all_finite(x + at, 1)) ++at;
    throw NotFinite("sma::Network::step: step " + std::to_string(state.time + at / input_width) + ": found " +
                    detail::text_of_not_finite(static_cast<double>(x[at])) + " in column " +
                    std::to_string(at % input_width) +
                    " of the input, expected finite numbers; the stream is as it was");
  }
  /// The modules before the first that failed have finite states: the same steps again find it.
  template <class Steps>
  [[noreturn, gnu::cold]] static void lose(State& state, Index rows, const Steps& again) {
    Watch watch;
    state.context.watch = &watch;
    again();
    state.context.watch = nullptr;
    const Index row = std::clamp<Index>(watch.row, 0, rows - 1);
    state.lost =
        "sma::Network::step: step " + std::to_string(state.time + row) + ": " +
        detail::text_of_instance(detail::module_table<Description>, std::max<Index>(watch.instance, 0)) +
        ": found " + detail::text_of_not_finite(watch.value) +
        ", expected finite numbers; the stream is lost until it is reset";
    throw NotFinite(state.lost);
  }

  std::unique_ptr<State> state_;
};

}  // namespace sma
