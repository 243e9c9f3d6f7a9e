#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <sma/base/config.hpp>
#include <sma/base/error.hpp>
#include <sma/base/text.hpp>
#include <sma/io/safetensors.hpp>
#include <sma/network/network.hpp>
#include <span>
#include <string>
#include <vector>

namespace sma {

/// Where training stands: everything beyond weights and moments that a resumed run needs to go on bit for bit.
struct TrainingState {
  std::int64_t step = 0;         // optimizer updates done
  std::int64_t epoch = 0;        // data position
  std::int64_t index = 0;        // examples of this epoch already used
  std::int64_t seed = 0;         // of the data order and the random masks
  double best = -1.0;            // best validation so far: accuracy, or exp(-loss)
  double elapsed_seconds = 0.0;  // of runs that are limited by time; 0 otherwise
  /// What else the run keeps, in the file's metadata: its recipe. Empty in files from before there was one.
  std::map<std::string, std::string> notes{};
};

namespace detail {

/// Extents of 1 at a shape's end say nothing about where its elements lie.
inline bool same_but_for_ones_at_the_end(std::vector<std::int64_t> a, std::vector<std::int64_t> b) {
  for (auto* shape : {&a, &b})
    while (!shape->empty() && shape->back() == 1) shape->pop_back();
  return a == b;
}

}  // namespace detail

/// Reads a tensor's elements into `to`, which has room for the product of `shape`, as `SafetensorsFile::read_into` does, but a
/// file's (W) stands for (W, 1) and the other way round: one number a row was once embedded by a weight of shape (W), and still is
/// in other implementations. Throws `Error` when the file's shape differs otherwise.
template <class S>
void read_tensor(const SafetensorsFile& file, const std::string& name, S* to,
                 const std::vector<std::int64_t>& shape) {
  const std::vector<std::int64_t>& found = file.info(name).shape;
  file.read_into(name, to, detail::same_but_for_ones_at_the_end(found, shape) ? found : shape);
}

/// Adds what a file of weights says of itself to its metadata: whose tensor names and layouts these are, as loaders of PyTorch's
/// world ask ("format": "pt"), and who wrote it ("writer": "seqboat").
inline void add_origin(SafetensorsWriter& file) {
  file.metadata("format", "pt");
  file.metadata("writer", "seqboat");
}

namespace detail {

inline constexpr const char* kFirstMoment = "optimizer.first_moment.";
inline constexpr const char* kSecondMoment = "optimizer.second_moment.";
inline constexpr const char* kTrainingCounters = "training.counters";  // step, epoch, index, seed
inline constexpr const char* kTrainingNumbers = "training.numbers";    // best, elapsed seconds

inline constexpr std::int64_t kMostSteps = std::int64_t{1} << 53;  // what a double counts to

inline std::vector<std::int64_t> shape_of(const TensorEntry& entry) {
  return {entry.shape.begin(), entry.shape.end()};
}

template <class S>
void add_entries(SafetensorsWriter& file, const std::string& prefix, const std::vector<TensorEntry>& entries,
                 const S* data) {
  for (const TensorEntry& entry : entries)
    file.add(prefix + entry.name, shape_of(entry), data + entry.offset);
}

template <class S>
void read_entries(const SafetensorsFile& file, const std::string& prefix,
                  const std::vector<TensorEntry>& entries, S* data) {
  for (const TensorEntry& entry : entries)
    read_tensor(file, prefix + entry.name, data + entry.offset, shape_of(entry));
}

/// The name of PyTorch's count of batches beside a running mean, which nothing here needs; the buffer's own name otherwise.
inline std::string batch_counter_beside(const std::string& buffer) {
  const std::size_t last = buffer.rfind('.') + 1;  // 0 where there is no '.'
  return buffer.substr(last) == "running_mean" ? buffer.substr(0, last) + "num_batches_tracked" : buffer;
}

/// Throws when the file holds a tensor that the model does not have: it is a checkpoint of another model. PyTorch's counters
/// beside the model's running statistics are no strangers.
[[gnu::cold]] inline void check_no_strangers(const SafetensorsFile& file,
                                             const std::vector<TensorEntry>& parameters,
                                             const std::vector<TensorEntry>& buffers) {
  std::set<std::string, std::less<>> known{kTrainingCounters, kTrainingNumbers};
  for (const TensorEntry& entry : parameters) {
    known.insert(entry.name);
    known.insert(kFirstMoment + entry.name);
    known.insert(kSecondMoment + entry.name);
  }
  for (const TensorEntry& entry : buffers) {
    known.insert(entry.name);
    known.insert(batch_counter_beside(entry.name));
  }
  for (const auto& name : file.names())
    if (!known.contains(std::string_view(name)))
      throw Error(one_line(file.path()) + ": found tensor " + quoted_name(name) +
                  ", expected only this model's tensors: a checkpoint of another model");
}

/// What a network has in host memory, and under which names.
template <class S>
struct HostTensors {
  std::vector<TensorEntry> parameter_entries;
  std::vector<TensorEntry> buffer_entries;
  std::vector<S> parameters;
  std::vector<S> buffers;
};
template <class S>
struct HostMoments {
  std::vector<S> first;
  std::vector<S> second;
};

template <class S>
void add_tensors(SafetensorsWriter& file, const HostTensors<S>& host) {
  add_entries(file, "", host.parameter_entries, host.parameters.data());
  add_entries(file, "", host.buffer_entries, host.buffers.data());
}

template <class S>
[[gnu::cold]] void write_weights(const std::string& path, const HostTensors<S>& host) {
  SafetensorsWriter file;
  add_tensors(file, host);
  add_origin(file);
  file.write(path);
}

template <class S>
[[gnu::cold]] void read_weights(const SafetensorsFile& file, HostTensors<S>& host) {
  read_entries(file, "", host.parameter_entries, host.parameters.data());
  read_entries(file, "", host.buffer_entries, host.buffers.data());
  check_no_strangers(file, host.parameter_entries, host.buffer_entries);
}

template <class S>
[[gnu::cold]] void write_checkpoint(const std::string& path, const HostTensors<S>& host,
                                    const HostMoments<S>& moments, const TrainingState& state) {
  const std::int64_t counters[] = {state.step, state.epoch, state.index, state.seed};
  const double numbers[] = {state.best, state.elapsed_seconds};
  SafetensorsWriter file;
  add_tensors(file, host);
  add_entries(file, kFirstMoment, host.parameter_entries, moments.first.data());
  add_entries(file, kSecondMoment, host.parameter_entries, moments.second.data());
  file.add(kTrainingCounters, {4}, counters);
  file.add(kTrainingNumbers, {2}, numbers);
  for (const auto& [key, value] : state.notes) file.metadata(key, value);
  add_origin(file);
  file.write(path);
}

template <class S>
[[gnu::cold]] TrainingState read_checkpoint(const SafetensorsFile& file, HostTensors<S>& host,
                                            HostMoments<S>& moments) {
  std::int64_t counters[4];
  double numbers[2];
  read_entries(file, kFirstMoment, host.parameter_entries, moments.first.data());
  read_entries(file, kSecondMoment, host.parameter_entries, moments.second.data());
  file.read_into(kTrainingCounters, counters, {4});
  constexpr std::array<const char*, 3> counted{"step", "epoch", "index"};
  for (std::size_t i = 0; i < counted.size(); ++i)
    if (counters[i] < 0 || counters[i] > kMostSteps)
      throw Error(one_line(file.path()) + ": tensor '" + kTrainingCounters + "': found " + counted[i] + " " +
                  std::to_string(counters[i]) + ", expected 0 to 2^53");
  file.read_into(kTrainingNumbers, numbers, {2});
  read_weights(file, host);
  TrainingState state{counters[0], counters[1], counters[2], counters[3], numbers[0], numbers[1]};
  state.notes = file.metadata();
  for (const char* own : {"format", "writer"}) state.notes.erase(own);
  return state;
}

template <class Net>
[[gnu::cold]] HostTensors<typename Net::Compute> host_tensors(Net& net) {
  using Description = typename Net::description;
  return {parameter_entries<Description>(), buffer_entries<Description>(), host_copy(net, net.parameters()),
          host_copy(net, net.buffers())};
}

}  // namespace detail

/// Writes weights and running statistics as a safetensors file, aside and renamed. Names are the parameter paths; linear maps,
/// norms and embeddings have PyTorch's names and shapes.
template <class Net>
void save_weights(Net& net, const std::string& path) {
  detail::write_weights(path, detail::host_tensors(net));
}

/// Reads what `save_weights` or `save_checkpoint` wrote, or a state_dict of the same names. Shapes may differ by extents of 1
/// at the end; `num_batches_tracked` beside batch norm's statistics is left alone. Throws `Error` that names the file, the
/// tensor, what was found and what was expected; the network is then unchanged.
template <class Net>
void load_weights(Net& net, const std::string& path) {
  const auto file = SafetensorsFile::open(path);
  auto host = detail::host_tensors(net);
  detail::read_weights(file, host);
  net.set_parameters(host.parameters);
  net.set_buffers(host.buffers);
}

/// Writes everything a run needs to go on: weights, running statistics, both moments, counters. The bytes depend on the
/// training state alone.
template <class Net, class Optimizer>
void save_checkpoint(Net& net, Optimizer& optimizer, const TrainingState& state, const std::string& path) {
  const detail::HostMoments<typename Net::Compute> moments{host_copy(net, optimizer.first_moment()),
                                                           host_copy(net, optimizer.second_moment())};
  detail::write_checkpoint(path, detail::host_tensors(net), moments, state);
}

namespace detail {

/// Reads a checkpoint; `check` sees where it stands before anything is changed, and may throw.
template <class Net, class Optimizer>
TrainingState load_checkpoint(Net& net, Optimizer& optimizer, const std::string& path,
                              const std::function<void(const TrainingState&)>& check) {
  using S = typename Net::Compute;
  const auto file = SafetensorsFile::open(path);
  auto host = host_tensors(net);
  const auto count = static_cast<std::size_t>(Net::parameter_count);
  HostMoments<S> moments{std::vector<S>(count), std::vector<S>(count)};
  TrainingState state = read_checkpoint(file, host, moments);
  check(state);
  net.set_parameters(host.parameters);
  net.set_buffers(host.buffers);
  net.backend().upload(optimizer.first_moment().data(), moments.first.data(), count * sizeof(S));
  net.backend().upload(optimizer.second_moment().data(), moments.second.data(), count * sizeof(S));
  optimizer.set_steps(state.step);
  return state;
}

}  // namespace detail

/// Reads what `save_checkpoint` wrote. Throws `Error` as `load_weights` does; nothing is changed then.
template <class Net, class Optimizer>
TrainingState load_checkpoint(Net& net, Optimizer& optimizer, const std::string& path) {
  return detail::load_checkpoint(net, optimizer, path, [](const TrainingState&) {});
}

}  // namespace sma
