#pragma once

#include <algorithm>
#include <sma/eigen/backend.hpp>
#include <sma/kernels/elementwise.hpp>

/// Element-wise functions in SIMD packs, and column sums with rows in the outer loop.
namespace sma {

namespace eigen {

/// As many numbers as the widest SIMD register holds twice over; functions evaluate on whole packs by value.
template <class T>
using Pack = ::Eigen::Array<T, 128 / static_cast<int>(sizeof(T)), 1>;

/// f(pack) over `count` elements of up to two inputs. The last elements go through a padded pack, so that a result does not
/// depend on where in the buffer its element lies.
template <class T, class F>
void for_each_pack(Index count, const T* a, const T* b, T* out, const F& f) {
  constexpr Index kSize = Pack<T>::SizeAtCompileTime;
  Index i = 0;
  for (; i + kSize <= count; i += kSize) {
    const Pack<T> pa = ::Eigen::Map<const Pack<T>>(a + i);
    const Pack<T> pb = ::Eigen::Map<const Pack<T>>(b + i);
    ::Eigen::Map<Pack<T>>(out + i) = f(pa, pb);
  }
  if (i == count) return;
  Pack<T> pa = Pack<T>::Zero();
  Pack<T> pb = Pack<T>::Zero();
  std::copy(a + i, a + count, pa.data());
  std::copy(b + i, b + count, pb.data());
  const Pack<T> result = f(pa, pb);
  std::copy(result.data(), result.data() + (count - i), out + i);
}

}  // namespace eigen

template <class T, Index Width, class Function>
  requires(Function::vectorizes)
void run(Context<Eigen<T>>&, const kernels::Apply<T, Width, Function>& k) {
  const auto f = [](const eigen::Pack<T>& x, const eigen::Pack<T>&) -> eigen::Pack<T> {
    return Function::value(x);
  };
  if (k.x.contiguous() && k.y.contiguous()) {
    eigen::for_each_pack(k.y.rows * Width, k.x.data, k.x.data, k.y.data, f);
  } else {
    for (Index i = 0; i < k.y.rows; ++i) eigen::for_each_pack(Width, k.x.row(i), k.x.row(i), k.y.row(i), f);
  }
}

template <class T, Index Width, class Function>
  requires(Function::vectorizes)
void run(Context<Eigen<T>>&, const kernels::ApplyBackward<T, Width, Function>& k) {
  const auto f = [](const eigen::Pack<T>& x, const eigen::Pack<T>& dy) -> eigen::Pack<T> {
    return dy * Function::derivative(x);
  };
  if (k.x.contiguous() && k.dy.contiguous() && k.dx.contiguous()) {
    eigen::for_each_pack(k.dx.rows * Width, k.x.data, k.dy.data, k.dx.data, f);
  } else {
    for (Index i = 0; i < k.dx.rows; ++i)
      eigen::for_each_pack(Width, k.x.row(i), k.dy.row(i), k.dx.row(i), f);
  }
}

/// Contiguous rows; others go through the plain form.
template <class T, Index Width, class Function>
  requires(Function::vectorizes)
void run(Context<Eigen<T>>&, const kernels::ApplyAndDerive<T, Width, Function>& k) {
  using Pack = eigen::Pack<T>;
  if (!k.x.contiguous() || !k.y.contiguous()) {
    for (Index i = 0; i < k.y.rows; ++i) k(i);
    return;
  }
  constexpr Index kSize = Pack::SizeAtCompileTime;
  const Index count = k.y.rows * Width;
  const auto apply = [](T* x, T* y) {
    const Pack before = ::Eigen::Map<const Pack>(x);
    ::Eigen::Map<Pack>{y} = Function::value(before);
    ::Eigen::Map<Pack>{x} = Function::derivative(before);
  };
  Index i = 0;
  for (; i + kSize <= count; i += kSize) apply(k.x.data + i, k.y.data + i);
  if (i == count) return;
  Pack x = Pack::Zero();
  Pack y;
  std::copy(k.x.data + i, k.x.data + count, x.data());
  apply(x.data(), y.data());
  std::copy_n(x.data(), count - i, k.x.data + i);
  std::copy_n(y.data(), count - i, k.y.data + i);
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

}  // namespace sma
