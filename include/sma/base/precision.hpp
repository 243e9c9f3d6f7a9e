#pragma once

#include <cstdint>
#include <sma/base/config.hpp>

/// Number types of rows and of what is computed with them.
namespace sma {

/// bfloat16: a float's sign and exponent and the first 7 bits of its fraction, 2^-8 relative rounding. Storage alone: it becomes a float
/// in any arithmetic, and a float becomes the nearest of its numbers, of two as near the even one.
struct bf16 {
  std::uint16_t bits;

  bf16() = default;
  SMA_HD constexpr bf16(float x) : bits(rounded(x)) {}  // NOLINT: implicit
  SMA_HD constexpr operator float() const {             // NOLINT: implicit
    return __builtin_bit_cast(float, static_cast<std::uint32_t>(bits) << 16);
  }
  SMA_HD bf16& operator+=(float x) { return *this = bf16(static_cast<float>(*this) + x); }
  SMA_HD bf16& operator-=(float x) { return *this = bf16(static_cast<float>(*this) - x); }
  SMA_HD bf16& operator*=(float x) { return *this = bf16(static_cast<float>(*this) * x); }

 private:
  SMA_HD static constexpr std::uint16_t rounded(float x) {
    const auto all = __builtin_bit_cast(std::uint32_t, x);  // std::bit_cast, which nvcc calls on no device
    if ((all & 0x7FFFFFFFU) > 0x7F800000U)
      return static_cast<std::uint16_t>(all >> 16 | 0x40U);  // NaN stays NaN
    return static_cast<std::uint16_t>((all + 0x7FFFU + (all >> 16 & 1U)) >> 16);
  }
};

/// The scalar of a backend whose rows are `Storage` while sums, statistics, logits, recurrences, parameters and their moments are
/// `Compute`: `sma::Eigen<sma::Precision<sma::bf16, float>>`.
template <class StorageType, class ComputeType>
struct Precision;
template <>
struct Precision<bf16, float> {
  using Storage = bf16;
  using Compute = float;
};

namespace detail {
template <class T>
struct ComputeOf {
  using type = T;
};
template <>
struct ComputeOf<bf16> {
  using type = Precision<bf16, float>::Compute;
};
template <class T>
struct StorageOf {
  using type = T;
};
template <class StorageType, class ComputeType>
struct StorageOf<Precision<StorageType, ComputeType>> {
  using type = typename Precision<StorageType, ComputeType>::Storage;
};
}  // namespace detail

/// What is computed with rows of T: T itself, float for bf16.
template <class T>
using compute_of = typename detail::ComputeOf<T>::type;
/// The rows' elements of a backend's scalar.
template <class Scalar>
using storage_of = typename detail::StorageOf<Scalar>::type;

}  // namespace sma
