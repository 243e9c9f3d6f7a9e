#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <sma/eigen.hpp>
#include <vector>

/// Holds a kernel that the Eigen backend overrides against its plain form.
namespace plain_forms {

using sma::Index;

template <class T>
constexpr double tolerance = std::is_same_v<T, double> ? 1e-11 : 2e-4;

template <class T>
std::vector<T> random_values(Index count, std::uint64_t seed, double scale = 1.0) {
  sma::RandomSequence random(seed, 1);
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& v : values) v = static_cast<T>(scale * random.normal());
  return values;
}

template <class T>
void check_equal(const std::vector<T>& a, const std::vector<T>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 1.0;
  double difference = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a[i])));
    difference = std::max(difference, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    REQUIRE(std::isfinite(b[i]));
  }
  CHECK(difference <= tolerance<T> * largest);
}

/// Runs a kernel in its plain form and through the backend; `outputs` are what it writes, restored in between.
template <class T, class Kernel>
void check_override(const Kernel& kernel, std::vector<std::vector<T>*> outputs) {
  sma::Context<sma::Eigen<T>> ctx;
  std::vector<std::vector<T>> before;
  std::vector<std::vector<T>> plain;
  for (auto* out : outputs) before.push_back(*out);
  for (Index i = 0; i < kernel.extent(); ++i) kernel(i);
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    plain.push_back(*outputs[o]);
    std::copy(before[o].begin(), before[o].end(), outputs[o]->begin());
  }
  ctx.launch(kernel);
  for (std::size_t o = 0; o < outputs.size(); ++o) check_equal(plain[o], *outputs[o]);
}

}  // namespace plain_forms
