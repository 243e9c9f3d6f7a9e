#pragma once

#include <cmath>
#include <sma/base/precision.hpp>
#include <sma/base/views.hpp>
#include <sma/ops/sums.hpp>

/// Norms over a row. One index is one row.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

inline constexpr double kNormEpsilon = 1e-5;

/// What a norm keeps of its rows.
template <class T>
struct RowMoments {
  compute_of<T>* mean;  // (rows)
  compute_of<T>* rstd;  // (rows)
};

/// out[j] = base(i, j) + f(j) over a row; base may be null, or hold out.
template <class T, Index Width, class F>
SMA_HD void set_row(const Rows<const T, Width>& base, Index i, T* out, const F& f) {
  if (base) {
    const T* from = base.row(i);
    for (Index j = 0; j < Width; ++j) out[j] = from[j] + f(j);
  } else {
    for (Index j = 0; j < Width; ++j) out[j] = f(j);
  }
}

/// y = (x - mean) * rstd * weight + bias over each row; mean and rstd are kept. weight and bias may be null.
template <class T, Index Width>
struct LayerNormForward {
  Rows<const T, Width> x;
  Rows<T, Width> y;
  const compute_of<T>* weight;
  const compute_of<T>* bias;
  compute_of<T>* mean;  // (rows)
  compute_of<T>* rstd;  // (rows)
  SMA_HD Index extent() const { return x.rows; }
  SMA_HD void operator()(Index i) const {
    using A = compute_of<T>;
    const T* in = x.row(i);
    T* out = y.row(i);
    const A m = row_sum<A, Width>([in](Index j) { return in[j]; }) / A(Width);
    const A v = row_sum<A, Width>([in, m](Index j) { return (in[j] - m) * (in[j] - m); }) / A(Width);
    const A r = 1 / std::sqrt(v + A(kNormEpsilon));
    mean[i] = m;
    rstd[i] = r;
    if (weight != nullptr) {
      for (Index j = 0; j < Width; ++j) out[j] = (in[j] - m) * r * weight[j] + bias[j];
    } else {
      for (Index j = 0; j < Width; ++j) out[j] = (in[j] - m) * r;
    }
  }
};

/// dx = base + rstd * (g - mean(g) - xhat * mean(g * xhat)), g = dy * weight, xhat = (x - mean) * rstd. base may be null, or dx.
template <class T, Index Width>
struct LayerNormBackward {
  Rows<const T, Width> x, dy, base;
  Rows<T, Width> dx;
  const compute_of<T>* weight;
  const compute_of<T>* mean;
  const compute_of<T>* rstd;
  SMA_HD Index extent() const { return x.rows; }
  SMA_HD void operator()(Index i) const {
    using A = compute_of<T>;
    const T* in = x.row(i);
    const T* d = dy.row(i);
    T* out = dx.row(i);
    const A m = mean[i];
    const A r = rstd[i];
    A g[array_bound<Width>];
    if (weight != nullptr) {
      for (Index j = 0; j < Width; ++j) g[j] = d[j] * weight[j];
    } else {
      for (Index j = 0; j < Width; ++j) g[j] = d[j];
    }
    const A* gp = g;
    const A sum = row_sum<A, Width>([gp](Index j) { return gp[j]; }) / A(Width);
    const A dot = row_sum<A, Width>([gp, in, m, r](Index j) { return gp[j] * (in[j] - m) * r; }) / A(Width);
    set_row(base, i, out, [&](Index j) { return r * (g[j] - sum - (in[j] - m) * r * dot); });
  }
};

/// dy * xhat, the terms of the weight's gradient.
template <class T, Index Width>
struct NormalizedTerm {
  Rows<const T, Width> x, dy;
  const compute_of<T>* mean;  // null: no mean (rms norms)
  const compute_of<T>* rstd;
  SMA_HD compute_of<T> operator()(Index r, Index c) const {
    const compute_of<T> element = x(r, c);
    const compute_of<T> centred = mean != nullptr ? element - mean[r] : element;
    return dy(r, c) * centred * rstd[r];
  }
};

/// y = weight * x * rsqrt(mean(x^2) + eps); one weight a channel (rms norm), one in all (scale norm), or null: none.
template <class T, Index Width, bool PerChannel>
struct RmsNormForward {
  Rows<const T, Width> x;
  Rows<T, Width> y;
  const compute_of<T>* weight;  // (Width), (1) or null
  compute_of<T>* rstd;          // (rows)
  SMA_HD Index extent() const { return x.rows; }
  SMA_HD void operator()(Index i) const {
    using A = compute_of<T>;
    const T* in = x.row(i);
    T* out = y.row(i);
    const A v = row_sum<A, Width>([in](Index j) { return in[j] * in[j]; }) / A(Width);
    const A r = 1 / std::sqrt(v + A(kNormEpsilon));
    rstd[i] = r;
    if (weight != nullptr) {
      for (Index j = 0; j < Width; ++j) out[j] = in[j] * r * weight[PerChannel ? j : 0];
    } else {
      for (Index j = 0; j < Width; ++j) out[j] = in[j] * r;
    }
  }
};

/// dx = base + rstd * (g - xhat * mean(g * xhat)), g = dy * weight, xhat = x * rstd. base may be null, or dx.
template <class T, Index Width, bool PerChannel>
struct RmsNormBackward {
  Rows<const T, Width> x, dy, base;
  Rows<T, Width> dx;
  const compute_of<T>* weight;
  const compute_of<T>* rstd;
  SMA_HD Index extent() const { return x.rows; }
  SMA_HD void operator()(Index i) const {
    using A = compute_of<T>;
    const T* in = x.row(i);
    const T* d = dy.row(i);
    T* out = dx.row(i);
    const A r = rstd[i];
    A g[array_bound<Width>];
    if (weight != nullptr) {
      for (Index j = 0; j < Width; ++j) g[j] = d[j] * weight[PerChannel ? j : 0];
    } else {
      for (Index j = 0; j < Width; ++j) g[j] = d[j];
    }
    const A* gp = g;
    const A dot = row_sum<A, Width>([gp, in, r](Index j) { return gp[j] * in[j] * r; }) / A(Width);
    set_row(base, i, out, [&](Index j) { return r * (g[j] - in[j] * r * dot); });
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
