#pragma once

#include <sma/base/views.hpp>
#include <sma/ops/sums.hpp>

/// From symbols and single numbers to rows.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

template <class T, Index Width>
struct GatherEmbedding {
  Rows<const Token, 1> tokens;
  Rows<T, Width> y;
  const T* table;  // (Vocabulary, Width)
  T factor;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    const T* from = table + static_cast<Index>(tokens(i, 0)) * Width;
    T* to = y.row(i);
    for (Index j = 0; j < Width; ++j) to[j] = factor * from[j];
  }
};

/// dtable[token] += factor * dy, rows in order, token `padding` left out. One index is one channel, so that no two write the
/// same number.
template <class T, Index Width>
struct ScatterEmbedding {
  Rows<const Token, 1> tokens;
  Rows<const T, Width> dy;
  T* dtable;
  T factor;
  Index padding;  // -1: none
  SMA_HD Index extent() const { return Width; }
  SMA_HD void operator()(Index j) const {
    for (Index i = 0; i < dy.rows; ++i)
      if (tokens(i, 0) != padding) dtable[static_cast<Index>(tokens(i, 0)) * Width + j] += factor * dy(i, j);
  }
};

/// y = x w + b for one number a row.
template <class T, Index Width>
struct RealEmbeddingForward {
  Rows<const T, 1> x;
  Rows<T, Width> y;
  const T* weight;
  const T* bias;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    const T value = x(i, 0);
    T* to = y.row(i);
    for (Index j = 0; j < Width; ++j) to[j] = value * weight[j] + bias[j];
  }
};

template <class T, Index Width>
struct RealEmbeddingBackward {
  Rows<const T, Width> dy;
  Rows<T, 1> dx;
  const T* weight;
  SMA_HD Index extent() const { return dy.rows; }
  SMA_HD void operator()(Index i) const {
    const T* d = dy.row(i);
    const T* w = weight;
    dx(i, 0) = row_sum<T, Width>([d, w](Index j) { return d[j] * w[j]; });
  }
};

template <class T, Index Width>
struct ScaledByInputTerm {
  Rows<const T, 1> x;
  Rows<const T, Width> dy;
  SMA_HD T operator()(Index r, Index c) const { return x(r, 0) * dy(r, c); }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
