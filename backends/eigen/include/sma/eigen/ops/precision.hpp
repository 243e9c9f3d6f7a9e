#pragma once

#include <algorithm>
#include <sma/base/precision.hpp>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/gemm.hpp>
#include <sma/eigen/part.hpp>
#include <sma/ops/linear.hpp>
#include <sma/ops/rows.hpp>
#include <type_traits>

/// Matrix products of rows in bf16: some rows at a time become floats, and the result bf16. Everything else on such rows runs plainly.
namespace sma {
inline namespace SMA_ISA {
namespace eigen {

using MixedPrecision = Eigen<Precision<bf16, float>>;
using MixedContext = Context<MixedPrecision>;

/// Rows first .. first + rows - 1 of m as floats, one after another: its own, or in scratch memory.
template <class T>
ops::Matrix<const float> floats_of(MixedContext& ctx, const ops::Matrix<T>& m, Index first, Index rows) {
  if constexpr (std::is_same_v<std::remove_const_t<T>, float>) {
    return {m.data + first * m.stride, rows, m.columns, m.stride};
  } else {
    auto* to = ctx.scratch<float>(rows * m.columns);
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < m.columns; ++j) to[i * m.columns + j] = static_cast<float>(m(first + i, j));
    return {to, rows, m.columns, m.columns};
  }
}

/// f(first, rows) for blocks of rows that stay in the caches.
template <class F>
void for_row_blocks(MixedContext& ctx, Index rows, const F& f) {
  constexpr Index kBlock = 256;
  for (Index first = 0; first < rows; first += kBlock) {
    auto scope = ctx.scope();
    f(first, std::min(kBlock, rows - first));
  }
}

/// y = base + x w + bias; base and bias may be null.
template <class X, class Y>
void multiply_rows(MixedContext& ctx, const ops::Matrix<const X>& x, const Operand<float>& w,
                   const float* bias, const ops::Matrix<Y>& y, const ops::Matrix<const Y>& base) {
  for_row_blocks(ctx, y.rows, [&](Index first, Index rows) {
    const auto floats = floats_of(ctx, x, first, rows);
    auto* out = ctx.scratch<float>(rows * y.columns);
    multiply<MixedContext, float>(ctx, rows, y.columns, x.columns, by_rows(floats.data, floats.stride), w,
                                  {out, y.columns, bias});
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < y.columns; ++j) {
        const float added = base.data == nullptr ? 0.0F : static_cast<float>(base(first + i, j));
        y(first + i, j) = added + out[i * y.columns + j];
      }
  });
}

}  // namespace eigen
}  // namespace SMA_ISA

template <class Y>
void run(eigen::MixedContext& ctx, const ops::LinearForward<bf16, Y>& k) {
  eigen::multiply_rows(ctx, k.x, eigen::transposed(k.w.data, k.w.stride), k.bias, k.y, k.base);
}

template <class Y>
void run(eigen::MixedContext& ctx, const ops::LinearBackwardInput<bf16, Y>& k) {
  eigen::multiply_rows(ctx, k.dy, eigen::by_rows(k.w.data, k.w.stride), nullptr, k.dx, k.base);
}

template <class Y>
void run(eigen::MixedContext& ctx, const ops::LinearBackwardWeight<bf16, Y>& k) {
  eigen::for_row_blocks(ctx, k.dy.rows, [&](Index first, Index rows) {
    const auto dy = eigen::floats_of(ctx, k.dy, first, rows);
    const auto x = eigen::floats_of(ctx, k.x, first, rows);
    eigen::multiply<eigen::MixedContext, float>(
        ctx, k.dw.rows, k.dw.columns, rows, eigen::transposed(dy.data, dy.stride),
        eigen::by_rows(x.data, x.stride), {k.dw.data, k.dw.stride, nullptr, true}, k.dbias);
  });
}

}  // namespace sma
