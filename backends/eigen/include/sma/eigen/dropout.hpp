#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/lanes.hpp>
#include <sma/modules/dropout.hpp>

/// Dropout with many counters of the random generator at a time.
namespace sma {

namespace eigen {

/// Counters that `generate_blocks` takes at a time.
inline constexpr Index kPhiloxLanes = 16;

/// Philox 4x32-10 of kPhiloxLanes counters: words 4l .. 4l+3 are those of `Philox::generate(key, counter_low[l], counter_high)`.
/// The lanes are 64 bits wide for the products' sake.
inline void generate_blocks(std::uint64_t key, const std::uint64_t (&counter_low)[kPhiloxLanes],
                            std::uint64_t counter_high, std::uint32_t (&words)[4 * kPhiloxLanes]) {
  using Words = Lanes<std::uint64_t>;
  constexpr auto kWidth = static_cast<Index>(sizeof(Words) / sizeof(std::uint64_t));
  constexpr std::uint64_t kLow = 0xFFFFFFFFU;
  for (Index first = 0; first < kPhiloxLanes; first += kWidth) {
    Words counter;
    std::memcpy(&counter, counter_low + first, sizeof(counter));
    Words c[4] = {counter & kLow, counter >> 32, Words{} + (counter_high & kLow),
                  Words{} + (counter_high >> 32)};
    auto k0 = static_cast<std::uint32_t>(key);
    auto k1 = static_cast<std::uint32_t>(key >> 32);
    for (int round = 0; round < Philox::kRounds; ++round) {
      const Words product0 = c[0] * Philox::kMultiplier0;
      const Words product1 = c[2] * Philox::kMultiplier1;
      c[0] = (product1 >> 32) ^ c[1] ^ std::uint64_t{k0};
      c[1] = product1 & kLow;
      c[2] = (product0 >> 32) ^ c[3] ^ std::uint64_t{k1};
      c[3] = product0 & kLow;
      k0 += Philox::kWeyl0;
      k1 += Philox::kWeyl1;
    }
    for (Index l = 0; l < kWidth; ++l)
      for (Index w = 0; w < 4; ++w) words[4 * (first + l) + w] = static_cast<std::uint32_t>(c[w][l]);
  }
}

}  // namespace eigen

template <class T, Index Width>
void run(Context<Eigen<T>>&, const kernels::Dropout<T, Width>& k) {
  constexpr Index kQuads = (Width + 3) / 4;  // blocks of four numbers a row
  // word < limit is to_unit(word) < rate, in whole numbers.
  const auto limit =
      static_cast<std::uint32_t>(std::clamp(std::ceil(k.rate * 0x1p32 - 0.5), 0.0, 0x1p32 - 1));
  const T keep = static_cast<T>(1.0 / (1.0 - k.rate));
  const bool flat = Width % 4 == 0 && k.x.contiguous() && k.y.contiguous();
  const Index total = k.y.rows * kQuads;
  Index row = 0;
  Index quad = 0;
  for (Index first = 0; first < total; first += eigen::kPhiloxLanes) {
    const Index count = std::min(eigen::kPhiloxLanes, total - first);
    Index rows[eigen::kPhiloxLanes];
    Index quads[eigen::kPhiloxLanes];
    std::uint64_t counters[eigen::kPhiloxLanes] = {};
    for (Index l = 0; l < count; ++l) {
      rows[l] = row;
      quads[l] = quad;
      counters[l] = RandomStream::counter(k.ids[row], quad);
      if (++quad == kQuads) {
        quad = 0;
        ++row;
      }
    }
    std::uint32_t words[4 * eigen::kPhiloxLanes];
    eigen::generate_blocks(k.random.key, counters, k.random.instance, words);
    if (flat) {
      const T* from = k.x.data + 4 * first;
      T* to = k.y.data + 4 * first;
      for (Index e = 0; e < 4 * count; ++e) to[e] = words[e] < limit ? T(0) : from[e] * keep;
    } else {
      for (Index l = 0; l < count; ++l)
        for (Index w = 0; w < std::min<Index>(4, Width - 4 * quads[l]); ++w) {
          const Index j = 4 * quads[l] + w;
          k.y(rows[l], j) = words[4 * l + w] < limit ? T(0) : k.x(rows[l], j) * keep;
        }
    }
  }
}

}  // namespace sma
