#pragma once

#include <sma/base/config.hpp>

namespace sma {

/// The team of a backend that runs one shard, the whole batch, on the calling thread: what threads it has share a kernel's rows instead.
class OneLaneTeam {
 public:
  static constexpr Index max_lanes = 1;

  OneLaneTeam(Index, Index) {}

  /// A single shard meets nobody.
  struct Reducer {
    template <class T>
    void all_reduce(Index, T*, Index) const {}
  };
  Reducer* reducer(Index) { return nullptr; }

  template <class Task>
  void run(Index lanes, bool, const Task& task) {
    for (Index lane = 0; lane < lanes; ++lane) task(lane, Index{0});
  }
};

}  // namespace sma
