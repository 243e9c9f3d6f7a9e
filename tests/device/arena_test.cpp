#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <sma/base/random.hpp>
#include <sma/device/arena.hpp>
#include <utility>
#include <vector>

using sma::Index;

namespace {

/// Host memory that counts its blocks.
struct Counted {
  static inline int allocations = 0;
  static inline int held = 0;
  static void* allocate(std::size_t bytes) {
    ++allocations;
    ++held;
    return std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  }
  static void deallocate(void* p) {
    --held;
    std::free(p);
  }
  template <class F>
  static void for_each_index(Index count, const F& f) {
    for (Index i = 0; i < count; ++i) f(i);
  }
};
struct Arena : sma::Arena<Counted> {
  Arena() : sma::Arena<Counted>(memory) {}
  static inline Counted memory;
};

/// Takes blocks of random sizes and writes a number of its own into each; all of them still hold it at the end.
void fill(Arena& arena, std::uint64_t seed, int count) {
  sma::RandomSequence random(seed, 0);
  std::vector<std::pair<unsigned char*, Index>> taken;
  for (int i = 0; i < count; ++i) {
    const auto size = static_cast<Index>(random.uniform() * 5000);
    auto* data = arena.allocate<unsigned char>(size);
    CHECK(reinterpret_cast<std::uintptr_t>(data) % 64 == 0);
    std::memset(data, i % 251, static_cast<std::size_t>(size));
    taken.emplace_back(data, size);
  }
  for (int i = 0; i < count; ++i) {
    const auto [data, size] = taken[static_cast<std::size_t>(i)];
    const auto wanted = static_cast<unsigned char>(i % 251);
    CHECK(std::all_of(data, data + size, [wanted](unsigned char byte) { return byte == wanted; }));
  }
}

}  // namespace

TEST_CASE("what an arena gives is aligned and apart, nothing included") {
  Arena arena;
  fill(arena, 1, 300);
  auto* a = arena.allocate<double>(0);
  auto* b = arena.allocate<double>(0);
  CHECK(a != nullptr);
  CHECK(a != b);
}

TEST_CASE("the second pass of a size is one block, and from then on nothing is allocated") {
  Arena arena;
  fill(arena, 2, 300);
  const std::size_t peak = arena.peak();
  arena.reset();
  fill(arena, 2, 300);
  CHECK(arena.peak() == peak);
  CHECK(arena.capacity() >= peak);
  CHECK(arena.capacity() <= peak + peak / 8 + 64);
  const int before = Counted::allocations;
  for (int pass = 0; pass < 5; ++pass) {
    arena.reset();
    fill(arena, 2, 300);
  }
  CHECK(Counted::allocations == before);
}

TEST_CASE("what is released is given again") {
  Arena arena;
  auto* kept = arena.allocate<float>(10);
  const Arena::Mark mark = arena.mark();
  auto* first = arena.allocate<float>(1000);
  const std::size_t live = arena.mark().live;
  arena.release(mark);
  CHECK(arena.mark().live == mark.live);
  CHECK(arena.allocate<float>(1000) == first);
  CHECK(arena.mark().live == live);
  CHECK(kept != first);
}

TEST_CASE("room that is reserved is one block") {
  Arena arena;
  arena.reserve(1 << 20);
  const int before = Counted::allocations;
  arena.allocate<std::byte>(1 << 20);
  CHECK(Counted::allocations == before);
  arena.reserve(1 << 10);  // there is more already
  CHECK(Counted::allocations == before);
  CHECK(arena.mark().live == 0);
}

TEST_CASE("an arena gives back all that it took, a moved one nothing") {
  const int before = Counted::held;
  {
    Arena arena;
    fill(arena, 3, 100);
    Arena other = std::move(arena);
    CHECK(other.mark().live > 0);
  }
  CHECK(Counted::held == before);
}
