#pragma once

#include <cmath>
#include <sma/ops/norm.hpp>

/// Norms of each channel over all rows of a batch (BatchNorm).
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// Statistics a channel. `rest` is what the mean lost to rounding, the mean of x - mean: where the mean is far larger than the
/// deviation, the gradient would otherwise not add up to zero over the rows.
template <class T>
struct ChannelStatistics {
  T* mean;  // (Width)
  T* rest;  // (Width)
  T* rstd;  // (Width)
  SMA_HD T normalized(T x, Index c) const { return ((x - mean[c]) - rest[c]) * rstd[c]; }
};

/// x - mean with one mean a channel: terms of the mean's rest.
template <class T, Index Width>
struct DeviationTerm {
  Rows<const T, Width> x;
  const compute_of<T>* mean;  // (Width)
  SMA_HD compute_of<T> operator()(Index r, Index c) const { return x(r, c) - mean[c]; }
};

/// (x - mean)^2 with one mean a channel: terms of the batch variance.
template <class T, Index Width>
struct SquaredDeviationTerm {
  Rows<const T, Width> x;
  const compute_of<T>* mean;  // (Width)
  SMA_HD compute_of<T> operator()(Index r, Index c) const {
    const compute_of<T> d = x(r, c) - mean[c];
    return d * d;
  }
};

/// dy * xhat with statistics a channel.
template <class T, Index Width>
struct ChannelNormalizedTerm {
  Rows<const T, Width> x, dy;
  ChannelStatistics<compute_of<T>> statistics;
  SMA_HD compute_of<T> operator()(Index r, Index c) const {
    return dy(r, c) * statistics.normalized(x(r, c), c);
  }
};

/// y = xhat * weight + bias with statistics a channel. weight and bias may be null.
template <class T, Index Width>
struct ChannelNormForward {
  Rows<const T, Width> x;
  Rows<T, Width> y;
  ChannelStatistics<compute_of<T>> statistics;
  const compute_of<T>* weight;
  const compute_of<T>* bias;
  SMA_HD Index extent() const { return x.rows; }
  SMA_HD void operator()(Index i) const {
    const T* in = x.row(i);
    T* out = y.row(i);
    if (weight != nullptr) {
      for (Index j = 0; j < Width; ++j) out[j] = statistics.normalized(in[j], j) * weight[j] + bias[j];
    } else {
      for (Index j = 0; j < Width; ++j) out[j] = statistics.normalized(in[j], j);
    }
  }
};

/// dx = base + rstd * weight * (dy - mean(dy) - xhat * mean(dy * xhat)); means over the whole batch. base may be null, or dx.
template <class T, Index Width>
struct ChannelNormBackward {
  Rows<const T, Width> x, dy, base;
  Rows<T, Width> dx;
  ChannelStatistics<compute_of<T>> statistics;
  const compute_of<T>* weight;  // may be null
  const compute_of<T>*
      sums;  // (2, Width): sum dy, sum dy * xhat, then (1) the number of rows, over the whole batch
  SMA_HD Index extent() const { return x.rows; }
  SMA_HD void operator()(Index i) const {
    const T* in = x.row(i);
    const T* d = dy.row(i);
    T* out = dx.row(i);
    const compute_of<T> inverse = 1 / sums[2 * Width];
    set_row(base, i, out, [&](Index j) {
      const compute_of<T> xhat = statistics.normalized(in[j], j);
      const compute_of<T> scale = weight != nullptr ? statistics.rstd[j] * weight[j] : statistics.rstd[j];
      return scale * (d[j] - sums[j] * inverse - xhat * sums[Width + j] * inverse);
    });
  }
};

/// mean = sums / number, 0 where there are no rows.
template <class T, Index Width>
struct ChannelMean {
  const T* rows;  // the number of rows, then (Width) sums of x
  T* mean;
  SMA_HD Index extent() const { return Width; }
  SMA_HD void operator()(Index c) const { mean[c] = rows[0] > 0 ? rows[1 + c] / rows[0] : T(0); }
};

/// Sums of `count` rows' deviations from `own_mean` and of their squares become those from `mean` (Chan, Golub and LeVeque, 1983).
template <class T, Index Width>
struct Recentre {
  const T* own_mean;
  const T* mean;
  T count;
  T* sums;  // (2, Width)
  SMA_HD Index extent() const { return Width; }
  SMA_HD void operator()(Index c) const {
    const T step = own_mean[c] - mean[c];
    sums[Width + c] += step * (2 * sums[c] + count * step);
    sums[c] += count * step;
  }
};

/// The statistics of all rows, and the running ones (momentum 0.1, unbiased variance).
template <class T, Index Width>
struct ChannelSpread {
  const T* rows;  // the number of rows
  const T* sums;  // (2, Width), of deviations from the mean and of their squares
  ChannelStatistics<T> statistics;
  T* running_mean;  // null in all shards but one
  T* running_var;
  SMA_HD Index extent() const { return Width; }
  SMA_HD void operator()(Index c) const {
    const T count = rows[0];
    const T rest = count > 0 ? sums[c] / count : T(0);
    const T squares = sums[Width + c] - rest * sums[c];
    statistics.rest[c] = rest;
    statistics.rstd[c] = 1 / std::sqrt((count > 0 ? squares / count : T(0)) + T(kNormEpsilon));
    if (running_mean == nullptr || count < 2) return;
    constexpr double momentum = 0.1;
    running_mean[c] = T(1 - momentum) * running_mean[c] + T(momentum) * (statistics.mean[c] + rest);
    running_var[c] = T(1 - momentum) * running_var[c] + T(momentum) * squares / (count - 1);
  }
};

/// Statistics for inference.
template <class T, Index Width>
struct RunningStatistics {
  const T* running_mean;
  const T* running_var;
  ChannelStatistics<T> statistics;
  SMA_HD Index extent() const { return Width; }
  SMA_HD void operator()(Index c) const {
    statistics.mean[c] = running_mean[c];
    statistics.rest[c] = 0;
    statistics.rstd[c] = 1 / std::sqrt(running_var[c] + T(kNormEpsilon));
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
