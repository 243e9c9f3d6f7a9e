#pragma once

#include <sma/core/backend.hpp>
#include <sma/core/views.hpp>

/// Kernels over rows of equal shape. One index is one row; the loop over the static width vectorises on the CPU.
namespace sma {
inline namespace SMA_ISA {
namespace kernels {

/// data[i] = value.
template <class T>
struct Fill {
  T* data;
  Index count;
  T value;
  SMA_HD Index extent() const { return count; }
  SMA_HD void operator()(Index i) const { data[i] = value; }
};

/// y = value.
template <class T, Index Width>
struct FillRows {
  T value;
  Rows<T, Width> y;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    T* to = y.row(i);
    for (Index j = 0; j < Width; ++j) to[j] = value;
  }
};

/// y = x.
template <class T, Index Width>
struct CopyRows {
  Rows<const T, Width> x;
  Rows<T, Width> y;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    const T* from = x.row(i);
    T* to = y.row(i);
    for (Index j = 0; j < Width; ++j) to[j] = from[j];
  }
};

/// y = y + x.
template <class T, Index Width>
struct AddRows {
  Rows<const T, Width> x;
  Rows<T, Width> y;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    const T* from = x.row(i);
    T* to = y.row(i);
    for (Index j = 0; j < Width; ++j) to[j] += from[j];
  }
};

/// y = factor * x.
template <class T, Index Width>
struct ScaleRows {
  T factor;
  Rows<const T, Width> x;
  Rows<T, Width> y;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    const T* from = x.row(i);
    T* to = y.row(i);
    for (Index j = 0; j < Width; ++j) to[j] = factor * from[j];
  }
};

/// y = a * b, element by element.
template <class T, Index Width>
struct MultiplyRows {
  Rows<const T, Width> a, b;
  Rows<T, Width> y;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    const T* pa = a.row(i);
    const T* pb = b.row(i);
    T* to = y.row(i);
    for (Index j = 0; j < Width; ++j) to[j] = pa[j] * pb[j];
  }
};

/// y = f(x) with an activation functor (activations.hpp).
template <class T, Index Width, class Function>
struct Apply {
  Rows<const T, Width> x;
  Rows<T, Width> y;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    for (Index j = 0; j < Width; ++j) y(i, j) = Function::value(x(i, j));
  }
};

/// dx = f'(x) * dy.
template <class T, Index Width, class Function>
struct ApplyBackward {
  Rows<const T, Width> x, dy;
  Rows<T, Width> dx;
  SMA_HD Index extent() const { return dx.rows; }
  SMA_HD void operator()(Index i) const {
    for (Index j = 0; j < Width; ++j) dx(i, j) = dy(i, j) * Function::derivative(x(i, j));
  }
};

/// y = f(x), and x becomes f'(x).
template <class T, Index Width, class Function>
struct ApplyAndDerive {
  Rows<T, Width> x, y;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    for (Index j = 0; j < Width; ++j) {
      const T before = x(i, j);
      y(i, j) = Function::value(before);
      x(i, j) = Function::derivative(before);
    }
  }
};

/// Sum over a row with 16 partial sums in a fixed order, so that it vectorises without -ffast-math and is the same on
/// every backend. f(j) is the j-th term.
template <class T, Index Width, class Term>
SMA_HD T row_sum(const Term& f) {
  constexpr Index kLanes = 16;
  if constexpr (Width < 2 * kLanes) {
    T total = 0;
    for (Index j = 0; j < Width; ++j) total += f(j);
    return total;
  } else {
    T partial[kLanes];
    for (Index l = 0; l < kLanes; ++l) partial[l] = f(l);
    constexpr Index whole = Width / kLanes * kLanes;
    for (Index j = kLanes; j < whole; j += kLanes)
      for (Index l = 0; l < kLanes; ++l) partial[l] += f(j + l);
    for (Index j = whole; j < Width; ++j) partial[j - whole] += f(j);
    for (Index half = kLanes / 2; half > 0; half /= 2)
      for (Index l = 0; l < half; ++l) partial[l] += partial[l + half];
    return partial[0];
  }
}

/// out[c] += sum over rows r of term(r, c), for c in 0..Width-1. `Term` is a functor over views.
template <class T, Index Width, class Term>
struct ColumnSum {
  Index rows;
  Term term;
  T* out;  // (Width)
  SMA_HD Index extent() const { return Width; }
  SMA_HD void operator()(Index c) const {
    T total = 0;
    for (Index r = 0; r < rows; ++r) total += term(r, c);
    out[c] += total;
  }
};

/// Two of them, whose terms share what they read. A problem rather than a kernel: plainly it is one after the other.
template <class T, Index Width, class First, class Second>
struct ColumnSums {
  Index rows;
  First first;
  Second second;
  T* first_out;   // (Width)
  T* second_out;  // (Width)
};

/// Terms for ColumnSum.
template <class T, Index Width>
struct ElementTerm {  // x
  Rows<const T, Width> x;
  SMA_HD T operator()(Index r, Index c) const { return x(r, c); }
};
template <class T, Index Width>
struct ProductTerm {  // a * b
  Rows<const T, Width> a, b;
  SMA_HD T operator()(Index r, Index c) const { return a(r, c) * b(r, c); }
};

}  // namespace kernels
}  // namespace SMA_ISA
}  // namespace sma

namespace sma {

template <class C, class T, Index Width, class First, class Second>
PlainForm run(C& ctx, const kernels::ColumnSums<T, Width, First, Second>& problem) {
  ctx.launch(kernels::ColumnSum<T, Width, First>{problem.rows, problem.first, problem.first_out});
  ctx.launch(kernels::ColumnSum<T, Width, Second>{problem.rows, problem.second, problem.second_out});
  return {};
}

}  // namespace sma
