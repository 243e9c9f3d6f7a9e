#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/part.hpp>
#include <sma/eigen/simd/lanes.hpp>
#include <sma/ops/dropout.hpp>
#include <tuple>
#include <utility>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

/// Dropout with many counters of the random generator at a time.
namespace sma {

inline namespace SMA_ISA {
namespace eigen {

/// A register's worth of 64-bit numbers. Philox multiplies 32 bits by 32 bits for 64: one instruction, which GCC does not find
/// by itself.
#if defined(__AVX512F__)
using PhiloxRegister = __m512i;
inline PhiloxRegister multiply_low_halves(PhiloxRegister a, PhiloxRegister b) {
  return _mm512_maskz_mul_epu32(0xFF, a, b);  // all lanes; see pack.hpp
}
#elif defined(__AVX2__)
using PhiloxRegister = __m256i;
inline PhiloxRegister multiply_low_halves(PhiloxRegister a, PhiloxRegister b) {
  return _mm256_mul_epu32(a, b);
}
#elif defined(__SSE2__)
using PhiloxRegister = __m128i;
inline PhiloxRegister multiply_low_halves(PhiloxRegister a, PhiloxRegister b) { return _mm_mul_epu32(a, b); }
#else
using PhiloxRegister [[gnu::vector_size(16)]] = std::uint64_t;
inline PhiloxRegister multiply_low_halves(PhiloxRegister a, PhiloxRegister b) {
  return (a & 0xFFFFFFFFU) * (b & 0xFFFFFFFFU);
}
#endif

/// Philox 4x32-10 of as many counters as a register has numbers: words 4l .. 4l+3 of `words` are those of
/// `Philox::generate(key, counter_low[l], counter_high)`.
class PhiloxLanes {
  using Words [[gnu::vector_size(sizeof(PhiloxRegister))]] = std::uint64_t;

 public:
  static constexpr Index kCount = static_cast<Index>(sizeof(Words) / sizeof(std::uint64_t));

  void start(const std::uint64_t* counter_low, std::uint64_t counter_high) {
    std::memcpy(&c_[0], counter_low, sizeof(Words));
    c_[1] = c_[0] >> 32;
    c_[2] = Words{} + counter_high;
    c_[3] = c_[2] >> 32;
  }
  void round(std::uint32_t k0, std::uint32_t k1) {
    const Words product0 = times(c_[0], Philox::kMultiplier0);
    const Words product1 = times(c_[2], Philox::kMultiplier1);
    c_[0] = (product1 >> 32) ^ c_[1] ^ std::uint64_t{k0};
    c_[1] = product1;
    c_[2] = (product0 >> 32) ^ c_[3] ^ std::uint64_t{k1};
    c_[3] = product0;
  }
  void store(std::uint32_t* words) const {
    constexpr std::uint64_t kLow = 0xFFFFFFFFU;
    const Words first = (c_[0] & kLow) | (c_[1] << 32);
    const Words second = (c_[2] & kLow) | (c_[3] << 32);
    [&]<int... N>(std::integer_sequence<int, N...>) {
      constexpr int n = static_cast<int>(kCount);
      const Words low = __builtin_shufflevector(first, second, (N / 2 + N % 2 * n)...);
      const Words high = __builtin_shufflevector(first, second, (n / 2 + N / 2 + N % 2 * n)...);
      std::memcpy(words, &low, sizeof(low));
      std::memcpy(words + 2 * kCount, &high, sizeof(high));
    }(std::make_integer_sequence<int, static_cast<int>(kCount)>{});
  }

 private:
  static Words times(Words a, std::uint64_t b) {
    return std::bit_cast<Words>(
        multiply_low_halves(std::bit_cast<PhiloxRegister>(a), std::bit_cast<PhiloxRegister>(Words{} + b)));
  }
  Words c_[4];  // only the lower halves of the numbers count
};

/// Counters that `generate_blocks` takes at a time: several registers, so that multiplications do not wait for each other.
inline constexpr Index kPhiloxBatch = 4 * PhiloxLanes::kCount;

/// Words 4l .. 4l+3 are those of `Philox::generate(key, counter_low[l], counter_high)`.
SMA_NOINLINE inline void generate_blocks(std::uint64_t key, const std::uint64_t (&counter_low)[kPhiloxBatch],
                                         std::uint64_t counter_high,
                                         std::uint32_t (&words)[4 * kPhiloxBatch]) {
  constexpr Index kLanes = PhiloxLanes::kCount;
  constexpr Index kRegisters = kPhiloxBatch / kLanes;
  PhiloxLanes lanes[kRegisters];
  unrolled<kRegisters>([&](auto i) { lanes[i].start(counter_low + i * kLanes, counter_high); });
  auto k0 = static_cast<std::uint32_t>(key);
  auto k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < Philox::kRounds; ++round) {
    unrolled<kRegisters>([&](auto i) { lanes[i].round(k0, k1); });
    k0 += Philox::kWeyl0;
    k1 += Philox::kWeyl1;
  }
  unrolled<kRegisters>([&](auto i) { lanes[i].store(words + 4 * i * kLanes); });
}

/// Eight numbers, a mask's byte.
template <class T>
struct EightOf {
  using type [[gnu::vector_size(8 * sizeof(T))]] = T;
};
template <class T>
using Eight = typename EightOf<T>::type;

/// The signs of eight numbers as bits, the first one lowest.
inline std::uint8_t sign_bits(const Eight<std::uint32_t>& x) {
#if defined(__AVX__)
  return static_cast<std::uint8_t>(_mm256_movemask_ps(std::bit_cast<__m256>(x)));
#elif defined(__SSE2__)
  __m128 half[2];
  std::memcpy(half, &x, sizeof(half));
  return static_cast<std::uint8_t>(_mm_movemask_ps(half[0]) | _mm_movemask_ps(half[1]) << 4);
#else
  unsigned bits = 0;
  for (unsigned l = 0; l < 8; ++l) bits |= x[l] >> 31 << l;
  return static_cast<std::uint8_t>(bits);
#endif
}

/// y = x factor where `byte` has its bits, 0 elsewhere, eight numbers.
template <class T>
[[gnu::always_inline]] inline void mask_eight(std::uint8_t byte, T factor, const T* x, T* y) {
  using Bits = Eight<std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>;
  constexpr Bits kEach{1, 2, 4, 8, 16, 32, 64, 128};
  Eight<T> value;
  std::memcpy(&value, x, sizeof(value));
  value = ((Bits{} + byte) & kEach) != 0 ? value * factor : Eight<T>{};
  std::memcpy(y, &value, sizeof(value));
}

/// y = words < limit ? 0 : x * factor, and the mask's bits from bit `at` of a row's `mask` on, which come in order. x and y may be the
/// same.
template <class T>
void drop(Index count, const std::uint32_t* words, std::uint32_t limit, T factor, const T* x, T* y,
          std::uint8_t* mask, Index at) {
  Index e = 0;
  if (at % 8 == 0)
    for (; e + 8 <= count; e += 8) {
      Eight<std::uint32_t> word;
      std::memcpy(&word, words + e, sizeof(word));
      const auto reached = word >= limit;
      Eight<std::uint32_t>
          kept;  // copied: as a result a vector has another ABI where processors lack such registers
      std::memcpy(&kept, &reached, sizeof(kept));
      const std::uint8_t byte = sign_bits(kept);
      mask[(at + e) / 8] = byte;
      mask_eight(byte, factor, x + e, y + e);
    }
  for (; e < count; ++e) {
    const bool kept = words[e] >= limit;
    std::uint8_t& byte = mask[(at + e) / 8];
    const auto bit = static_cast<unsigned>((at + e) % 8);
    byte = static_cast<std::uint8_t>((bit == 0 ? 0U : byte) | static_cast<unsigned>(kept) << bit);
    y[e] = kept ? x[e] * factor : T(0);
  }
}

}  // namespace eigen
}  // namespace SMA_ISA

