#pragma once

#include <cstddef>
#include <cstring>
#include <sma/base/config.hpp>
#include <sma/eigen/part.hpp>
#include <type_traits>
#include <utility>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

/// SIMD by hand, where the compilers' own vectorisation does not find it.
namespace sma {
inline namespace SMA_ISA {
namespace eigen {

#if defined(__AVX512F__)
inline constexpr Index kRegisterBytes = 64;
inline constexpr Index kRegisterCount = 32;
#elif defined(__AVX__)
inline constexpr Index kRegisterBytes = 32;
inline constexpr Index kRegisterCount = 16;
#else
inline constexpr Index kRegisterBytes = 16;
inline constexpr Index kRegisterCount = 16;
#endif

/// One SIMD register of this processor. GNU's vector types, because the compilers keep arrays of Eigen's in memory.
template <class T>
inline constexpr Index kRegisterWidth = kRegisterBytes / static_cast<Index>(sizeof(T));
template <class T, Index Width>
struct RegisterOf {
  using type [[gnu::vector_size(Width * sizeof(T))]] = T;
};
/// Or a part of one, of `Width` numbers.
template <class T, Index Width = kRegisterWidth<T>>
using Register = typename RegisterOf<T, Width>::type;

/// The widest SIMD register's worth of numbers.
template <class T>
struct LanesOf {
  using type [[gnu::vector_size(64)]] = T;
};
template <class T>
using Lanes = typename LanesOf<T>::type;

/// f(0), ..., f(Count - 1), written out, so that arrays indexed by the argument live in registers.
template <Index Count, class F>
[[gnu::always_inline]] inline void unrolled(const F& f) {
  [&]<std::size_t... N>(std::index_sequence<N...>) __attribute__((always_inline)) {
    (f(std::integral_constant<Index, static_cast<Index>(N)>{}), ...);
  }
  (std::make_index_sequence<static_cast<std::size_t>(Count)>{});
}

/// Lanes of 128 bits, between which processors move numbers in one cycle; sums of lanes are made inside them first.
template <class T>
inline constexpr Index kBlockLanes = 16 / static_cast<Index>(sizeof(T));

/// Every lane becomes the sum of all.
template <class T, Index Added = 1>
[[gnu::always_inline]] inline void sum_lanes(Register<T>& x) {
  constexpr Index kWidth = kRegisterWidth<T>;
  constexpr Index kBlock = kBlockLanes<T>;
  // Halves of blocks, halves of those, ..., then halves of registers, ...
  constexpr auto kApart =
      static_cast<std::size_t>(Added < kBlock ? kBlock / (2 * Added) : kWidth * kBlock / (2 * Added));
  [&]<std::size_t... Lane>(std::index_sequence<Lane...>) __attribute__((always_inline)) {
    x += __builtin_shufflevector(x, x, (Lane ^ kApart)...);
  }
  (std::make_index_sequence<static_cast<std::size_t>(kWidth)>{});
  if constexpr (2 * Added < kWidth) sum_lanes<T, 2 * Added>(x);
}

/// Of two registers with `Sums` sums each, in parts: the lane, Width more for the second register, whose number goes to `lane` of a
/// register with all the sums. Half 0: of each sum's parts the first half; half 1: the second.
template <class T, Index Width, Index Sums>
constexpr int lane_of_sum(std::size_t lane, Index half) {
  constexpr Index kBlock = kBlockLanes<T>;
  const auto l = static_cast<Index>(lane);
  if constexpr (Sums < kBlock) {  // part p of sum s of a block stands in its lane p Sums + s
    const Index sum = l % kBlock % (2 * Sums);
    const Index part = l % kBlock / (2 * Sums) + half * (kBlock / Sums / 2);
    return static_cast<int>(sum / Sums * Width + l / kBlock * kBlock + part * Sums + sum % Sums);
  } else {  // part p of a block of sums s is block s kParts + p
    constexpr Index kBlocks = Sums / kBlock;
    constexpr Index kParts = Width / Sums;
    const Index block = l / kBlock;
    const Index sum = block / (kParts / 2);
    const Index part = block % (kParts / 2) + half * (kParts / 2);
    return static_cast<int>(sum / kBlocks * Width + (sum % kBlocks * kParts + part) * kBlock + l % kBlock);
  }
}

/// sums[0] becomes the sums of the lanes of as many registers as one has lanes, in order and with the roundings of sum_lanes. Half of the
/// registers are left after each step, with twice as many sums in each.
template <class T, Index Width = kRegisterWidth<T>, Index Sums = 1>
[[gnu::always_inline]] inline void sum_each_lanes(Register<T, Width> (&sums)[array_bound<Width>]) {
  if constexpr (Sums < Width) {
    [&]<std::size_t... Lane>(std::index_sequence<Lane...>) __attribute__((always_inline)) {
      unrolled<Width / Sums / 2>([&](auto i) __attribute__((always_inline)) {
        const Register<T, Width> low =
            __builtin_shufflevector(sums[2 * i], sums[2 * i + 1], lane_of_sum<T, Width, Sums>(Lane, 0)...);
        const Register<T, Width> high =
            __builtin_shufflevector(sums[2 * i], sums[2 * i + 1], lane_of_sum<T, Width, Sums>(Lane, 1)...);
        sums[i] = low + high;
      });
    }
    (std::make_index_sequence<static_cast<std::size_t>(Width)>{});
    sum_each_lanes<T, Width, 2 * Sums>(sums);
  }
}

/// The first `count` numbers of a register from or to memory, no more than it has; zeros are behind those that are loaded. No other number
/// is touched.
template <class T>
[[gnu::always_inline]] inline void load_first(const T* from, Index count, Register<T>& x) {
  if (count == kRegisterWidth<T>) {
    std::memcpy(&x, from, sizeof(x));
    return;
  }
#ifdef __AVX512F__
  const unsigned mask = (1U << count) - 1U;
  if constexpr (sizeof(T) == sizeof(float))
    x = reinterpret_cast<Register<T>>(_mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), from));
  else
    x = reinterpret_cast<Register<T>>(_mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), from));
