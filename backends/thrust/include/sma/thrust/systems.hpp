#pragma once

#include <thrust/memory.h>
#include <thrust/system/cpp/execution_policy.h>
#include <thrust/system/cpp/memory.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <sma/base/error.hpp>
#include <sma/thrust/part.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

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

/// A system's queue: execution policy, memory, copies. An object, which Thrust<System, Scalar> holds.
template <class System>
class ThrustSystem {
  static_assert(has_thrust_system<System>,
                "sma::Thrust<System, Scalar> requires a system that this compiler has: sma::cuda with nvcc, "
                "sma::omp with -fopenmp, sma::tbb with TBB's headers, sma::cpp");
};

/// Systems that run at once, in the host's memory.
template <class Policy>
class ThrustHostSystem {
 public:
  static Policy policy() { return {}; }
  static void* allocate(std::size_t bytes) {
    return ::thrust::raw_pointer_cast(::thrust::malloc(policy(), bytes));
  }
  static void deallocate(void* data) { ::thrust::free(policy(), data); }
  static void upload(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
  static void download(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
  static void wait() {}
};

template <>
inline constexpr bool has_thrust_system<cpp> = true;
template <>
class ThrustSystem<cpp> : public ThrustHostSystem<std::remove_cv_t<decltype(::thrust::cpp::par)>> {};

#if defined(__CUDACC__)
template <>
inline constexpr bool has_thrust_system<cuda> = true;

/// Throws `Error`.
inline void check_cuda(cudaError_t status, const char* expected) {
  if (status != cudaSuccess)
    throw Error(std::string("sma::Thrust<sma::cuda, Scalar>: found '") + cudaGetErrorString(status) +
                "', expected " + expected);
}

/// What Thrust's algorithms take for themselves: kept and given again, to kernels of the same stream, which run one after the other;
/// cudaMalloc and cudaFree would wait.
class CudaTemporary {
 public:
  using value_type = char;

  CudaTemporary() = default;
  CudaTemporary(CudaTemporary&& other) noexcept : blocks_(std::exchange(other.blocks_, {})) {}
  CudaTemporary& operator=(CudaTemporary&&) = delete;
  ~CudaTemporary() {
    for (const Block& block : blocks_) cudaFree(block.data);
  }

  char* allocate(std::ptrdiff_t size) {
    const auto bytes = static_cast<std::size_t>(size);
    for (Block& block : blocks_)
      if (!block.used && block.bytes >= bytes && block.bytes <= 4 * bytes + 4096) {
        block.used = true;
        return block.data;
      }
    void* data = nullptr;
    if (cudaMalloc(&data, bytes) != cudaSuccess) {
      cudaGetLastError();  // forget it
      throw std::bad_alloc();
    }
    blocks_.push_back({static_cast<char*>(data), bytes, true});
    return blocks_.back().data;
  }
  void deallocate(char* data, std::size_t) {
    for (Block& block : blocks_)
      if (block.data == data) block.used = false;
  }

 private:
  struct Block {
    char* data;
    std::size_t bytes;
    bool used;
  };
  std::vector<Block> blocks_;
};

/// A place in a stream.
class CudaMark {
 public:
  explicit CudaMark(cudaStream_t stream) {
    check_cuda(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "a mark in a stream");
    check_cuda(cudaEventRecord(event_, stream), "a mark in a stream");
  }
  CudaMark(const CudaMark&) = delete;
  CudaMark& operator=(const CudaMark&) = delete;
  ~CudaMark() { cudaEventDestroy(event_); }
  void wait() const { check_cuda(cudaEventSynchronize(event_), "kernels that ran"); }

 private:
  cudaEvent_t event_ = nullptr;
};

/// A stream of its own, or the user's. Kernels and copies go to it, in order, without waiting. All threads of the host may use it, one
/// at a time: a network may move from thread to thread.
template <>
class ThrustSystem<cuda> {
 public:
  ThrustSystem() : own_(true) {
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "a stream");
  }
  explicit ThrustSystem(cudaStream_t stream) : stream_(stream) {}
  ThrustSystem(ThrustSystem&& other) noexcept
      : stream_(std::exchange(other.stream_, nullptr)),
        own_(std::exchange(other.own_, false)),
        temporary_(std::move(other.temporary_)) {}
  ThrustSystem& operator=(ThrustSystem&&) = delete;
  ~ThrustSystem() {
    if (own_) cudaStreamDestroy(stream_);
  }

  [[nodiscard]] cudaStream_t stream() const { return stream_; }
  auto policy() { return ::thrust::cuda::par_nosync(temporary_).on(stream_); }

  static void* allocate(std::size_t bytes) {
    void* data = nullptr;
    if (cudaMalloc(&data, bytes) != cudaSuccess) {
      cudaGetLastError();  // forget it
      throw std::bad_alloc();
    }
    return data;
  }
  /// Waits for all streams of the GPU.
  static void deallocate(void* data) { cudaFree(data); }
  static void* allocate_host(std::size_t bytes) {
    void* data = nullptr;
    check_cuda(cudaMallocHost(&data, bytes), "page-locked memory of the host");
    return data;
  }
  static void deallocate_host(void* data) { cudaFreeHost(data); }

  /// From pageable memory through the driver's own; from page-locked memory directly, and then it waits.
  void upload(void* to, const void* from, std::size_t bytes) {
    check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_), "a copy to the GPU");
    cudaPointerAttributes attributes{};
    check_cuda(cudaPointerGetAttributes(&attributes, from), "a pointer of the host");
    if (attributes.type != cudaMemoryTypeUnregistered) wait();
  }
  void download(void* to, const void* from, std::size_t bytes) {
    check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_), "a copy from the GPU");
  }
  void wait() { check_cuda(cudaStreamSynchronize(stream_), "kernels that ran"); }
  void wait(const CudaMark& mark) { mark.wait(); }
  [[nodiscard]] CudaMark record() { return CudaMark(stream_); }

 private:
  cudaStream_t stream_ = nullptr;
  bool own_ = false;
  CudaTemporary temporary_;
};
#else
#if defined(_OPENMP)
template <>
inline constexpr bool has_thrust_system<omp> = true;
template <>
class ThrustSystem<omp> : public ThrustHostSystem<std::remove_cv_t<decltype(::thrust::omp::par)>> {};
#endif
#if __has_include(<tbb/version.h>)
template <>
inline constexpr bool has_thrust_system<tbb> = true;
template <>
class ThrustSystem<tbb> : public ThrustHostSystem<std::remove_cv_t<decltype(::thrust::tbb::par)>> {};
#endif
#endif

}  // namespace detail

}  // namespace sma
