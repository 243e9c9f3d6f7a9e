#pragma once

#include <sma/base/precision.hpp>
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
  const compute_of<T>* table;  // (Vocabulary, Width)
  compute_of<T> factor;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    const compute_of<T>* from = table + static_cast<Index>(tokens(i, 0)) * Width;
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
  compute_of<T>* dtable;
  compute_of<T> factor;
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
  const compute_of<T>* weight;
  const compute_of<T>* bias;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    const compute_of<T> value = x(i, 0);
    T* to = y.row(i);
    for (Index j = 0; j < Width; ++j) to[j] = value * weight[j] + bias[j];
  }
};

template <class T, Index Width>
struct RealEmbeddingBackward {
  Rows<const T, Width> dy;
  Rows<T, 1> dx;
  const compute_of<T>* weight;
  SMA_HD Index extent() const { return dy.rows; }
  SMA_HD void operator()(Index i) const {
    const T* d = dy.row(i);
    const compute_of<T>* w = weight;
    dx(i, 0) = row_sum<compute_of<T>, Width>([d, w](Index j) { return d[j] * w[j]; });
  }
};

template <class T, Index Width>
struct ScaledByInputTerm {
  Rows<const T, 1> x;
  Rows<const T, Width> dy;
  SMA_HD compute_of<T> operator()(Index r, Index c) const { return x(r, 0) * dy(r, c); }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
