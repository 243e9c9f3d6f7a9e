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

/// What a pass gives: rows that live in the network, in the backend's memory, until its next pass.
template <class S, Index Width>
class Output {
 public:
  /// Brings the rows to host memory and says where they are.
  using Fetch = const S* (*)(void* owner);

  Output() = default;
  /// Of rows in host memory.
  explicit Output(Rows<const S, Width> rows) : count(rows.rows), rows_(rows) {}
  Output(Rows<const S, Width> rows, void* owner, Fetch fetch)
      : count(rows.rows), rows_(rows), owner_(owner), fetch_(fetch) {}

  Index count = 0;  // rows
  /// (count, Width) in the backend's memory, in its queue's order.
  [[nodiscard]] Rows<const S, Width> view() const { return rows_; }
  /// (count, Width) in host memory: where the backend's is another, the first call waits and copies.
  [[nodiscard]] Rows<const S, Width> host() const {
    return fetch_ == nullptr ? rows_ : Rows<const S, Width>{fetch_(owner_), rows_.rows};
  }
  /// An element of `host()`.
  const S& operator()(Index row, Index column) const { return host()(row, column); }

 private:
  Rows<const S, Width> rows_;
  void* owner_ = nullptr;
  Fetch fetch_ = nullptr;
};

/// What a loss functor returns for its rows: the sum of their losses, how many were predicted right, and how many counted.
struct LossSum {
  double loss = 0.0;
  double correct = 0.0;
  double counted = 0.0;
};

/// The same on its way to the host: a loss functor may return it, so that the host need not wait before backward is queued.
struct PendingLossSum {
  const double* sums = nullptr;  // loss, correct; in host memory, once the backend has been waited for
  double counted = 0.0;
  explicit operator LossSum() const { return {sums[0], sums[1], counted}; }
};

}  // namespace sma
