#pragma once

#ifndef SMA_EIGEN_WHOLE
#error "include <sma/eigen.hpp>: a part of the backend alone compiles networks without the others' forms"
#endif

#include <Eigen/Core>
#include <cstdint>
#include <cstring>
#include <sma/eigen/lanes.hpp>

/// Numbers that element-wise functions work on at a time, in registers.
namespace sma::eigen {

/// Calls f with a register's numbers as an array of Eigen's.
template <class T, class F>
[[gnu::always_inline]] inline void as_array(Register<T>& x, const F& f) {
  ::Eigen::Array<T, static_cast<int>(kRegisterWidth<T>), 1> values;
  std::memcpy(values.data(), &x, sizeof(x));
  f(values);
  std::memcpy(&x, values.data(), sizeof(x));
}

/// x = sqrt(x), lane by lane. std::sqrt of numbers is not vectorized, because of errno.
template <class T>
[[gnu::always_inline]] inline void square_root(Register<T>& x) {
  as_array<T>(x, [](auto& values) { values = values.sqrt(); });
}

/// x = e^x, lane by lane.
///
/// Single precision: with n = round(x / ln 2) and r = x - n ln 2, e^x = 2^n e^r. Of the polynomials 1 + r + c_2 r^2 + ... + c_6 r^6
/// the one used has the smallest relative error for |r| <= ln(2) / 2, 3.1e-9 (Remez); with all rounding the result is within
/// 1.5 units of 2^-24 of the exact value. Below the logarithm of the smallest normal number x counts as that; from 88.376 on, where it
/// would be 2.4e38, the result is infinity; NaN stays NaN.
///
/// 2^n is one shift, because adding 1.5 2^23 + 127 leaves n + 127 in the lowest bits of the sum. Each step for all registers before
/// the next one: a step waits for the one before, and processors do not look far enough ahead to find others by themselves.
template <Index Count>
[[gnu::always_inline]] inline void exponential(Register<float> (&x)[Count]) {
  using V = Register<float>;
  using Bits [[gnu::vector_size(kRegisterBytes)]] = std::uint32_t;
  constexpr float kShift = 0x1.8p23F + 127;
  V shifted[Count], r[Count], p[Count];
  for (V& value : x)
    as_array<float>(value, [](auto& values) { values = values.max(-87.336544F).min(89.0F); });
  for (Index i = 0; i < Count; ++i) shifted[i] = x[i] * 1.44269504088896341F + kShift;
  for (Index i = 0; i < Count; ++i) p[i] = shifted[i] - kShift;
  for (Index i = 0; i < Count; ++i) r[i] = x[i] - p[i] * 0.693359375F;
  for (Index i = 0; i < Count; ++i) r[i] = r[i] + p[i] * 2.12194440e-4F;
  for (Index i = 0; i < Count; ++i) p[i] = r[i] * 1.38145401768e-3F + 8.36874510894e-3F;
  for (Index i = 0; i < Count; ++i) p[i] = p[i] * r[i] + 4.16683907835e-2F;
  for (Index i = 0; i < Count; ++i) p[i] = p[i] * r[i] + 1.66665203990e-1F;
  for (Index i = 0; i < Count; ++i) p[i] = p[i] * r[i] + 4.99999934321e-1F;
  for (Index i = 0; i < Count; ++i) p[i] = p[i] * (r[i] * r[i]) + r[i] + 1.0F;
  for (Index i = 0; i < Count; ++i) {
    Bits bits;
    std::memcpy(&bits, &shifted[i], sizeof(bits));
    bits <<= 23;
    V power;
    std::memcpy(&power, &bits, sizeof(power));
    x[i] = p[i] * power;
  }
}
/// Double precision: Eigen's.
template <Index Count>
[[gnu::always_inline]] inline void exponential(Register<double> (&x)[Count]) {
  for (Register<double>& value : x) as_array<double>(value, [](auto& values) { values = values.exp(); });
}

/// Four registers: what a function with `vectorizes` gets instead of a number. It has + - * /, exp and sqrt.
template <class T>
class Pack {
 public:
  static constexpr Index registers = 4;
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
  [[gnu::always_inline]] friend Pack sqrt(const Pack& a) {
    Pack result = a;
    for (Register<T>& x : result.at_) square_root<T>(x);
    return result;
  }

 private:
  Register<T> at_[registers];
};

}  // namespace sma::eigen
