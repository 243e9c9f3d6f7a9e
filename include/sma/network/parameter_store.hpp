#pragma once

#include <sma/base/error.hpp>
#include <sma/device/buffer.hpp>
#include <sma/module/module.hpp>
#include <sma/network/options.hpp>
#include <span>
#include <string>
#include <vector>

namespace sma::detail {

/// A network's parameters, their gradients and its buffers: one contiguous buffer each in the backend's memory.
template <class Description, Backend B>
class ParameterStore {
 public:
  using Compute = compute_of<typename B::Scalar>;
  static constexpr Index parameters = parameter_count<Description>;
  static constexpr Index buffers = extent_of<Description>.buffers;

  /// With initial values.
  ParameterStore(B& backend, Seed seed)
      : weights_(backend, parameters), gradients_(backend, parameters), buffers_(backend, buffers) {
    std::vector<Compute> w(static_cast<std::size_t>(parameters));
    std::vector<Compute> b(static_cast<std::size_t>(buffers));
    initialize<Description>(w.data(), b.data(), seed.value);
    set_parameters(w);
    set_buffers(b);
  }

  void set_parameters(std::span<const Compute> host) {
    check_size("set_parameters", host.size(), parameters);
    weights_.upload(host.data(), static_cast<Index>(host.size()));
  }
  void set_buffers(std::span<const Compute> host) {
    check_size("set_buffers", host.size(), buffers);
    buffers_.upload(host.data(), static_cast<Index>(host.size()));
  }

  [[nodiscard]] Compute* weights() const { return weights_.data(); }
  [[nodiscard]] Compute* gradients() const { return gradients_.data(); }
  [[nodiscard]] Compute* buffer_values() const { return buffers_.data(); }
  /// All of the description's, without metrics.
  [[nodiscard]] Weights<Description, typename B::Scalar> all() const {
    return {weights_.data(), buffers_.data(), nullptr, 0, 0};
  }

 private:
  static void check_size(const char* what, std::size_t found, Index expected) {
    if (static_cast<Index>(found) != expected)
      throw Error(std::string("sma::Network::") + what + ": found " + std::to_string(found) +
                  " numbers, expected " + std::to_string(expected));
  }

  DeviceBuffer<B, Compute> weights_;
  DeviceBuffer<B, Compute> gradients_;
  DeviceBuffer<B, Compute> buffers_;
};

}  // namespace sma::detail
