#pragma once

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

/// x = e^x, lane by lane. Double precision: Eigen's.
template <class T>
[[gnu::always_inline]] inline void exponential(Register<T>& x) {
  as_array<T>(x, [](auto& values) { values = values.exp(); });
}

/// Single precision: with n = round(x / ln 2) and r = x - n ln 2, e^x = 2^n e^r, e^r by Cephes' polynomial (Moshier, "Methods and
/// Programs for Mathematical Functions", 1989), within 1.4 units of 2^-24 of the exact value. Below the logarithm of the smallest
/// normal number x counts as that, and above 88.37 as 88.37 (2.4e38); NaN stays NaN.
///
/// 2^n is one shift, because adding 1.5 2^23 + 127 leaves n + 127 in the
/// lowest bits of the sum.
template <>
[[gnu::always_inline]] inline void exponential<float>(Register<float>& x) {
  using V = Register<float>;
  using Bits [[gnu::vector_size(kRegisterBytes)]] = std::uint32_t;
  constexpr float kLowest = -87.336544F;
  constexpr float kHighest = 88.376259F;
  constexpr float kShift = 0x1.8p23F + 127;
  x = x < kLowest ? V{} + kLowest : x;
  x = x > kHighest ? V{} + kHighest : x;
  const V shifted = x * 1.44269504088896341F + kShift;
  const V n = shifted - kShift;
  const V r = x - n * 0.693359375F + n * 2.12194440e-4F;
  V p = r * 1.9875691500e-4F + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  Bits bits;
  std::memcpy(&bits, &shifted, sizeof(bits));
  bits <<= 23;
  V power;
  std::memcpy(&power, &bits, sizeof(power));
  x = p * power;
}

/// x = sqrt(x), lane by lane. std::sqrt of numbers is not vectorized, because of errno.
template <class T>
[[gnu::always_inline]] inline void square_root(Register<T>& x) {
  as_array<T>(x, [](auto& values) { values = values.sqrt(); });
}

/// Two registers: what a function with `vectorizes` gets instead of a number. It has + - * /, exp and sqrt.
template <class T>
class Pack {
 public:
  static constexpr Index size = 2 * kRegisterWidth<T>;

  Pack() = default;
  [[gnu::always_inline]] Pack(T value)  // NOLINT: implicit, as for numbers
      : first_(Register<T>{} + value), second_(first_) {}
  [[gnu::always_inline]] static Pack load(const T* from) {
    Register<T> first;
    Register<T> second;
    std::memcpy(&first, from, sizeof(first));
    std::memcpy(&second, from + size / 2, sizeof(second));
    return {first, second};
  }
  [[gnu::always_inline]] void store(T* to) const {
    std::memcpy(to, &first_, sizeof(first_));
    std::memcpy(to + size / 2, &second_, sizeof(second_));
  }

  [[gnu::always_inline]] friend Pack operator+(const Pack& a, const Pack& b) {
    return {a.first_ + b.first_, a.second_ + b.second_};
  }
  [[gnu::always_inline]] friend Pack operator-(const Pack& a, const Pack& b) {
    return {a.first_ - b.first_, a.second_ - b.second_};
  }
  [[gnu::always_inline]] friend Pack operator*(const Pack& a, const Pack& b) {
    return {a.first_ * b.first_, a.second_ * b.second_};
  }
  [[gnu::always_inline]] friend Pack operator/(const Pack& a, const Pack& b) {
    return {a.first_ / b.first_, a.second_ / b.second_};
  }
  [[gnu::always_inline]] friend Pack operator-(const Pack& a) { return {-a.first_, -a.second_}; }
  [[gnu::always_inline]] friend Pack exp(const Pack& a) {
    Pack result = a;
    exponential<T>(result.first_);
    exponential<T>(result.second_);
    return result;
  }
  [[gnu::always_inline]] friend Pack sqrt(const Pack& a) {
    Pack result = a;
    square_root<T>(result.first_);
    square_root<T>(result.second_);
    return result;
  }

 private:
  [[gnu::always_inline]] Pack(const Register<T>& first, const Register<T>& second)
      : first_(first), second_(second) {}

  Register<T> first_, second_;
};

}  // namespace sma::eigen
