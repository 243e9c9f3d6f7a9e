/// The main of tests on a GPU: doctest's, and exit codes that tell what a test's own cannot.
///
///     77  there is no GPU: nothing ran
///     78  SEQBOAT_DIRTY_MEMORY is set, but memory that is freed comes back clean: nothing ran
///     1   a check failed, or a kernel did
///
/// With SEQBOAT_DIRTY_MEMORY set, memory of all sizes is filled with NaN and freed before the tests, so that what they allocate is not
/// the zeros of a fresh process.

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

namespace {

constexpr int kNoGpu = 77;
constexpr int kCleanMemory = 78;

/// Bytes of blocks, from what holds a few numbers to what holds a network's activations.
std::vector<std::size_t> block_sizes() {
  std::vector<std::size_t> sizes;
  for (std::size_t size = 512; size <= std::size_t{128} << 20; size *= 4)
    for (int i = 0; i < 8; ++i) sizes.push_back(size);
  return sizes;
}

/// Fills memory and frees it; returns how many of the blocks that are then allocated still hold what was written.
int leave_dirt() {
  std::vector<void*> blocks;
  for (const std::size_t size : block_sizes()) {
    void* block = nullptr;
    if (cudaMalloc(&block, size) != cudaSuccess) break;
    cudaMemset(block, 0xFF, size);
    blocks.push_back(block);
  }
  cudaDeviceSynchronize();
  for (void* block : blocks) cudaFree(block);

  int dirty = 0;
  for (const std::size_t size : block_sizes()) {
    void* block = nullptr;
    unsigned char first = 0;
    if (cudaMalloc(&block, size) != cudaSuccess) break;
    if (cudaMemcpy(&first, block, 1, cudaMemcpyDeviceToHost) == cudaSuccess && first == 0xFF) ++dirty;
    cudaFree(block);
  }
  std::printf("dirty memory: %d of %zu new blocks hold what was there\n", dirty, block_sizes().size());
  return dirty;
}

}  // namespace

int main(int argc, char** argv) {
  bool lists = false;
  for (int i = 1; i < argc; ++i) lists = lists || std::string_view(argv[i]).starts_with("--list");
  if (!lists) {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count == 0) {
      std::printf("no GPU: %s\n", status != cudaSuccess ? cudaGetErrorString(status) : "no device");
      return kNoGpu;
    }
    if (std::getenv("SEQBOAT_DIRTY_MEMORY") != nullptr && leave_dirt() == 0) return kCleanMemory;
  }

  doctest::Context context(argc, argv);
  const int result = context.run();
  if (lists || context.shouldExit()) return result;
  const cudaError_t status = cudaDeviceSynchronize();
  if (status != cudaSuccess) {
    std::printf("after the tests: found '%s', expected kernels without errors\n", cudaGetErrorString(status));
    return 1;
  }
  return result;
}
