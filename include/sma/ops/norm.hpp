#pragma once

#include <cmath>
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
  T* mean;  // (rows)
  T* rstd;  // (rows)
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
  const T* weight;
  const T* bias;
  T* mean;  // (rows)
  T* rstd;  // (rows)
  SMA_HD Index extent() const { return x.rows; }
  SMA_HD void operator()(Index i) const {
    const T* in = x.row(i);
    T* out = y.row(i);
    const T m = row_sum<T, Width>([in](Index j) { return in[j]; }) / T(Width);
    const T v = row_sum<T, Width>([in, m](Index j) { return (in[j] - m) * (in[j] - m); }) / T(Width);
    const T r = 1 / std::sqrt(v + T(kNormEpsilon));
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
  const T* weight;
  const T* mean;
  const T* rstd;
  SMA_HD Index extent() const { return x.rows; }
  SMA_HD void operator()(Index i) const {
    const T* in = x.row(i);
    const T* d = dy.row(i);
    T* out = dx.row(i);
    const T m = mean[i];
    const T r = rstd[i];
    T g[array_bound<Width>];
    if (weight != nullptr) {
      for (Index j = 0; j < Width; ++j) g[j] = d[j] * weight[j];
    } else {
      for (Index j = 0; j < Width; ++j) g[j] = d[j];
    }
    const T* gp = g;
    const T sum = row_sum<T, Width>([gp](Index j) { return gp[j]; }) / T(Width);
    const T dot = row_sum<T, Width>([gp, in, m, r](Index j) { return gp[j] * (in[j] - m) * r; }) / T(Width);
    set_row(base, i, out, [&](Index j) { return r * (g[j] - sum - (in[j] - m) * r * dot); });
  }
};

/// dy * xhat, the terms of the weight's gradient.
template <class T, Index Width>
struct NormalizedTerm {
  Rows<const T, Width> x, dy;
  const T* mean;  // null: no mean (rms norms)
  const T* rstd;
  SMA_HD T operator()(Index r, Index c) const {
    const T centred = mean != nullptr ? x(r, c) - mean[r] : x(r, c);
    return dy(r, c) * centred * rstd[r];
  }
};

/// y = weight * x * rsqrt(mean(x^2) + eps); one weight a channel (rms norm), one in all (scale norm), or null: none.
template <class T, Index Width, bool PerChannel>
struct RmsNormForward {
  Rows<const T, Width> x;
  Rows<T, Width> y;
  const T* weight;  // (Width), (1) or null
  T* rstd;          // (rows)
  SMA_HD Index extent() const { return x.rows; }
  SMA_HD void operator()(Index i) const {
    const T* in = x.row(i);
    T* out = y.row(i);
    const T v = row_sum<T, Width>([in](Index j) { return in[j] * in[j]; }) / T(Width);
    const T r = 1 / std::sqrt(v + T(kNormEpsilon));
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
  const T* weight;
  const T* rstd;
  SMA_HD Index extent() const { return x.rows; }
  SMA_HD void operator()(Index i) const {
    const T* in = x.row(i);
    const T* d = dy.row(i);
    T* out = dx.row(i);
    const T r = rstd[i];
    T g[array_bound<Width>];
    if (weight != nullptr) {
      for (Index j = 0; j < Width; ++j) g[j] = d[j] * weight[PerChannel ? j : 0];
    } else {
      for (Index j = 0; j < Width; ++j) g[j] = d[j];
    }
    const T* gp = g;
    const T dot = row_sum<T, Width>([gp, in, r](Index j) { return gp[j] * in[j] * r; }) / T(Width);
    set_row(base, i, out, [&](Index j) { return r * (g[j] - in[j] * r * dot); });
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
