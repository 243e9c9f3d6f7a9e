#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <cstring>
#include <sma/device/context.hpp>
#include <sma/eigen/denormals.hpp>
#include <sma/eigen/memory.hpp>
#include <sma/eigen/part.hpp>
#include <sma/eigen/team.hpp>

// Eigen 5 still says 3 here.
#if EIGEN_WORLD_VERSION < 3 || (EIGEN_WORLD_VERSION == 3 && EIGEN_MAJOR_VERSION < 4)
#error "seqboat needs Eigen 3.4 or later"
#include <nothing>  // so that this is all that the compiler says
#endif

namespace sma {
inline namespace SMA_ISA {

/// CPU backend over Eigen, scalar float or double, or Precision<bf16, float>. Host memory, sharded over threads.
template <class ScalarType>
struct Eigen {
  using Scalar = storage_of<ScalarType>;
  using Team = eigen::Team;
  using Arithmetic = eigen::FlushDenormals;
  static constexpr bool host_accessible = true;
  static constexpr Index row_block = 1024;  // rows that stay in the caches from one kernel to the next

  static void* allocate(std::size_t bytes) { return eigen::allocate_block(bytes); }
  static void deallocate(void* data) { eigen::deallocate_block(data); }
  static void upload(void* to, const void* from, std::size_t bytes) {
    if (bytes > 0) std::memmove(to, from, bytes);
  }
  static void download(void* to, const void* from, std::size_t bytes) { upload(to, from, bytes); }
  static void wait() {}  // all is done when it is asked for

  template <class F>
  static void for_each_index(Index count, const F& f) {
    for (Index i = 0; i < count; ++i) f(i);
  }
};

}  // namespace SMA_ISA
}  // namespace sma
