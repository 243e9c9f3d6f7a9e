#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <cstring>
#include <new>
#include <sma/core/context.hpp>
#include <sma/eigen/team.hpp>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace sma {

/// CPU backend over Eigen, scalar float or double. Host memory, sharded over threads.
template <class ScalarType>
struct Eigen {
  using Scalar = ScalarType;
  using Team = eigen::Team;
  static constexpr bool host_accessible = true;

  static void* allocate(std::size_t bytes) { return ::operator new(bytes, std::align_val_t{64}); }
  static void deallocate(void* data) { ::operator delete(data, std::align_val_t{64}); }
  /// Gives pages that are free to the system, which glibc keeps once blocks of that size have come and gone.
  static void release_unused() {
#ifdef __GLIBC__
    ::malloc_trim(0);
#endif
  }
  static void upload(void* to, const void* from, std::size_t bytes) {
    if (bytes > 0) std::memmove(to, from, bytes);
  }
  static void download(void* to, const void* from, std::size_t bytes) { upload(to, from, bytes); }

  template <class F>
  static void for_each_index(Index count, const F& f) {
    for (Index i = 0; i < count; ++i) f(i);
  }
};

}  // namespace sma
