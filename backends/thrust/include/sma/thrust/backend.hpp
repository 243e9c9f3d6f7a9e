#pragma once

#include <thrust/for_each.h>
#include <thrust/iterator/counting_iterator.h>

#include <cstddef>
#include <new>
#include <sma/device/context.hpp>
#include <sma/shards/one_lane.hpp>
#include <sma/thrust/part.hpp>
#include <sma/thrust/systems.hpp>

namespace sma {

inline namespace SMA_ISA {

/// GPU and many-thread backend over Thrust, scalar float or double: `sma::Thrust<sma::cuda, float>`; systems cuda, omp, tbb and
/// cpp.
///
/// Memory is the system's, by Thrust's malloc. It counts as out of the host's reach with every system, so that what runs with
/// omp, tbb or cpp on a machine without a GPU is what runs with one: input goes up, output comes down, and the library never
/// follows a pointer of the backend on the host.
/// `NetworkOptions::lanes` is held down to one and `threads` has no meaning: a kernel's indices are what runs in parallel, on
/// as many threads as the system has (omp: OMP_NUM_THREADS). Results do not depend on how many they are.
/// Networks do not stream yet: `Network::step` requires a backend whose memory the host can reach.
template <class System, class ScalarType>
class Thrust : public detail::ThrustSystem<System> {
  using Queue = detail::ThrustSystem<System>;

 public:
  using Scalar = storage_of<ScalarType>;
  using Team = OneLaneTeam;
  static constexpr bool host_accessible = false;

  /// With cuda: `Thrust()`, a stream of its own, or `Thrust(stream)`, the user's, which must outlive it. `policy()` is how Thrust's
  /// algorithms are called, `thrust::inclusive_scan(ctx.backend().policy(), ...)`, and `stream()` how CUDA's are.
  using Queue::Queue;

  /// Throws std::bad_alloc.
  static void* allocate(std::size_t bytes) {
    void* data = Queue::allocate(bytes);
    if (data == nullptr && bytes > 0) throw std::bad_alloc();
    return data;
  }
  void upload(void* to, const void* from, std::size_t bytes) {
    if (bytes > 0) Queue::upload(to, from, bytes);
  }
  void download(void* to, const void* from, std::size_t bytes) {
    if (bytes > 0) Queue::download(to, from, bytes);
  }

  template <class F>
  void for_each_index(Index count, const F& f) {
    const ::thrust::counting_iterator<Index> first(0);
    if (count > 0) ::thrust::for_each(this->policy(), first, first + count, f);
  }
};

}  // namespace SMA_ISA

}  // namespace sma
