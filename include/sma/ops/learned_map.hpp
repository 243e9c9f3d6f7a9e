#pragma once

#include <sma/base/dual.hpp>
#include <sma/base/precision.hpp>
#include <sma/base/views.hpp>
#include <utility>

/// y = f(x; a_c, b_c, ...), f with `Count` learned numbers a channel: numbers (Count, Width). F::value(x, a, b, ...) takes any number type.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// f at one element, and its slope by x (`By` = 0) or by learned number By - 1.
template <class T, Index Width, class F, std::size_t Count>
struct LearnedFunction {
  SMA_HD static T value(T x, const T* numbers) { return value_of(x, numbers, Places{}); }
  template <std::size_t By>
  SMA_HD static T slope(T x, const T* numbers) {
    return slope_of<By>(x, numbers, Places{});
  }

 private:
  using Places = std::make_index_sequence<Count>;
  template <std::size_t... K>
  SMA_HD static T value_of(T x, const T* numbers, std::index_sequence<K...>) {
    return F::value(x, numbers[static_cast<Index>(K) * Width]...);
  }
  template <std::size_t By, std::size_t... K>
  SMA_HD static T slope_of(T x, const T* numbers, std::index_sequence<K...>) {
    using D = Dual<T>;
    return F::value(D(x, T(By == 0 ? 1 : 0)),
                    D(numbers[static_cast<Index>(K) * Width], T(By == K + 1 ? 1 : 0))...)
        .slope;
  }
};

/// One index is one row.
template <class T, Index Width, class F, std::size_t Count>
struct LearnedMap {
  Rows<const T, Width> x;
  Rows<T, Width> y;
  const compute_of<T>* numbers;  // (Count, Width)
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    using Function = LearnedFunction<compute_of<T>, Width, F, Count>;
    for (Index j = 0; j < Width; ++j) y(i, j) = Function::value(x(i, j), numbers + j);
  }
};

/// dx = dy * df/dx.
template <class T, Index Width, class F, std::size_t Count>
struct LearnedMapBackward {
  Rows<const T, Width> x, dy;
  Rows<T, Width> dx;
  const compute_of<T>* numbers;  // (Count, Width)
  SMA_HD Index extent() const { return dx.rows; }
  SMA_HD void operator()(Index i) const {
    using Function = LearnedFunction<compute_of<T>, Width, F, Count>;
    for (Index j = 0; j < Width; ++j) dx(i, j) = dy(i, j) * Function::template slope<0>(x(i, j), numbers + j);
  }
};

/// dy * df/d number K, the terms of its gradient.
template <class T, Index Width, class F, std::size_t Count, std::size_t K>
struct LearnedTerm {
  Rows<const T, Width> x, dy;
  const compute_of<T>* numbers;  // (Count, Width)
  SMA_HD compute_of<T> operator()(Index r, Index c) const {
    using Function = LearnedFunction<compute_of<T>, Width, F, Count>;
    return dy(r, c) * Function::template slope<K + 1>(x(r, c), numbers + c);
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
