#pragma once

#include <thrust/memory.h>
#include <thrust/system/cpp/execution_policy.h>
#include <thrust/system/cpp/memory.h>

#include <cstddef>
#include <cstring>
#include <sma/base/error.hpp>
#include <sma/thrust/part.hpp>
#include <string>

#if defined(__CUDACC__)
#include <cuda_runtime_api.h>
#include <thrust/system/cuda/execution_policy.h>
#include <thrust/system/cuda/memory.h>
#else
#if defined(_OPENMP)
#include <thrust/system/omp/execution_policy.h>
#include <thrust/system/omp/memory.h>
#endif
#if __has_include(<tbb/version.h>)
#include <thrust/system/tbb/execution_policy.h>
#include <thrust/system/tbb/memory.h>
#endif
#endif

namespace sma {

/// Thrust's systems, as tags for `Thrust<System, Scalar>`. `cuda` is there where nvcc compiles; `omp` and `tbb` where it does
/// not (through nvcc they do not compile), with -fopenmp and with TBB's headers; `cpp`, one thread, everywhere.
struct cuda {};
struct omp {};
struct tbb {};
struct cpp {};

namespace detail {

template <class System>
inline constexpr bool has_thrust_system = false;

/// Execution policy and copies of a system.
template <class System>
struct ThrustSystem {
  static_assert(has_thrust_system<System>,
                "sma::Thrust<System, Scalar> requires a system that this compiler has: sma::cuda with nvcc, "
                "sma::omp with -fopenmp, sma::tbb with TBB's headers, sma::cpp");
};

/// Systems whose memory is the host's.
struct ThrustHostSystem {
  static void copy_in(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
  static void copy_out(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
};

template <>
inline constexpr bool has_thrust_system<cpp> = true;
template <>
struct ThrustSystem<cpp> : ThrustHostSystem {
  static auto policy() { return ::thrust::cpp::par; }
};

#if defined(__CUDACC__)
/// Everything goes to the legacy default stream, in order, without waiting; copies wait. One stream for all host threads, so
/// that a network may move from thread to thread.
template <>
inline constexpr bool has_thrust_system<cuda> = true;
template <>
struct ThrustSystem<cuda> {
  static auto policy() { return ::thrust::cuda::par_nosync.on(cudaStreamLegacy); }
  static void copy_in(void* to, const void* from, std::size_t bytes) {
    copy(to, from, bytes, cudaMemcpyHostToDevice);
  }
  static void copy_out(void* to, const void* from, std::size_t bytes) {
    copy(to, from, bytes, cudaMemcpyDeviceToHost);
  }

 private:
  static void copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    check(cudaMemcpyAsync(to, from, bytes, kind, cudaStreamLegacy));
    check(cudaStreamSynchronize(cudaStreamLegacy));
  }
  static void check(cudaError_t status) {
    if (status != cudaSuccess)
      throw Error(std::string("sma::Thrust<sma::cuda, Scalar>: found '") + cudaGetErrorString(status) +
                  "', expected a copy between host and GPU");
  }
};
#else
#if defined(_OPENMP)
template <>
inline constexpr bool has_thrust_system<omp> = true;
template <>
struct ThrustSystem<omp> : ThrustHostSystem {
  static auto policy() { return ::thrust::omp::par; }
};
#endif
#if __has_include(<tbb/version.h>)
template <>
inline constexpr bool has_thrust_system<tbb> = true;
template <>
struct ThrustSystem<tbb> : ThrustHostSystem {
  static auto policy() { return ::thrust::tbb::par; }
};
#endif
#endif

}  // namespace detail

}  // namespace sma
