#pragma once

#include <algorithm>
#include <cstring>
#include <numeric>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/gemm.hpp>
#include <sma/kernels/linear.hpp>

/// The three products of a linear layer.
namespace sma {

namespace eigen {

/// As many rows are multiplied as they are, without packing: a step of a stream, a classifier's few rows.
inline constexpr Index kFewRows = 4;

/// x . y with a register of partial sums.
template <class T>
T dot(const T* x, const T* y, Index count) {
  constexpr Index kWidth = kRegisterWidth<T>;
  Register<T> sum{};
  Index i = 0;
  for (; i + kWidth <= count; i += kWidth) {
    Register<T> a;
    Register<T> b;
    std::memcpy(&a, x + i, sizeof(a));
    std::memcpy(&b, y + i, sizeof(b));
    sum += a * b;
  }
  T total = std::inner_product(x + i, x + count, y + i, T(0));
  for (Index l = 0; l < kWidth; ++l) total += sum[l];
  return total;
}

}  // namespace eigen

template <class T>
void run(Context<Eigen<T>>& ctx, const kernels::LinearForward<T>& k) {
  if (k.y.rows <= eigen::kFewRows) {
    for (Index i = 0; i < k.y.rows; ++i)
      for (Index o = 0; o < k.y.columns; ++o)
        k.y(i, o) = (k.bias != nullptr ? k.bias[o] : T(0)) + eigen::dot(&k.x(i, 0), &k.w(o, 0), k.x.columns) +
                    (k.base.data != nullptr ? k.base(i, o) : T(0));
    return;
  }
  eigen::multiply<Context<Eigen<T>>, T>(ctx, k.y.rows, k.y.columns, k.x.columns,
                                        eigen::by_rows(k.x.data, k.x.stride),
                                        eigen::transposed(k.w.data, k.w.stride),
                                        {k.y.data, k.y.stride, k.bias, false, k.base.data, k.base.stride});
}

template <class T>
void run(Context<Eigen<T>>& ctx, const kernels::LinearBackwardInput<T>& k) {
  eigen::multiply<Context<Eigen<T>>, T>(ctx, k.dx.rows, k.dx.columns, k.dy.columns,
                                        eigen::by_rows(k.dy.data, k.dy.stride),
                                        eigen::by_rows(k.w.data, k.w.stride),
                                        {k.dx.data, k.dx.stride, nullptr, false, k.base.data, k.base.stride});
}

template <class T>
void run(Context<Eigen<T>>& ctx, const kernels::LinearBackwardWeight<T>& k) {
  if (k.dy.rows == 0) return;
  eigen::multiply<Context<Eigen<T>>, T>(
      ctx, k.dw.rows, k.dw.columns, k.dy.rows, eigen::transposed(k.dy.data, k.dy.stride),
      eigen::by_rows(k.x.data, k.x.stride), {k.dw.data, k.dw.stride, nullptr, true}, k.dbias);
}

}  // namespace sma
