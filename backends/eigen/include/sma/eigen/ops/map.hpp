#pragma once

#include <algorithm>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/part.hpp>
#include <sma/eigen/simd/pack.hpp>
#include <sma/ops/map.hpp>

/// Element-wise functions in SIMD packs.
namespace sma {

inline namespace SMA_ISA {
namespace eigen {

/// What for_each_pack computes: types, and functions that are not part of their callers, so that all widths share one.
template <class Function>
struct Value {
  template <class V>
  [[gnu::always_inline]] V operator()(const V& x, const V&) const {
    return Function::value(x);
  }
};
template <class Function>
struct Slope {
  template <class V>
  [[gnu::always_inline]] V operator()(const V& x, const V& dy) const {
    return dy * Function::derivative(x);
  }
};

/// out = F(a, b) over `count` elements. The last ones go through a pack with zeros behind them, so that a result does not depend on where
/// in the buffer its element lies.
template <class F, class T>
SMA_NOINLINE [[gnu::flatten]] void for_each_pack(Index count, const T* a, const T* b, T* out) {
  using Many = Pack<T>;
  using One = Pack<T, 1>;
  Index i = 0;
  for (; i + Many::size <= count; i += Many::size) F()(Many::load(a + i), Many::load(b + i)).store(out + i);
  for (; i < count; i += One::size) {
    const Index left = std::min(One::size, count - i);
    F()(One::load_part(a + i, left), One::load_part(b + i, left)).store_part(out + i, left);
  }
}

/// y = f(x) and x = f'(x), over `count` elements.
template <class Function, class T>
SMA_NOINLINE [[gnu::flatten]] void apply_and_derive(Index count, T* x, T* y) {
  using Many = Pack<T>;
  using One = Pack<T, 1>;
  Index i = 0;
  for (; i + Many::size <= count; i += Many::size) {
    const Many before = Many::load(x + i);
    Function::value(before).store(y + i);
    Function::derivative(before).store(x + i);
  }
  for (; i < count; i += One::size) {
    const Index left = std::min(One::size, count - i);
    const One before = One::load_part(x + i, left);
    One(Function::value(before)).store_part(y + i, left);
    One(Function::derivative(before)).store_part(x + i, left);
  }
}

}  // namespace eigen
}  // namespace SMA_ISA

template <class T, Index Width, class Function>
  requires(Function::vectorizes)
void run(Context<Eigen<T>>&, const ops::Apply<T, Width, Function>& k) {
  using Value = eigen::Value<Function>;
  if (k.x.contiguous() && k.y.contiguous()) {
    eigen::for_each_pack<Value>(k.y.rows * Width, k.x.data, k.x.data, k.y.data);
  } else {
    for (Index i = 0; i < k.y.rows; ++i)
      eigen::for_each_pack<Value>(Width, k.x.row(i), k.x.row(i), k.y.row(i));
  }
}

template <class T, Index Width, class Function>
  requires(Function::vectorizes)
void run(Context<Eigen<T>>&, const ops::ApplyBackward<T, Width, Function>& k) {
  using Slope = eigen::Slope<Function>;
  if (k.x.contiguous() && k.dy.contiguous() && k.dx.contiguous()) {
    eigen::for_each_pack<Slope>(k.dx.rows * Width, k.x.data, k.dy.data, k.dx.data);
  } else {
    for (Index i = 0; i < k.dx.rows; ++i)
      eigen::for_each_pack<Slope>(Width, k.x.row(i), k.dy.row(i), k.dx.row(i));
  }
}

template <class T, Index Width, class Function>
  requires(Function::vectorizes)
void run(Context<Eigen<T>>&, const ops::ApplyAndDerive<T, Width, Function>& k) {
  if (k.x.contiguous() && k.y.contiguous()) {
    eigen::apply_and_derive<Function>(k.y.rows * Width, k.x.data, k.y.data);
  } else {
    for (Index i = 0; i < k.y.rows; ++i) eigen::apply_and_derive<Function>(Width, k.x.row(i), k.y.row(i));
  }
}

}  // namespace sma
