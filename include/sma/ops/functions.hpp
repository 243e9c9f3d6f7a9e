#pragma once

#include <cmath>
#include <sma/base/config.hpp>

/// Activation functions as types: `value(x)` and `derivative(x)`. Those with `vectorizes` are generic over "a scalar or a
/// pack of scalars", so that one definition runs per thread on a GPU and per SIMD pack on a CPU.
namespace sma {
inline namespace SMA_ISA {
namespace functions {

/// max(x, 0), NaN for NaN; of a number here, of a pack beside it.
template <class T>
SMA_HD T positive(const T& x) {
  return x <= 0 ? T(0) : x;
}
/// 1 where x is above 0 or NaN, 0 elsewhere.
template <class T>
SMA_HD T is_positive(const T& x) {
  return x <= 0 ? T(0) : T(1);
}

/// x * sigmoid(x). PyTorch: nn.SiLU.
struct SiLU {
  static constexpr bool vectorizes = true;
  template <class V>
  SMA_HD static V value(const V& x) {
    using std::exp;
    const V e = exp(-x);
    return x / (1 + e);
  }
  template <class V>
  SMA_HD static V derivative(const V& x) {
    using std::exp;
    const V e = exp(-x);
    const V s = 1 / (1 + e);
    return s * (1 + x * (1 - s));
  }
};

/// 1 / (1 + e^-x). PyTorch: nn.Sigmoid.
struct Sigmoid {
  static constexpr bool vectorizes = true;
  template <class V>
  SMA_HD static V value(const V& x) {
    using std::exp;
    const V e = exp(-x);
    return 1 / (1 + e);
  }
  template <class V>
  SMA_HD static V derivative(const V& x) {
    const V s = value(x);
    return s * (1 - s);
  }
};

/// PyTorch: nn.Tanh.
struct Tanh {
  static constexpr bool vectorizes = true;
  template <class V>
  SMA_HD static V value(const V& x) {
    using std::tanh;
    return tanh(x);
  }
  template <class V>
  SMA_HD static V derivative(const V& x) {
    const V t = value(x);
    return 1 - t * t;
  }
};

/// x * Phi(x) with the exact normal distribution function. PyTorch: nn.GELU().
struct GELU {
  static constexpr bool vectorizes = false;
  template <class T>
  SMA_HD static T value(const T& x) {
    return x * T(0.5) * (1 + std::erf(x * T(0.70710678118654752440)));
  }
  template <class T>
  SMA_HD static T derivative(const T& x) {
    const T phi = T(0.39894228040143267794) * std::exp(T(-0.5) * x * x);
    return T(0.5) * (1 + std::erf(x * T(0.70710678118654752440))) + x * phi;
  }
};

/// max(x, 0), NaN for NaN. PyTorch: nn.ReLU.
struct ReLU {
  static constexpr bool vectorizes = true;
  template <class V>
  SMA_HD static V value(const V& x) {
    return positive(x);
  }
  template <class V>
  SMA_HD static V derivative(const V& x) {
    return is_positive(x);
  }
};

/// max(x, 0)^2, NaN for NaN (So et al., Primer, 2021).
struct ReLU2 {
  static constexpr bool vectorizes = true;
  template <class V>
  SMA_HD static V value(const V& x) {
    const V p = positive(x);
    return p * p;
  }
  template <class V>
  SMA_HD static V derivative(const V& x) {
    return 2 * positive(x);
  }
};

/// x.
struct Identity {
  static constexpr bool vectorizes = false;
  template <class T>
  SMA_HD static T value(const T& x) {
    return x;
  }
  template <class T>
  SMA_HD static T derivative(const T&) {
    return T(1);
  }
};

}  // namespace functions
}  // namespace SMA_ISA
}  // namespace sma
