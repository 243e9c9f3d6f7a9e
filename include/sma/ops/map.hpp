#pragma once

#include <sma/base/precision.hpp>
#include <sma/base/views.hpp>

/// y = f(x), element by element, f one of functions.hpp. One index is one row.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// y = f(x) with an activation functor (activations.hpp).
template <class T, Index Width, class Function>
struct Apply {
  Rows<const T, Width> x;
  Rows<T, Width> y;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    for (Index j = 0; j < Width; ++j) y(i, j) = Function::value(static_cast<compute_of<T>>(x(i, j)));
  }
};

/// dx = f'(x) * dy.
template <class T, Index Width, class Function>
struct ApplyBackward {
  Rows<const T, Width> x, dy;
  Rows<T, Width> dx;
  SMA_HD Index extent() const { return dx.rows; }
  SMA_HD void operator()(Index i) const {
    for (Index j = 0; j < Width; ++j)
      dx(i, j) = dy(i, j) * Function::derivative(static_cast<compute_of<T>>(x(i, j)));
  }
};

/// y = f(x), and x becomes f'(x).
template <class T, Index Width, class Function>
struct ApplyAndDerive {
  Rows<T, Width> x, y;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    for (Index j = 0; j < Width; ++j) {
      const compute_of<T> before = x(i, j);
      y(i, j) = Function::value(before);
      x(i, j) = Function::derivative(before);
    }
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
