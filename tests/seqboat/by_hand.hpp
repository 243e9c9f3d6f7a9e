#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <sma/module/module.hpp>
#include <string>
#include <vector>

/// Tensors by name, and the plain forms that tests put networks together from again.
namespace by_hand {

using sma::Index;

/// Writes a tensor of the network: f(i) for element i.
template <class Net, class F>
void set_tensor(Net& net, const std::string& name, const F& f) {
  for (const auto& entry : sma::parameter_entries<typename Net::description>()) {
    if (entry.name != name) continue;
    for (Index i = 0; i < entry.size; ++i)
      net.parameters()[static_cast<std::size_t>(entry.offset + i)] = f(i);
    return;
  }
  FAIL("no tensor is called " << name);
}
template <class Net>
std::vector<double> tensor(Net& net, const std::string& name) {
  for (const auto& entry : sma::parameter_entries<typename Net::description>())
    if (entry.name == name)
      return {net.parameters().begin() + entry.offset, net.parameters().begin() + entry.offset + entry.size};
  FAIL("no tensor is called " << name);
  return {};
}
/// Gives `to` the tensors of `from` that stand under `prefix`.
template <class To, class From>
void take_tensors(To& to, From& from, const std::string& prefix) {
  for (const auto& entry : sma::parameter_entries<typename To::description>()) {
    const auto values = tensor(from, prefix + entry.name);
    set_tensor(to, entry.name, [&](Index i) { return values[static_cast<std::size_t>(i)]; });
  }
}

inline double silu(double x) { return x / (1 + std::exp(-x)); }

/// y = W x + b.
inline std::vector<double> linear(const std::vector<double>& weight, const std::vector<double>& bias,
                                  const double* x, std::size_t width) {
  std::vector<double> y = bias;
  for (std::size_t o = 0; o < y.size(); ++o)
    for (std::size_t c = 0; c < width; ++c) y[o] += weight[o * width + c] * x[c];
  return y;
}
inline void rms_norm(double* x, const double* weight, std::size_t width) {
  double mean = 0;
  for (std::size_t c = 0; c < width; ++c) mean += x[c] * x[c] / static_cast<double>(width);
  for (std::size_t c = 0; c < width; ++c) x[c] *= weight[c] / std::sqrt(mean + 1e-5);
}

}  // namespace by_hand
