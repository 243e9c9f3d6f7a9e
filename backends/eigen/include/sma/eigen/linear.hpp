#pragma once

#include <algorithm>
#include <sma/eigen/backend.hpp>
#include <sma/kernels/linear.hpp>

/// Matrix products by Eigen, in row blocks that stay in the second-level cache.
namespace sma {

namespace eigen {

template <class T>
using MatrixOf =
    ::Eigen::Matrix<std::remove_const_t<T>, ::Eigen::Dynamic, ::Eigen::Dynamic, ::Eigen::RowMajor>;
template <class T>
using ConstMap = ::Eigen::Map<const MatrixOf<T>, 0, ::Eigen::OuterStride<>>;
template <class T>
using MutableMap = ::Eigen::Map<MatrixOf<T>, 0, ::Eigen::OuterStride<>>;

template <class T>
ConstMap<T> map(const kernels::Matrix<const T>& m, Index first, Index count) {
  return {m.data + first * m.stride, count, m.columns, ::Eigen::OuterStride<>(m.stride)};
}
template <class T>
  requires(!std::is_const_v<T>)
MutableMap<T> map(const kernels::Matrix<T>& m, Index first, Index count) {
  return {m.data + first * m.stride, count, m.columns, ::Eigen::OuterStride<>(m.stride)};
}

inline constexpr Index kRowBlock = 256;

}  // namespace eigen

template <class T>
void run(Context<Eigen<T>>&, const kernels::LinearForward<T>& k) {
  const auto w = eigen::map(k.w, 0, k.w.rows);
  for (Index first = 0; first < k.y.rows; first += eigen::kRowBlock) {
    const Index count = std::min(eigen::kRowBlock, k.y.rows - first);
    auto y = eigen::map(k.y, first, count);
    y.noalias() = eigen::map(k.x, first, count) * w.transpose();
    if (k.bias == nullptr) continue;
    for (Index i = first; i < first + count; ++i)
      for (Index o = 0; o < k.y.columns; ++o) k.y(i, o) += k.bias[o];
  }
}

template <class T>
void run(Context<Eigen<T>>&, const kernels::LinearBackwardInput<T>& k) {
  if (k.dx.rows == 0) return;
  eigen::map(k.dx, 0, k.dx.rows).noalias() = eigen::map(k.dy, 0, k.dy.rows) * eigen::map(k.w, 0, k.w.rows);
}

template <class T>
void run(Context<Eigen<T>>&, const kernels::LinearBackwardWeight<T>& k) {
  if (k.dy.rows == 0) return;
  eigen::map(k.dw, 0, k.dw.rows).noalias() +=
      eigen::map(k.dy, 0, k.dy.rows).transpose() * eigen::map(k.x, 0, k.x.rows);
  if (k.dbias == nullptr) return;
  ::Eigen::Map<::Eigen::Matrix<T, 1, ::Eigen::Dynamic>>(k.dbias, k.dy.columns) +=
      eigen::map(k.dy, 0, k.dy.rows).colwise().sum();
}

}  // namespace sma
