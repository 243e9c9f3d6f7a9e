#pragma once

#include <cmath>
#include <sma/base/config.hpp>
#include <type_traits>

namespace sma {

inline namespace SMA_ISA {

/// A number and its derivative by one variable: f(Dual{x, 1}).slope is f'(x), for any f that is written for every number type.
/// `T` is a scalar, or what computes as one (a SIMD register of them). Comparisons see the value alone.
template <class T>
struct Dual {
  T value;
  T slope;

  SMA_HD Dual(const T& v, const T& s) : value(v), slope(s) {}
  /// A constant.
  SMA_HD Dual(const T& v) : value(v), slope(constant(0)) {}  // NOLINT: implicit
  template <class U>
    requires(std::is_arithmetic_v<U> && !std::is_same_v<U, T>)
  SMA_HD Dual(U v) : value(constant(v)), slope(constant(0)) {}  // NOLINT: implicit

  SMA_HD friend Dual operator-(const Dual& a) { return {-a.value, -a.slope}; }
  SMA_HD friend Dual operator+(const Dual& a, const Dual& b) {
    return {a.value + b.value, a.slope + b.slope};
  }
  SMA_HD friend Dual operator-(const Dual& a, const Dual& b) {
    return {a.value - b.value, a.slope - b.slope};
  }
  SMA_HD friend Dual operator*(const Dual& a, const Dual& b) {
    return {a.value * b.value, a.slope * b.value + a.value * b.slope};
  }
  SMA_HD friend Dual operator/(const Dual& a, const Dual& b) {
    const T quotient = a.value / b.value;
    return {quotient, (a.slope - quotient * b.slope) / b.value};
  }
  SMA_HD Dual& operator+=(const Dual& b) { return *this = *this + b; }
  SMA_HD Dual& operator-=(const Dual& b) { return *this = *this - b; }
  SMA_HD Dual& operator*=(const Dual& b) { return *this = *this * b; }
  SMA_HD Dual& operator/=(const Dual& b) { return *this = *this / b; }

  /// A T whose numbers are all v.
  template <class U>
  SMA_HD static T constant(U v) {
    if constexpr (requires { typename T::Scalar; })
      return T(static_cast<typename T::Scalar>(v));
    else
      return static_cast<T>(v);
  }

  SMA_HD friend bool operator<(const Dual& a, const Dual& b) { return a.value < b.value; }
  SMA_HD friend bool operator>(const Dual& a, const Dual& b) { return a.value > b.value; }
  SMA_HD friend bool operator<=(const Dual& a, const Dual& b) { return a.value <= b.value; }
  SMA_HD friend bool operator>=(const Dual& a, const Dual& b) { return a.value >= b.value; }
};

// Found by argument: `using std::exp; exp(x)` is right for scalars and for these.

template <class T>
SMA_HD Dual<T> exp(const Dual<T>& x) {
  using std::exp;
  const T e = exp(x.value);
  return {e, x.slope * e};
}
template <class T>
SMA_HD Dual<T> log(const Dual<T>& x) {
  using std::log;
  return {log(x.value), x.slope / x.value};
}
template <class T>
SMA_HD Dual<T> sqrt(const Dual<T>& x) {
  using std::sqrt;
  const T root = sqrt(x.value);
  return {root, x.slope / (root + root)};
}
template <class T>
SMA_HD Dual<T> sin(const Dual<T>& x) {
  using std::cos, std::sin;
  return {sin(x.value), x.slope * cos(x.value)};
}
template <class T>
SMA_HD Dual<T> cos(const Dual<T>& x) {
  using std::cos, std::sin;
  return {cos(x.value), -x.slope * sin(x.value)};
}
template <class T>
SMA_HD Dual<T> tanh(const Dual<T>& x) {
  using std::tanh;
  const T t = tanh(x.value);
  return {t, x.slope * (Dual<T>::constant(1) - t * t)};
}
template <class T>
SMA_HD Dual<T> erf(const Dual<T>& x) {
  using std::erf, std::exp;
  return {erf(x.value), x.slope * Dual<T>::constant(1.12837916709551257390) * exp(-x.value * x.value)};
}
/// At 0 the slope is that of x.
template <class T>
SMA_HD Dual<T> abs(const Dual<T>& x) {
  return x.value < Dual<T>::constant(0) ? -x : x;
}
/// Of two equal ones the first.
template <class T>
SMA_HD Dual<T> max(const Dual<T>& a, const Dual<T>& b) {
  return a.value < b.value ? b : a;
}
template <class T>
SMA_HD Dual<T> min(const Dual<T>& a, const Dual<T>& b) {
  return b.value < a.value ? b : a;
}
/// A constant exponent.
template <class T>
SMA_HD Dual<T> pow(const Dual<T>& x, const T& exponent) {
  using std::pow;
  return {pow(x.value, exponent), x.slope * exponent * pow(x.value, exponent - Dual<T>::constant(1))};
}

}  // namespace SMA_ISA

}  // namespace sma
