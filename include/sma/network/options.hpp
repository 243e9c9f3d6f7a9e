#pragma once

#include <cstdint>
#include <sma/base/views.hpp>
#include <string>

namespace sma {

/// Seed of a network's initial values and of all random numbers it draws.
struct Seed {
  std::uint64_t value = 0;
};

/// How a network uses the machine. Results depend on `lanes` (the order of sums), never on `threads`.
struct NetworkOptions {
  Index threads = 1;
  Index lanes = 8;  // the batch is cut into at most this many shards; a backend may allow fewer
};

/// A named number that a module reports after a step: an activation count, an auxiliary loss.
struct Metric {
  std::string name;
  double value = 0.0;
};

/// The result of a forward pass. Rows live in the network until its next call.
template <class S, Index Width>
struct Output {
  Rows<const S, Width> rows;  // (output rows, Width), host memory
  Index count = 0;            // output rows
  const S& operator()(Index row, Index column) const { return rows(row, column); }
};

/// What a loss functor returns for its rows: the sum of their losses, how many were predicted right, and how many counted.
struct LossSum {
  double loss = 0.0;
  double correct = 0.0;
  double counted = 0.0;
};

}  // namespace sma
