#pragma once

#include <sma/sma.hpp>
#include <sma/thrust.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#if defined(__CUDACC__)
#include <cuda_runtime_api.h>
#endif

/// Times operations and networks on Thrust's system SMA_BENCH_THRUST_SYSTEM, data in its memory: on cuda the speed of the GPU. The
/// other systems prove the program where there is no GPU; their numbers mean nothing.
///
/// Every measurement is a line of JSON on standard output as soon as it is taken:
///     {"case": "ema/forward", "seconds": [median, least, most], "bytes": 671088640}
/// with what `seconds` is to be divided by: bytes that must be read or written once, flops, or rows.
namespace bench {

using sma::Index;
using Backend = sma::Thrust<sma::SMA_BENCH_THRUST_SYSTEM, float>;

/// What the command line asks for.
struct Options {
  std::string name;    // of the measurement
  bool train = false;  // networks: with backward (a model: and AdamW); otherwise forward
  Index batch = 8;     // networks: sequences
  double seconds = 1;  // of each measurement
  bool small = false;  // sizes that a processor can do
  std::string
      weights;  // networks: where to write the initial weights, under the reference's names; nothing is measured then
  std::uint64_t seed = 2;  // of the weights: its routers activate about half of the steps
};

/// Operations; false: no such name.
bool operation(const Options& o);
/// Layers and models of the paper's ListOps and Image; false: no such name.
bool listops(const Options& o);
bool image(const Options& o);

/// Memory and queue of all that is no network's.
inline Backend& device() {
  static Backend backend;
  return backend;
}

/// Waits for the device; throws `sma::Error` for what failed on it.
inline void synchronize() {
#if defined(__CUDACC__)
  const cudaError_t status = cudaDeviceSynchronize();
  if (status != cudaSuccess)
    throw sma::Error(std::string("bench_gpu: found '") + cudaGetErrorString(status) +
                     "', expected kernels without errors");
#endif
}

/// Seconds of one call.
struct Seconds {
  double median = 0, least = 0, most = 0;
};

/// Of calls without a wait between them, in windows of a fifth of `seconds` each; one call that takes longer is a window of its own.
template <class F>
Seconds timed(double seconds, const F& f) {
  const auto window = [&f](Index calls) {
    const auto start = std::chrono::steady_clock::now();
    for (Index i = 0; i < calls; ++i) f();
    synchronize();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    return taken.count() / static_cast<double>(calls);
  };
  double once = window(1);
  if (once < seconds) {  // the first calls allocate
    window(1);
    once = window(1);
  }
  const auto calls = static_cast<Index>(seconds / 5 / std::max(once, 1e-6)) + 1;
  std::vector<double> windows(once < seconds ? 5 : 1);
  for (double& taken : windows) taken = window(calls);
  std::sort(windows.begin(), windows.end());
  return {windows[windows.size() / 2], windows.front(), windows.back()};
}

/// One line of JSON; `more` is further members, each with a comma before it.
inline void report(const std::string& name, const Seconds& s, const char* unit, double per_call,
                   const std::string& more = {}) {
  std::printf("{\"case\": \"%s\", \"seconds\": [%.9g, %.9g, %.9g], \"%s\": %.17g%s}\n", name.c_str(),
              s.median, s.least, s.most, unit, per_call, more.c_str());
  std::fflush(stdout);
}

inline std::string json_list(const std::vector<double>& values) {
  std::string text = "[";
  for (const double value : values) text += (text.size() > 1 ? ", " : "") + std::to_string(value);
  return text + "]";
}

/// Normal numbers.
inline std::vector<float> random_values(Index count, std::uint64_t seed) {
  std::vector<float> values(static_cast<std::size_t>(count));
  sma::RandomSequence random(seed, 1);
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

/// The same in the device's memory. Large arrays repeat a stretch of numbers.
struct DeviceValues {
  sma::detail::DeviceBuffer<Backend, float> buffer;
  DeviceValues(Index count, std::uint64_t seed)
      : buffer(sma::detail::DeviceBuffer<Backend, float>::unset(device(), count)) {
    const auto values = random_values(std::min<Index>(count, 1 << 20), seed);
    const auto stretch = static_cast<Index>(values.size());
    for (Index at = 0; at < count; at += stretch)
      device().upload(buffer.data() + at, values.data(),
                      static_cast<std::size_t>(std::min(stretch, count - at)) * sizeof(float));
  }
  [[nodiscard]] float* data() const { return buffer.data(); }
};

/// Sequences of equal length, in the device's memory.
class EqualSequences {
 public:
  EqualSequences(Index count, Index length)
      : offsets_(device(), count + 1), positions_(device(), count * length), ids_(device(), count * length) {
    sma::Batch<float, 1> batch;
    batch.resize(std::vector<Index>(static_cast<std::size_t>(count), length));
    const auto host = batch.sequences();
    offsets_.upload(host.offsets, count + 1);
    positions_.upload(host.positions, host.rows);
    ids_.upload(host.ids, host.rows);
    sequences_ = {host.rows, count, offsets_.data(), positions_.data(), ids_.data()};
  }
  [[nodiscard]] const sma::Sequences& view() const { return sequences_; }

 private:
  sma::detail::DeviceBuffer<Backend, std::int32_t> offsets_;
  sma::detail::DeviceBuffer<Backend, sma::Position> positions_;
  sma::detail::DeviceBuffer<Backend, std::int32_t> ids_;
  sma::Sequences sequences_;
};

/// A module on its own, with the weights of a network of that seed: input, output and gradients stay in the device's memory.
template <class Declared>
class Alone {
 public:
  using M = sma::canonical<Declared>;

  Alone(std::uint64_t seed, Index sequences, Index length, bool training)
      : sequences_(sequences, length),
        x_(rows() * M::input_width, 3),
        dy_(training ? rows() * M::output_width : 1, 4),
        y_(Buffer::unset(device(), rows() * M::output_width)),
        dx_(Buffer::unset(device(), training ? rows() * M::input_width : 1)) {
    std::vector<float> weights(static_cast<std::size_t>(sma::parameter_count<M>));
    std::vector<float> buffers(static_cast<std::size_t>(sma::extent_of<M>.buffers));
    sma::initialize<M>(weights.data(), buffers.data(), seed);
    parameters_.upload(weights.data(), sma::parameter_count<M>);
    buffers_.upload(buffers.data(), sma::extent_of<M>.buffers);
    context_.settings.mode = training ? sma::Mode::training : sma::Mode::inference;
    context_.settings.seed = seed;
    context_.place.meets = training;
    context_.settings.batch_sequences = sequences;
  }
  [[nodiscard]] Index rows() const { return sequences_.view().rows; }

  void forward() {
    context_.reset();
    auto scope = sma::scope_of<M>(context_);
    sma::forward<M>(context_, sequences_.view(), input(),
                    sma::Rows<float, M::output_width>{y_.data(), rows()}, weights(), saved_);
  }
  void both() {
    forward();
    auto scope = sma::scope_of<M>(context_);
    sma::backward<M>(context_, sequences_.view(), input(),
                     sma::Rows<const float, M::output_width>{dy_.data(), rows()},
                     sma::Rows<float, M::input_width>{dx_.data(), rows()}, weights(),
                     sma::Gradients<M, float>{gradients_.data()}, saved_);
  }

 private:
  using Buffer = sma::detail::DeviceBuffer<Backend, float>;
  [[nodiscard]] sma::Rows<const float, M::input_width> input() const { return {x_.data(), rows()}; }
  [[nodiscard]] sma::Weights<M, float> weights() const {
    return {parameters_.data(), buffers_.data(), metrics_.data(), 0, 0};
  }

  EqualSequences sequences_;
  Buffer parameters_{device(), sma::parameter_count<M>};
  Buffer buffers_{device(), sma::extent_of<M>.buffers};
  Buffer gradients_{device(), sma::parameter_count<M>};
  sma::detail::DeviceBuffer<Backend, double> metrics_{device(), sma::extent_of<M>.metrics};
  DeviceValues x_, dy_;
  Buffer y_, dx_;
  sma::saved_of<M, float> saved_;
  typename sma::Network<Declared, Backend>::Ctx context_{device()};
};

}  // namespace bench
