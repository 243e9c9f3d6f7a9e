#pragma once

#include <sma/base/precision.hpp>
#include <sma/base/views.hpp>
#include <sma/device/fill.hpp>

/// Whole rows: filled, copied, added. One index is one row; the loop over the static width vectorises on the CPU.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

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

/// y = x, which may be numbers of another type.
template <class T, Index Width, class From = T>
struct CopyRows {
  Rows<const From, Width> x;
  Rows<T, Width> y;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    const From* from = x.row(i);
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
  compute_of<T> factor;
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

/// y += x.
template <class T, Index Width>
struct AddTo {
  const T* x;
  T* y;
  SMA_HD Index extent() const { return Width; }
  SMA_HD void operator()(Index c) const { y[c] += x[c]; }
};

/// y = y + weight * x, of one row. One index is one element.
template <class T, Index Width>
struct AddWeighted {
  compute_of<T> weight;
  Rows<const T, Width> x;
  Rows<T, Width> y;
  SMA_HD Index extent() const { return Width; }
  SMA_HD void operator()(Index j) const { y.data[j] += weight * x.data[j]; }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
