#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <cstring>
#include <limits>
#include <sma/eigen/part.hpp>
#include <sma/eigen/simd/lanes.hpp>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

/// Numbers that element-wise functions work on at a time, in registers.
namespace sma {
inline namespace SMA_ISA {
namespace eigen {

#if defined(__AVX512F__)

// The forms that take a mask, here of all lanes: g++ 12 warns of the undefined registers in those without one (GCC bug 105593), which
// Eigen uses.

/// x = min(max(x, low), high), lane by lane; NaN stays NaN.
[[gnu::always_inline]] inline void clamp(Register<float>& x, float low, float high) {
  x = _mm512_maskz_min_ps(0xFFFF, _mm512_set1_ps(high), _mm512_maskz_max_ps(0xFFFF, _mm512_set1_ps(low), x));
}
[[gnu::always_inline]] inline void clamp(Register<double>& x, double low, double high) {
  x = _mm512_maskz_min_pd(0xFF, _mm512_set1_pd(high), _mm512_maskz_max_pd(0xFF, _mm512_set1_pd(low), x));
}

/// x = sqrt(x), lane by lane. With r = 1 / sqrt(x), estimated to 2^-14 (and improved to 2^-27 for double precision), and s = x r it is
/// s + (x - s^2) r / 2, which waits for no divider; 0 and infinity are their own roots.
[[gnu::always_inline]] inline void square_root(Register<float>& x) {
  const __mmask16 changes = _mm512_mask_cmp_ps_mask(
      _mm512_cmp_ps_mask(x, _mm512_set1_ps(std::numeric_limits<float>::infinity()), _CMP_LT_OQ), x,
      _mm512_setzero_ps(), _CMP_NEQ_UQ);
  const __m512 r = _mm512_maskz_rsqrt14_ps(changes, x);
  const __m512 s = _mm512_mask_mul_ps(x, changes, x, r);
  x = _mm512_mask3_fmadd_ps(_mm512_fnmadd_ps(s, s, x), _mm512_set1_ps(0.5F) * r, s, changes);
}
[[gnu::always_inline]] inline void square_root(Register<double>& x) {
  const __mmask8 changes = _mm512_mask_cmp_pd_mask(
      _mm512_cmp_pd_mask(x, _mm512_set1_pd(std::numeric_limits<double>::infinity()), _CMP_LT_OQ), x,
      _mm512_setzero_pd(), _CMP_NEQ_UQ);
  __m512d r = _mm512_maskz_rsqrt14_pd(changes, x);
  r = r * _mm512_fnmadd_pd(x * _mm512_set1_pd(0.5) * r, r, _mm512_set1_pd(1.5));
  const __m512d s = _mm512_mask_mul_pd(x, changes, x, r);
  x = _mm512_mask3_fmadd_pd(_mm512_fnmadd_pd(s, s, x), _mm512_set1_pd(0.5) * r, s, changes);
}

#else

/// Calls f with a register's numbers as an array of Eigen's.
template <class T, class F>
[[gnu::always_inline]] inline void as_array(Register<T>& x, const F& f) {
  ::Eigen::Array<T, static_cast<int>(kRegisterWidth<T>), 1> values;
  std::memcpy(values.data(), &x, sizeof(x));
  f(values);
  std::memcpy(&x, values.data(), sizeof(x));
}

/// x = min(max(x, low), high), lane by lane; NaN stays NaN.
[[gnu::always_inline]] inline void clamp(Register<float>& x, float low, float high) {
  as_array<float>(x, [=](auto& values) { values = values.max(low).min(high); });
}
[[gnu::always_inline]] inline void clamp(Register<double>& x, double low, double high) {
  as_array<double>(x, [=](auto& values) { values = values.max(low).min(high); });
}

/// x = sqrt(x), lane by lane. std::sqrt of numbers is not vectorized, because of errno.
[[gnu::always_inline]] inline void square_root(Register<float>& x) {
  as_array<float>(x, [](auto& values) { values = values.sqrt(); });
}
[[gnu::always_inline]] inline void square_root(Register<double>& x) {
  as_array<double>(x, [](auto& values) { values = values.sqrt(); });
}

#endif

/// x = e^x, lane by lane.
///
/// Single precision: with n = round(x / ln 2) and r = x - n ln 2, e^x = 2^n e^r. Of the polynomials 1 + r + c_2 r^2 + ... + c_6 r^6
/// the one used has the smallest relative error for |r| <= ln(2) / 2, 3.1e-9 (Remez); with all rounding the result is within
/// 1.5 units of 2^-24 of the exact value. Below the logarithm of the smallest normal number x counts as that; from 88.376 on, where it
/// would be 2.4e38, the result is infinity; NaN stays NaN.
///
/// 2^n is one shift, because adding 1.5 2^23 + 127 leaves n + 127 in the lowest bits of the sum. Each step for all registers before
/// the next one: a step waits for the one before, and processors do not look far enough ahead to find others by themselves.
///
/// MinusOne: x = e^x - 1, as 2^n (e^r - 1) + (2^n - 1), which keeps its digits near 0.
template <bool MinusOne = false, std::size_t Count>
[[gnu::always_inline]] inline void exponential(Register<float> (&x)[Count]) {
  using V = Register<float>;
  using Bits [[gnu::vector_size(kRegisterBytes)]] = std::uint32_t;
  constexpr float kShift = 0x1.8p23F + 127;
  V shifted[Count], r[Count], p[Count];
  for (V& value : x) clamp(value, -87.336544F, 89.0F);
  for (std::size_t i = 0; i < Count; ++i) shifted[i] = x[i] * 1.44269504088896341F + kShift;
  for (std::size_t i = 0; i < Count; ++i) p[i] = shifted[i] - kShift;
  for (std::size_t i = 0; i < Count; ++i) r[i] = x[i] - p[i] * 0.693359375F;
  for (std::size_t i = 0; i < Count; ++i) r[i] = r[i] + p[i] * 2.12194440e-4F;
  for (std::size_t i = 0; i < Count; ++i) p[i] = r[i] * 1.38145401768e-3F + 8.36874510894e-3F;
  for (std::size_t i = 0; i < Count; ++i) p[i] = p[i] * r[i] + 4.16683907835e-2F;
  for (std::size_t i = 0; i < Count; ++i) p[i] = p[i] * r[i] + 1.66665203990e-1F;
  for (std::size_t i = 0; i < Count; ++i) p[i] = p[i] * r[i] + 4.99999934321e-1F;
  for (std::size_t i = 0; i < Count; ++i) p[i] = p[i] * (r[i] * r[i]) + r[i] + (MinusOne ? 0.0F : 1.0F);
  for (std::size_t i = 0; i < Count; ++i) {
    Bits bits;
    std::memcpy(&bits, &shifted[i], sizeof(bits));
    bits <<= 23;
    V power;
    std::memcpy(&power, &bits, sizeof(power));
    x[i] = p[i] * power;
    if constexpr (MinusOne) x[i] += power - 1;
  }
}

/// Double precision, in the same way: the polynomial goes to r^11 (relative error 3.6e-18), n ln 2 is subtracted in two parts, and the
/// result is within 1.5 units of 2^-53 of the exact value for x from -708.39 to 709.43, and infinite above.
template <bool MinusOne = false, std::size_t Count>
[[gnu::always_inline]] inline void exponential(Register<double> (&x)[Count]) {
  using V = Register<double>;
  using Bits [[gnu::vector_size(kRegisterBytes)]] = std::uint64_t;
  constexpr double kShift = 0x1.8p52 + 1023;
  constexpr double kCoefficients[] = {0x1.ad7f7b1096349p-26, 0x1.28ad689e8aee0p-22, 0x1.71df253a08086p-19,
                                      0x1.a0199a16e68edp-16, 0x1.a01a012a69cf4p-13, 0x1.6c16c184266b4p-10,
                                      0x1.1111111127b9bp-7,  0x1.555555555088cp-5,  0x1.55555555554fap-3,
                                      0x1.000000000000ap-1};  // of r^11 to r^2
  V shifted[Count], r[Count], p[Count];
  for (V& value : x) clamp(value, -708.39, 710.0);
  for (std::size_t i = 0; i < Count; ++i) shifted[i] = x[i] * 0x1.71547652b82fep0 + kShift;
  for (std::size_t i = 0; i < Count; ++i) p[i] = shifted[i] - kShift;
  for (std::size_t i = 0; i < Count; ++i) r[i] = x[i] - p[i] * 0x1.62e42feep-1;
  for (std::size_t i = 0; i < Count; ++i) r[i] = r[i] - p[i] * 0x1.a39ef35793c76p-33;
  for (std::size_t i = 0; i < Count; ++i) p[i] = r[i] * kCoefficients[0] + kCoefficients[1];
  unrolled<8>([&](auto c) {
    for (std::size_t i = 0; i < Count; ++i) p[i] = p[i] * r[i] + kCoefficients[c + 2];
  });
  for (std::size_t i = 0; i < Count; ++i) p[i] = p[i] * (r[i] * r[i]) + r[i] + (MinusOne ? 0.0 : 1.0);
  for (std::size_t i = 0; i < Count; ++i) {
    Bits bits;
    std::memcpy(&bits, &shifted[i], sizeof(bits));
    bits <<= 52;
    V power;
    std::memcpy(&power, &bits, sizeof(power));
    x[i] = p[i] * power;
    if constexpr (MinusOne) x[i] += power - 1;
  }
}

/// Four registers, or one: what a function with `vectorizes` gets instead of a number. It has + - * /, exp, tanh, sqrt, and
/// functions::positive and is_positive.
template <class T, Index Registers = 4>
class Pack {
 public:
  using Scalar = T;
  static constexpr Index registers = Registers;
  static constexpr Index size = registers * kRegisterWidth<T>;

  Pack() = default;
  [[gnu::always_inline]] Pack(T value) {  // NOLINT: implicit, as for numbers
    for (Register<T>& x : at_) x = Register<T>{} + value;
  }
  [[gnu::always_inline]] static Pack load(const T* from) {
    Pack result;
    load_registers(from, result.at_);
    return result;
  }
  [[gnu::always_inline]] void store(T* to) const { store_registers(at_, to); }
  /// Of one register: the first `count` numbers, zeros behind them; nothing else is touched.
  [[gnu::always_inline]] static Pack load_part(const T* from, Index count)
    requires(Registers == 1)
  {
    Pack result;
    load_first(from, count, result.at_[0]);
    return result;
  }
  [[gnu::always_inline]] void store_part(T* to, Index count) const
    requires(Registers == 1)
  {
    store_first(at_[0], count, to);
  }

  [[gnu::always_inline]] friend Pack operator+(const Pack& a, const Pack& b) {
    Pack result;
    for (Index i = 0; i < registers; ++i) result.at_[i] = a.at_[i] + b.at_[i];
    return result;
  }
  [[gnu::always_inline]] friend Pack operator-(const Pack& a, const Pack& b) {
    Pack result;
    for (Index i = 0; i < registers; ++i) result.at_[i] = a.at_[i] - b.at_[i];
    return result;
  }
  [[gnu::always_inline]] friend Pack operator*(const Pack& a, const Pack& b) {
    Pack result;
    for (Index i = 0; i < registers; ++i) result.at_[i] = a.at_[i] * b.at_[i];
    return result;
  }
  [[gnu::always_inline]] friend Pack operator/(const Pack& a, const Pack& b) {
    Pack result;
    for (Index i = 0; i < registers; ++i) result.at_[i] = a.at_[i] / b.at_[i];
    return result;
  }
  [[gnu::always_inline]] friend Pack operator-(const Pack& a) {
    Pack result;
    for (Index i = 0; i < registers; ++i) result.at_[i] = -a.at_[i];
    return result;
  }
  [[gnu::always_inline]] friend Pack exp(const Pack& a) {
    Pack result = a;
    exponential(result.at_);
    return result;
  }
  /// tanh x = t / (t + 2), t = e^2x - 1. From |2 x| = 20 (40) on it is 1 in single (double) precision.
  [[gnu::always_inline]] friend Pack tanh(const Pack& a) {
    constexpr T kMost = sizeof(T) == 4 ? T(20) : T(40);
    Pack result = a + a;
    for (Register<T>& x : result.at_) clamp(x, -kMost, kMost);
    exponential<true>(result.at_);
    return result / (result + 2);
  }
  [[gnu::always_inline]] friend Pack positive(const Pack& a) {
    Pack result = a;
    for (Register<T>& x : result.at_) x = x <= 0 ? Register<T>{} : x;
    return result;
  }
  [[gnu::always_inline]] friend Pack is_positive(const Pack& a) {
    Pack result(T(1));
    for (Index i = 0; i < registers; ++i) result.at_[i] = a.at_[i] <= 0 ? Register<T>{} : result.at_[i];
    return result;
  }
  [[gnu::always_inline]] friend Pack sqrt(const Pack& a) {
    Pack result = a;
    for (Register<T>& x : result.at_) square_root(x);
    return result;
  }

 private:
  Register<T> at_[array_bound<registers>];
};

}  // namespace eigen
}  // namespace SMA_ISA
}  // namespace sma
