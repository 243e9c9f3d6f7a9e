#pragma once

#include <algorithm>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/pack.hpp>
#include <sma/kernels/elementwise.hpp>

/// Element-wise functions in SIMD packs, and column sums with rows in the outer loop.
namespace sma {

namespace eigen {

/// f(pack) over `count` elements of up to two inputs. The last elements go through a padded pack, so that a result does not
/// depend on where in the buffer its element lies.
template <class T, class F>
[[gnu::flatten]] void for_each_pack(Index count, const T* a, const T* b, T* out, const F& f) {
  constexpr Index kSize = Pack<T>::size;
  Index i = 0;
  for (; i + kSize <= count; i += kSize) f(Pack<T>::load(a + i), Pack<T>::load(b + i)).store(out + i);
  if (i == count) return;
  T rest[2][kSize] = {};
  std::copy(a + i, a + count, rest[0]);
  std::copy(b + i, b + count, rest[1]);
  f(Pack<T>::load(rest[0]), Pack<T>::load(rest[1])).store(rest[0]);
  std::copy_n(rest[0], count - i, out + i);
}

/// y = f(x) and x = f'(x), over `count` elements.
template <class Function, class T>
[[gnu::flatten]] void apply_and_derive(Index count, T* x, T* y) {
  constexpr Index kSize = Pack<T>::size;
  const auto apply = [](T* from, T* to) {
    const Pack<T> before = Pack<T>::load(from);
    Function::value(before).store(to);
    Function::derivative(before).store(from);
  };
  Index i = 0;
  for (; i + kSize <= count; i += kSize) apply(x + i, y + i);
  if (i == count) return;
  T rest[2][kSize] = {};
  std::copy(x + i, x + count, rest[0]);
  apply(rest[0], rest[1]);
  std::copy_n(rest[0], count - i, x + i);
  std::copy_n(rest[1], count - i, y + i);
}

}  // namespace eigen

template <class T, Index Width, class Function>
  requires(Function::vectorizes)
void run(Context<Eigen<T>>&, const kernels::Apply<T, Width, Function>& k) {
  const auto f = [](const eigen::Pack<T>& x, const eigen::Pack<T>&) { return Function::value(x); };
  if (k.x.contiguous() && k.y.contiguous()) {
    eigen::for_each_pack(k.y.rows * Width, k.x.data, k.x.data, k.y.data, f);
  } else {
    for (Index i = 0; i < k.y.rows; ++i) eigen::for_each_pack(Width, k.x.row(i), k.x.row(i), k.y.row(i), f);
  }
}

template <class T, Index Width, class Function>
  requires(Function::vectorizes)
void run(Context<Eigen<T>>&, const kernels::ApplyBackward<T, Width, Function>& k) {
  const auto f = [](const eigen::Pack<T>& x, const eigen::Pack<T>& dy) {
    return dy * Function::derivative(x);
  };
  if (k.x.contiguous() && k.dy.contiguous() && k.dx.contiguous()) {
    eigen::for_each_pack(k.dx.rows * Width, k.x.data, k.dy.data, k.dx.data, f);
  } else {
    for (Index i = 0; i < k.dx.rows; ++i)
      eigen::for_each_pack(Width, k.x.row(i), k.dy.row(i), k.dx.row(i), f);
  }
}

template <class T, Index Width, class Function>
  requires(Function::vectorizes)
void run(Context<Eigen<T>>&, const kernels::ApplyAndDerive<T, Width, Function>& k) {
  if (k.x.contiguous() && k.y.contiguous()) {
    eigen::apply_and_derive<Function>(k.y.rows * Width, k.x.data, k.y.data);
  } else {
    for (Index i = 0; i < k.y.rows; ++i) eigen::apply_and_derive<Function>(Width, k.x.row(i), k.y.row(i));
  }
}

/// Rows outside, columns inside; sums of 64 rows at a time keep single precision honest over long batches.
template <class T, Index Width, class Term>
void run(Context<Eigen<T>>&, const kernels::ColumnSum<T, Width, Term>& k) {
  constexpr Index kBlock = 64;
  T total[Width] = {};
  for (Index r0 = 0; r0 < k.rows; r0 += kBlock) {
    T part[Width] = {};
    const Index end = std::min(r0 + kBlock, k.rows);
    for (Index r = r0; r < end; ++r)
      for (Index c = 0; c < Width; ++c) part[c] += k.term(r, c);
    for (Index c = 0; c < Width; ++c) total[c] += part[c];
  }
  for (Index c = 0; c < Width; ++c) k.out[c] += total[c];
}
template <class T, Index Width, class First, class Second>
void run(Context<Eigen<T>>&, const kernels::ColumnSums<T, Width, First, Second>& k) {
  constexpr Index kBlock = 64;
  T first[Width] = {};
  T second[Width] = {};
  for (Index r0 = 0; r0 < k.rows; r0 += kBlock) {
    T first_part[Width] = {};
    T second_part[Width] = {};
    const Index end = std::min(r0 + kBlock, k.rows);
    for (Index r = r0; r < end; ++r)
      for (Index c = 0; c < Width; ++c) {
        first_part[c] += k.first(r, c);
        second_part[c] += k.second(r, c);
      }
    for (Index c = 0; c < Width; ++c) {
      first[c] += first_part[c];
      second[c] += second_part[c];
    }
  }
  for (Index c = 0; c < Width; ++c) {
    k.first_out[c] += first[c];
    k.second_out[c] += second[c];
  }
}

}  // namespace sma
