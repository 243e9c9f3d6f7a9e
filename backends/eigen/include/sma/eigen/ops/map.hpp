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

/// out = F(a, b) over `count` elements. The last elements go through a padded pack, so that a result does not depend on where in
/// the buffer its element lies.
template <class F, class T>
SMA_NOINLINE [[gnu::flatten]] void for_each_pack(Index count, const T* a, const T* b, T* out) {
  Index i = 0;
  const auto apply = [&]<class P>(P) {
    for (; i + P::size <= count; i += P::size) F()(P::load(a + i), P::load(b + i)).store(out + i);
  };
  apply(Pack<T>());
  apply(Pack<T, 1>());
  if (i == count) return;
  constexpr Index kSize = Pack<T, 1>::size;
  T rest[2][array_bound<kSize>] = {};
  std::copy(a + i, a + count, rest[0]);
  std::copy(b + i, b + count, rest[1]);
  for_each_pack<F>(kSize, rest[0], rest[1], rest[0]);
  std::copy_n(rest[0], count - i, out + i);
}

/// y = f(x) and x = f'(x), over `count` elements.
template <class Function, class T>
SMA_NOINLINE [[gnu::flatten]] void apply_and_derive(Index count, T* x, T* y) {
  Index i = 0;
  const auto apply = [&]<class P>(P) {
    for (; i + P::size <= count; i += P::size) {
      const P before = P::load(x + i);
      Function::value(before).store(y + i);
      Function::derivative(before).store(x + i);
    }
  };
  apply(Pack<T>());
  apply(Pack<T, 1>());
  if (i == count) return;
  constexpr Index kSize = Pack<T, 1>::size;
  T rest[2][array_bound<kSize>] = {};
  std::copy(x + i, x + count, rest[0]);
  apply_and_derive<Function>(kSize, rest[0], rest[1]);
  std::copy_n(rest[0], count - i, x + i);
  std::copy_n(rest[1], count - i, y + i);
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
