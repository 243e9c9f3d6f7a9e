#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <sma/eigen.hpp>

/// Replaces the program's operator new by one that counts. For one file of an executable; its other files do not notice.
namespace counted {

inline std::atomic<long> allocations{0};

inline void* allocate(std::size_t size, std::align_val_t alignment) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  const auto unit = static_cast<std::size_t>(alignment);
  const std::size_t whole = (std::max<std::size_t>(size, 1) + unit - 1) / unit * unit;
  return std::aligned_alloc(unit, whole);
}
inline void* allocate_or_throw(std::size_t size, std::align_val_t alignment) {
  void* memory = allocate(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
inline constexpr std::align_val_t usual{alignof(std::max_align_t)};

/// Those of operator new and of the backend.
inline long all() { return allocations + sma::eigen::mapped_blocks; }

}  // namespace counted

// Not inlined: g++ would compare `free` with the operator new it stands in for, and warn.
#define SMA_TEST_OPERATOR [[gnu::noinline]]
SMA_TEST_OPERATOR void* operator new(std::size_t size) {
  return counted::allocate_or_throw(size, counted::usual);
}
SMA_TEST_OPERATOR void* operator new[](std::size_t size) {
  return counted::allocate_or_throw(size, counted::usual);
}
SMA_TEST_OPERATOR void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted::allocate_or_throw(size, alignment);
}
SMA_TEST_OPERATOR void* operator new[](std::size_t size, std::align_val_t alignment) {
  return counted::allocate_or_throw(size, alignment);
}
// std::stable_sort's.
SMA_TEST_OPERATOR void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return counted::allocate(size, counted::usual);
}
SMA_TEST_OPERATOR void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return counted::allocate(size, counted::usual);
}
SMA_TEST_OPERATOR void operator delete(void* memory) noexcept { std::free(memory); }
SMA_TEST_OPERATOR void operator delete[](void* memory) noexcept { std::free(memory); }
SMA_TEST_OPERATOR void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
SMA_TEST_OPERATOR void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
SMA_TEST_OPERATOR void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
SMA_TEST_OPERATOR void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
SMA_TEST_OPERATOR void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
SMA_TEST_OPERATOR void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
#undef SMA_TEST_OPERATOR
