#pragma once

#include <set>
#include <sma/core/network.hpp>
#include <sma/train/safetensors.hpp>
#include <string>
#include <vector>

namespace sma {

/// Where training stands: everything beyond weights and moments that a resumed run needs to go on bit for bit.
struct TrainingState {
  std::int64_t step = 0;         // optimizer updates done
  std::int64_t epoch = 0;        // data position
  std::int64_t index = 0;        // examples of this epoch already used
  std::int64_t seed = 0;         // of the data order and the random masks
  double best = -1.0;            // best validation accuracy so far
  double elapsed_seconds = 0.0;  // of runs that are limited by time; 0 otherwise
};

namespace detail {

inline constexpr const char* kFirstMoment = "optimizer.first_moment.";
inline constexpr const char* kSecondMoment = "optimizer.second_moment.";
inline constexpr const char* kTrainingCounters = "training.counters";  // step, epoch, index, seed
inline constexpr const char* kTrainingNumbers = "training.numbers";    // best, elapsed seconds

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
    file.read_into(prefix + entry.name, data + entry.offset, shape_of(entry));
}

/// Throws when the file holds a tensor that the model does not have: it is a checkpoint of another model.
template <class Net>
void check_no_strangers(const SafetensorsFile& file) {
  std::set<std::string, std::less<>> known{kTrainingCounters, kTrainingNumbers};
  for (const TensorEntry& entry : parameter_entries<typename Net::description>()) {
    known.insert(entry.name);
    known.insert(kFirstMoment + entry.name);
    known.insert(kSecondMoment + entry.name);
  }
  for (const TensorEntry& entry : buffer_entries<typename Net::description>()) known.insert(entry.name);
  for (const auto& name : file.names())
    if (!known.contains(std::string_view(name)))
      throw Error(file.path() + ": found tensor '" + std::string(name) +
                  "', expected only this model's tensors: a checkpoint of another model");
}

/// A host copy of a buffer that may live in another memory.
template <class Net>
std::vector<typename Net::Scalar> host_copy(std::span<typename Net::Scalar> device) {
  std::vector<typename Net::Scalar> host(device.size());
  if (!host.empty()) Net::BackendType::download(host.data(), device.data(), device.size_bytes());
  return host;
}

}  // namespace detail

/// Writes weights and running statistics as a safetensors file, aside and renamed. Names are the parameter paths.
template <class Net>
void save_weights(Net& net, const std::string& path) {
  const auto weights = detail::host_copy<Net>(net.parameters());
  const auto buffers = detail::host_copy<Net>(net.buffers());
  SafetensorsWriter file;
  detail::add_entries(file, "", parameter_entries<typename Net::description>(), weights.data());
  detail::add_entries(file, "", buffer_entries<typename Net::description>(), buffers.data());
  file.metadata("format", "seqboat");
  file.write(path);
}

/// Reads what `save_weights` or `save_checkpoint` wrote. Throws `Error` that names the file, the tensor, what was found and
/// what was expected; the network is then unchanged.
template <class Net>
void load_weights(Net& net, const std::string& path) {
  const auto file = SafetensorsFile::open(path);
  auto weights = detail::host_copy<Net>(net.parameters());
  auto buffers = detail::host_copy<Net>(net.buffers());
  detail::read_entries(file, "", parameter_entries<typename Net::description>(), weights.data());
  detail::read_entries(file, "", buffer_entries<typename Net::description>(), buffers.data());
  detail::check_no_strangers<Net>(file);
  net.set_parameters(weights);
  net.set_buffers(buffers);
}

/// Writes everything a run needs to go on: weights, running statistics, both moments, counters. The bytes depend on the
/// training state alone.
template <class Net, class Optimizer>
void save_checkpoint(Net& net, Optimizer& optimizer, const TrainingState& state, const std::string& path) {
  const auto entries = parameter_entries<typename Net::description>();
  const auto weights = detail::host_copy<Net>(net.parameters());
  const auto buffers = detail::host_copy<Net>(net.buffers());
  const auto first = detail::host_copy<Net>(optimizer.first_moment());
  const auto second = detail::host_copy<Net>(optimizer.second_moment());
  const std::int64_t counters[] = {state.step, state.epoch, state.index, state.seed};
  const double numbers[] = {state.best, state.elapsed_seconds};
  SafetensorsWriter file;
  detail::add_entries(file, "", entries, weights.data());
  detail::add_entries(file, "", buffer_entries<typename Net::description>(), buffers.data());
  detail::add_entries(file, detail::kFirstMoment, entries, first.data());
  detail::add_entries(file, detail::kSecondMoment, entries, second.data());
  file.add(detail::kTrainingCounters, {4}, counters);
  file.add(detail::kTrainingNumbers, {2}, numbers);
  file.metadata("format", "seqboat");
  file.write(path);
}

/// Reads what `save_checkpoint` wrote. Throws `Error` as `load_weights` does; nothing is changed then.
template <class Net, class Optimizer>
TrainingState load_checkpoint(Net& net, Optimizer& optimizer, const std::string& path) {
  const auto file = SafetensorsFile::open(path);
  const auto entries = parameter_entries<typename Net::description>();
  using S = typename Net::Scalar;
  std::vector<S> first(static_cast<std::size_t>(Net::parameter_count));
  std::vector<S> second(static_cast<std::size_t>(Net::parameter_count));
  std::int64_t counters[4];
  double numbers[2];
  detail::read_entries(file, detail::kFirstMoment, entries, first.data());
  detail::read_entries(file, detail::kSecondMoment, entries, second.data());
  file.read_into(detail::kTrainingCounters, counters, {4});
  file.read_into(detail::kTrainingNumbers, numbers, {2});
  load_weights(net, path);
  Net::BackendType::upload(optimizer.first_moment().data(), first.data(), first.size() * sizeof(S));
  Net::BackendType::upload(optimizer.second_moment().data(), second.data(), second.size() * sizeof(S));
  optimizer.set_steps(counters[0]);
  return {counters[0], counters[1], counters[2], counters[3], numbers[0], numbers[1]};
}

}  // namespace sma
