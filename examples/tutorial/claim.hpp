#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <sma/base/config.hpp>

/// Prints what a program claims, and ends it with exit code 1 where that is not so.
inline void claim(const char* what, bool holds) {
  std::printf("%s %s\n", holds ? "yes:" : "NO: ", what);
  if (!holds) std::exit(1);
}

/// d y(row, column) / d parameter, by a central difference: wrong by step^2, and by 1e-16 / step for outputs of order one.
template <class Net, class Batch>
double difference(Net& net, const Batch& x, std::size_t parameter, sma::Index row, sma::Index column) {
  const double step = 1e-5;
  const auto output_with = [&](double change) {
    net.parameters()[parameter] += change;
    const double y = net.infer(x)(row, column);
    net.parameters()[parameter] -= change;
    return y;
  };
  return (output_with(step) - output_with(-step)) / (2 * step);
}
