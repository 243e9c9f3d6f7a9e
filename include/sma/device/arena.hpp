#pragma once

#include <algorithm>
#include <cstddef>
#include <sma/base/config.hpp>
#include <sma/device/fill.hpp>
#include <utility>
#include <vector>

namespace sma {

/// Bump allocator over memory that a backend, or its HostMemory, gives; that must outlive it. `reset` makes one block of what was needed, so that a second pass of the same size
/// allocates nothing.
template <class Memory>
class Arena {
 public:
  struct Mark {
    std::size_t block = 0;
    std::size_t used = 0;  // bytes of that block
    std::size_t live = 0;  // bytes in all, without what blocks left over at their ends
  };

  explicit Arena(Memory& memory) : memory_(&memory) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  Arena(Arena&& other) noexcept
      : memory_(other.memory_), blocks_(std::move(other.blocks_)), at_(other.at_), peak_(other.peak_) {
    other.blocks_.clear();
    other.at_ = {};
  }
  Arena& operator=(Arena&&) = delete;
  ~Arena() { free_all(); }

  template <class T>
  T* allocate(Index count) {
    return reinterpret_cast<T*>(
        allocate_bytes(static_cast<std::size_t>(std::max<Index>(count, 1)) * sizeof(T)));
  }

  [[nodiscard]] Mark mark() const { return at_; }
  void release(Mark mark) { at_ = mark; }

  /// Forgets everything. What overflowed into several blocks becomes one block, an eighth larger than was needed at most: routers
  /// run a few rows more in one pass than in another.
  void reset() {
    if (blocks_.size() > 1) [[unlikely]]
      unite();
    at_ = {};
  }

  /// Forgets everything and makes room for `bytes` in one block.
  void reserve(std::size_t bytes) {
    reset();
    if (capacity() >= bytes) return;
    free_all();
    blocks_.push_back({static_cast<std::byte*>(memory_->allocate(bytes)), bytes});
  }

  [[nodiscard]] std::size_t capacity() const {
    std::size_t total = 0;
    for (const Block& b : blocks_) total += b.size;
    return total;
  }
  [[nodiscard]] std::size_t peak() const { return peak_; }

 private:
  static constexpr std::size_t kAlign = 64;
  static constexpr std::size_t kFirstBlock = 1U << 16;
  struct Block {
    std::byte* data;
    std::size_t size;
  };

  /// One function, not part of its callers: there are hundreds of them.
  SMA_NOINLINE std::byte* allocate_bytes(std::size_t count) {
    const std::size_t bytes = (count + kAlign - 1) & ~(kAlign - 1);
    while (at_.block < blocks_.size() && at_.used + bytes > blocks_[at_.block].size)
      at_ = {at_.block + 1, 0, at_.live};
    if (at_.block == blocks_.size()) {
      const std::size_t size = std::max({bytes, kFirstBlock, capacity() / 2});
      blocks_.push_back({static_cast<std::byte*>(memory_->allocate(size)), size});
    }
    std::byte* here = blocks_[at_.block].data + at_.used;
    at_.used += bytes;
    at_.live += bytes;
    peak_ = std::max(peak_, at_.live);
#ifdef SMA_POISON_FRESH_MEMORY
    memory_->for_each_index(static_cast<Index>(bytes),  // NaN, so that use before write shows
                            ops::Fill<std::byte>{here, static_cast<Index>(bytes), std::byte{0xFF}});
#endif
    return here;
  }

  [[gnu::cold]] void unite() {
    free_all();
    const std::size_t size = (peak_ + peak_ / 8 + kAlign - 1) & ~(kAlign - 1);
    blocks_.push_back({static_cast<std::byte*>(memory_->allocate(size)), size});
  }

  void free_all() {
    for (const Block& b : blocks_) memory_->deallocate(b.data);
    blocks_.clear();
  }

  Memory* memory_;
  std::vector<Block> blocks_;
  Mark at_;
  std::size_t peak_ = 0;
};

}  // namespace sma
