#pragma once

#include <algorithm>
#include <array>
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

namespace eigen {

/// out[s][c] += sum over rows r of what add(r, c, sums) adds to sums[s][c]. Rows outside, columns inside; sums of 64 rows at a time
/// keep single precision honest over long batches.
template <Index Width, class T, std::size_t Count, class Add>
[[gnu::always_inline]] inline void sum_columns(Index rows, const std::array<T*, Count>& out, const Add& add) {
  constexpr Index kBlock = 64;
  T total[Count][Width] = {};
  for (Index r0 = 0; r0 < rows; r0 += kBlock) {
    T part[Count][Width] = {};
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