#else
  T part[kRegisterWidth<T>];
  for (Index l = 0; l < kRegisterWidth<T>; ++l) part[l] = l < count ? from[l] : T(0);
  std::memcpy(&x, part, sizeof(x));
#endif
}
template <class T>
[[gnu::always_inline]] inline void store_first(const Register<T>& x, Index count, T* to) {
  if (count == kRegisterWidth<T>) {  // whoever loads what a mask has stored waits until it is in memory
    std::memcpy(to, &x, sizeof(x));
    return;
  }
#ifdef __AVX512F__
  const unsigned mask = (1U << count) - 1U;
  if constexpr (sizeof(T) == sizeof(float))
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>(mask), reinterpret_cast<__m512>(x));
  else
    _mm512_mask_storeu_pd(to, static_cast<__mmask8>(mask), reinterpret_cast<__m512d>(x));
#else
  for (Index l = 0; l < count; ++l) to[l] = x[l];
#endif
}

/// Count registers from or to numbers that follow each other. One by one: compilers keep in memory what is copied as a whole.
template <class T, std::size_t Count>
[[gnu::always_inline]] inline void load_registers(const T* from, Register<T> (&x)[Count]) {
  unrolled<static_cast<Index>(Count)>(
      [&](auto i) { std::memcpy(&x[i], from + i * kRegisterWidth<T>, sizeof(x[i])); });
}
template <class T, std::size_t Count>
[[gnu::always_inline]] inline void store_registers(const Register<T> (&x)[Count], T* to) {
  unrolled<static_cast<Index>(Count)>(
      [&](auto i) { std::memcpy(to + i * kRegisterWidth<T>, &x[i], sizeof(x[i])); });
}

}  // namespace eigen
}  // namespace SMA_ISA
}  // namespace sma