template <class T, Index Width>
void run(Context<Eigen<T>>&, const ops::Dropout<T, Width>& k) {
  constexpr Index kQuads = (Width + 3) / 4;  // blocks of four numbers a row
  // word < limit is to_unit(word) < rate, in whole numbers.
  const auto limit =
      static_cast<std::uint32_t>(std::clamp(std::ceil(k.rate * 0x1p32 - 0.5), 0.0, 0x1p32 - 1));
  const T factor = static_cast<T>(1.0 / (1.0 - k.rate));
  const bool flat = Width % 8 == 0 && k.x.contiguous() && k.y.contiguous();
  const Index total = k.y.rows * kQuads;
  std::uint64_t counters[eigen::kPhiloxBatch] = {};
  std::uint32_t words[4 * eigen::kPhiloxBatch];
  Index row = 0;
  Index quad = 0;
  for (Index first = 0; first < total; first += eigen::kPhiloxBatch) {
    const Index count = std::min(eigen::kPhiloxBatch, total - first);
    // f(block in the batch, blocks, row, block in the row) for the batch's share of each row
    const auto for_each_row = [&](const auto& f) {
      Index r = row;
      Index q = quad;
      for (Index l = 0; l < count;) {
        const Index n = std::min(count - l, kQuads - q);
        f(l, n, r, q);
        l += n;
        q += n;
        if (q == kQuads) {
          q = 0;
          ++r;
        }
      }
      return std::pair(r, q);
    };
    const auto next = for_each_row([&](Index l, Index n, Index r, Index q) {
      const std::uint64_t counter = RandomStream::counter(k.ids[r], q);
      for (Index i = 0; i < n; ++i) counters[l + i] = counter + static_cast<std::uint64_t>(i);
    });
    eigen::generate_blocks(k.random.key, counters, k.random.instance, words);
    if (flat)
      eigen::drop(4 * count, words, limit, factor, k.x.data + 4 * first, k.y.data + 4 * first, k.mask,
                  4 * first);
    else
      for_each_row([&](Index l, Index n, Index r, Index q) {
        const Index elements = std::min(4 * n, Width - 4 * q);
        eigen::drop(elements, words + 4 * l, limit, factor, k.x.row(r) + 4 * q, k.y.row(r) + 4 * q,
                    k.mask + r * ops::mask_bytes<Width>, 4 * q);
      });
    std::tie(row, quad) = next;
  }
}

template <class T, Index Width>
void run(Context<Eigen<T>>&, const ops::MaskRows<T, Width>& k) {
  for (Index i = 0; i < k.y.rows; ++i) {
    const T* x = k.x.row(i);
    T* y = k.y.row(i);
    const std::uint8_t* mask = k.mask + i * ops::mask_bytes<Width>;
    Index j = 0;
    for (; j + 8 <= Width; j += 8) eigen::mask_eight(mask[j / 8], k.factor, x + j, y + j);
    for (; j < Width; ++j) y[j] = (mask[j / 8] >> (j % 8) & 1) != 0 ? x[j] * k.factor : T(0);
  }
}

}  // namespace sma
