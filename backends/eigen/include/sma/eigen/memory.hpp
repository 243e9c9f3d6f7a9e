#pragma once

#include <sma/eigen/part.hpp>

#include <atomic>
#include <cstddef>
#include <new>
#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#endif

/// Memory of the CPU backend, 64-byte aligned. All but small blocks are mapped one by one: a page takes memory once it is touched,
/// and all of them go back to the system with the block; what arenas leave behind while they grow would otherwise stay with the
/// allocator. Not with AddressSanitizer, which watches over the ends of what operator new gives.
namespace sma {
inline namespace SMA_ISA {
namespace eigen {

#if !defined(__unix__) && !defined(__APPLE__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool kMapsBlocks = false;
#elif defined(__has_feature)
inline constexpr bool kMapsBlocks = !__has_feature(address_sanitizer);
#else
inline constexpr bool kMapsBlocks = true;
#endif

inline constexpr std::size_t kMappedBlock = std::size_t{1} << 16;

/// Blocks mapped since the program began, for those who count allocations: operator new does not see them.
inline std::atomic<long> mapped_blocks{0};

/// In front of every block.
struct alignas(64) BlockHeader {
  std::size_t mapped = 0;  // bytes, this included; 0: from operator new
};

/// Throws std::bad_alloc.
inline void* allocate_block(std::size_t bytes) {
  constexpr std::size_t kHeader = sizeof(BlockHeader);
  void* block = nullptr;
  std::size_t mapped = 0;
#if defined(__unix__) || defined(__APPLE__)
  if (kMapsBlocks && bytes >= kMappedBlock) {
    mapped = bytes + kHeader;
    block = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) throw std::bad_alloc();
    mapped_blocks.fetch_add(1, std::memory_order_relaxed);
  }
#endif
  if (mapped == 0) block = ::operator new(bytes + kHeader, std::align_val_t{alignof(BlockHeader)});
  return new (block) BlockHeader{mapped} + 1;
}

inline void deallocate_block(void* data) {
  BlockHeader* block = static_cast<BlockHeader*>(data) - 1;
#if defined(__unix__) || defined(__APPLE__)
  if (block->mapped != 0) {
    ::munmap(block, block->mapped);
    return;
  }
#endif
  ::operator delete(block, std::align_val_t{alignof(BlockHeader)});
}

}  // namespace eigen
}  // namespace SMA_ISA
}  // namespace sma
