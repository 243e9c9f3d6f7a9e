#pragma once

#include <algorithm>
#include <array>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/pack.hpp>
#include <sma/eigen/part.hpp>
#include <sma/kernels/elementwise.hpp>

/// Element-wise functions in SIMD packs, and column sums with rows in the outer loop.
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
  constexpr Index kSize = Pack<T>::size;
  Index i = 0;
  for (; i + kSize <= count; i += kSize) F()(Pack<T>::load(a + i), Pack<T>::load(b + i)).store(out + i);
  if (i == count) return;
  T rest[2][array_bound<kSize>] = {};
  std::copy(a + i, a + count, rest[0]);
  std::copy(b + i, b + count, rest[1]);
  for_each_pack<F>(kSize, rest[0], rest[1], rest[0]);
  std::copy_n(rest[0], count - i, out + i);
}

/// y = f(x) and x = f'(x), over `count` elements.
template <class Function, class T>
SMA_NOINLINE [[gnu::flatten]] void apply_and_derive(Index count, T* x, T* y) {
  constexpr Index kSize = Pack<T>::size;
  Index i = 0;
  for (; i + kSize <= count; i += kSize) {
    const Pack<T> before = Pack<T>::load(x + i);
    Function::value(before).store(y + i);
    Function::derivative(before).store(x + i);
  }
  if (i == count) return;
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
void run(Context<Eigen<T>>&, const kernels::Apply<T, Width, Function>& k) {
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
void run(Context<Eigen<T>>&, const kernels::ApplyBackward<T, Width, Function>& k) {
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
void run(Context<Eigen<T>>&, const kernels::ApplyAndDerive<T, Width, Function>& k) {
  if (k.x.contiguous() && k.y.contiguous()) {
    eigen::apply_and_derive<Function>(k.y.rows * Width, k.x.data, k.y.data);
  } else {
    for (Index i = 0; i < k.y.rows; ++i) eigen::apply_and_derive<Function>(Width, k.x.row(i), k.y.row(i));
  }
}

inline namespace SMA_ISA {
namespace eigen {

/// out[s][c] += sum over rows r of what add(r, c, sums) adds to sums[s][c]. Rows outside, columns inside; sums of 64 rows at a time
/// keep single precision honest over long batches.
template <Index Width, class T, std::size_t Count, class Add>
[[gnu::always_inline]] inline void sum_columns(Index rows, const std::array<T*, Count>& out, const Add& add) {
  constexpr Index kBlock = 64;
  T total[Count][array_bound<Width>] = {};
  for (Index r0 = 0; r0 < rows; r0 += kBlock) {
    T part[Count][array_bound<Width>] = {};
    const Index end = std::min(r0 + kBlock, rows);
    for (Index r = r0; r < end; ++r)
      for (Index c = 0; c < Width; ++c) add(r, c, part);
    for (std::size_t s = 0; s < Count; ++s)
      for (Index c = 0; c < Width; ++c) total[s][c] += part[s][c];
  }
  for (std::size_t s = 0; s < Count; ++s)
    for (Index c = 0; c < Width; ++c) out[s][c] += total[s][c];
}

}  // namespace eigen
}  // namespace SMA_ISA

template <class T, Index Width, class Term>
void run(Context<Eigen<T>>&, const kernels::ColumnSum<T, Width, Term>& k) {
  eigen::sum_columns<Width>(k.rows, std::array{k.out},
                            [&k](Index r, Index c, auto& sums) { sums[0][c] += k.term(r, c); });
}
template <class T, Index Width, class First, class Second>
void run(Context<Eigen<T>>&, const kernels::ColumnSums<T, Width, First, Second>& k) {
  eigen::sum_columns<Width>(k.rows, std::array{k.first_out, k.second_out},
                            [&k](Index r, Index c, auto& sums) {
                              sums[0][c] += k.first(r, c);
                              sums[1][c] += k.second(r, c);
                            });
}

}  // namespace sma
