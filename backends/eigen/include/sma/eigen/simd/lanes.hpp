#pragma once

#include <cstddef>
#include <cstring>
#include <sma/base/config.hpp>
#include <sma/eigen/part.hpp>
#include <type_traits>
#include <utility>

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
struct RegisterOf {
  using type [[gnu::vector_size(kRegisterBytes)]] = T;
};
template <class T>
using Register = typename RegisterOf<T>::type;
template <class T>
inline constexpr Index kRegisterWidth = kRegisterBytes / static_cast<Index>(sizeof(T));

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

/// Every lane becomes the sum of all, halves first.
template <class T, Index Half = kRegisterWidth<T> / 2>
[[gnu::always_inline]] inline void sum_lanes(Register<T>& x) {
  [&]<std::size_t... Lane>(std::index_sequence<Lane...>) __attribute__((always_inline)) {
    x += __builtin_shufflevector(x, x, (Lane ^ static_cast<std::size_t>(Half))...);
  }
  (std::make_index_sequence<static_cast<std::size_t>(kRegisterWidth<T>)>{});
  if constexpr (Half > 1) sum_lanes<T, Half / 2>(x);
}

/// sums[0] becomes the sums of the lanes of as many registers as one has lanes, in order. Half of them are left after each step: of two,
/// the halves, quarters, ... of their lanes that belong together are added.
template <class T, Index Left = kRegisterWidth<T>>
[[gnu::always_inline]] inline void sum_each_lanes(Register<T> (&sums)[array_bound<kRegisterWidth<T>>]) {
  if constexpr (Left > 1) {
    constexpr Index kWidth = kRegisterWidth<T>;
    constexpr Index kApart = Left / 2;  // lanes of one sum in each half of a result
    [&]<std::size_t... Lane>(std::index_sequence<Lane...>) __attribute__((always_inline)) {
      // Lane l of a result holds part l % kApart of sum l / kApart: of the first register in its first half.
      constexpr auto from = [](std::size_t lane, Index part) {
        const auto l = static_cast<Index>(lane);
        const Index sum = l / kApart;
        const Index of_first = kWidth / Left;  // sums of each of the two
        return static_cast<int>((sum >= of_first ? kWidth : 0) + sum % of_first * Left + part * kApart +
                                l % kApart);
      };
      unrolled<Left / 2>([&](auto i) __attribute__((always_inline)) {
        const Register<T> low = __builtin_shufflevector(sums[2 * i], sums[2 * i + 1], from(Lane, 0)...);
        const Register<T> high = __builtin_shufflevector(sums[2 * i], sums[2 * i + 1], from(Lane, 1)...);
        sums[i] = low + high;
      });
    }
    (std::make_index_sequence<static_cast<std::size_t>(kWidth)>{});
    sum_each_lanes<T, Left / 2>(sums);
  }
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
