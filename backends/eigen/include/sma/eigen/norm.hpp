#pragma once

#include <cmath>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/gemm.hpp>
#include <sma/eigen/lanes.hpp>
#include <sma/kernels/norm.hpp>

/// Layer norm several rows at a time: a row's sums wait for each other, those of other rows do not.
namespace sma {

namespace eigen {

/// Partial sums of a row, as in kernels::row_sum, and registers that hold them.
inline constexpr Index kRowSums = 16;
template <class T>
inline constexpr Index kRowRegisters = kRowSums / kRegisterWidth<T>;

/// Whether rows are whole multiples of that.
template <Index Width>
inline constexpr bool whole_row_sums = Width % kRowSums == 0 && Width >= 2 * kRowSums;

/// Every lane becomes the sum of all, halves first.
template <class T, Index Half = kRegisterWidth<T> / 2>
[[gnu::always_inline]] inline void sum_lanes(Register<T>& x) {
  [&]<std::size_t... Lane>(std::index_sequence<Lane...>) __attribute__((always_inline)) {
    x += __builtin_shufflevector(x, x, (Lane ^ static_cast<std::size_t>(Half))...);
  }
  (std::make_index_sequence<static_cast<std::size_t>(kRegisterWidth<T>)>{});
  if constexpr (Half > 1) sum_lanes<T, Half / 2>(x);
}

/// Every lane of sum[i] becomes the sum over row i of what term(i, c, y) sets y to for the columns from c on: added in the order of
/// kernels::row_sum.
template <Index Width, class T, Index Count, class Term>
[[gnu::always_inline]] inline void sum_rows(Register<T> (&sum)[Count], const Term& term) {
  constexpr Index kParts = kRowRegisters<T>;
  Register<T> part[Count][kParts];
  const auto each = [](const auto& f) __attribute__((always_inline)) {
    unrolled<Count>([&](auto i) { unrolled<kParts>([&](auto p) { f(i, p); }); });
  };
  each([&](auto i, auto p) { term(i, p * kRegisterWidth<T>, part[i][p]); });
  for (Index c = kRowSums; c < Width; c += kRowSums)
    each([&](auto i, auto p) {
      Register<T> y;
      term(i, c + p * kRegisterWidth<T>, y);
      part[i][p] += y;
    });
  unrolled<Count>([&](auto i) {
    for (Index half = kParts / 2; half > 0; half /= 2)
      for (Index p = 0; p < half; ++p) part[i][p] += part[i][p + half];
    sum[i] = part[i][0];
    sum_lanes<T>(sum[i]);
  });
}

/// f(i, count) for the rows i .. i + count - 1, `Together` as long as there are as many, then one; count is a constant.
template <Index Together, class F>
void for_each_rows(Index rows, const F& f) {
  Index i = 0;
  for (; i + Together <= rows; i += Together) f(i, std::integral_constant<Index, Together>{});
  for (; i < rows; ++i) f(i, std::integral_constant<Index, 1>{});
}

template <Index Count, class T, Index Width>
[[gnu::noinline, gnu::flatten]] void layer_norm_rows(const kernels::LayerNormForward<T, Width>& k,
                                                     Index row) {
  using V = Register<T>;
  constexpr WholeLoad<T> kLoad;
  const T* in[Count];
  T* out[Count];
  unrolled<Count>([&](auto i) {
    in[i] = k.x.row(row + i);
    out[i] = k.y.row(row + i);
  });
  V mean[Count], rstd[Count];
  sum_rows<Width, T>(mean, [&](auto i, Index c, V& y) { kLoad(in[i] + c, y); });
  unrolled<Count>([&](auto i) { mean[i] /= T(Width); });
  sum_rows<Width, T>(rstd, [&](auto i, Index c, V& y) {
    kLoad(in[i] + c, y);
    y -= mean[i];
    y *= y;
  });
  unrolled<Count>([&](auto i) {
    const T r = 1 / std::sqrt(rstd[i][0] / T(Width) + T(kernels::kNormEpsilon));
    rstd[i] = V{} + r;
    k.mean[row + i] = mean[i][0];
    k.rstd[row + i] = r;
  });
  for (Index c = 0; c < Width; c += kRegisterWidth<T>) {
    V weight{}, bias{};
    if (k.weight != nullptr) {
      kLoad(k.weight + c, weight);
      kLoad(k.bias + c, bias);
    }
    unrolled<Count>([&](auto i) {
      V y;
      kLoad(in[i] + c, y);
      y = (y - mean[i]) * rstd[i];
      if (k.weight != nullptr) y = y * weight + bias;
      std::memcpy(out[i] + c, &y, sizeof(y));
    });
  }
}

template <Index Count, class T, Index Width>
[[gnu::noinline, gnu::flatten]] void layer_norm_rows_backward(const kernels::LayerNormBackward<T, Width>& k,
                                                              Index row) {
  using V = Register<T>;
  constexpr WholeLoad<T> kLoad;
  const T *in[Count], *d[Count], *base[Count];
  T* out[Count];
  V mean[Count], rstd[Count];
  unrolled<Count>([&](auto i) {
    in[i] = k.x.row(row + i);
    d[i] = k.dy.row(row + i);
    base[i] = k.base ? k.base.row(row + i) : nullptr;
    out[i] = k.dx.row(row + i);
    mean[i] = V{} + k.mean[row + i];
    rstd[i] = V{} + k.rstd[row + i];
  });
  // dy * weight, and xhat
  const auto gradient = [&](auto i, Index c, V& y) __attribute__((always_inline)) {
    kLoad(d[i] + c, y);
    if (k.weight == nullptr) return;
    V weight;
    kLoad(k.weight + c, weight);
    y *= weight;
  };
  const auto normalized = [&](auto i, Index c, V& y) __attribute__((always_inline)) {
    kLoad(in[i] + c, y);
    y = (y - mean[i]) * rstd[i];
  };
  V sum[Count], dot[Count];
  sum_rows<Width, T>(sum, gradient);
  sum_rows<Width, T>(dot, [&](auto i, Index c, V& y) {
    V xhat;
    gradient(i, c, y);
    normalized(i, c, xhat);
    y *= xhat;
  });
  unrolled<Count>([&](auto i) {
    sum[i] /= T(Width);
    dot[i] /= T(Width);
  });
  for (Index c = 0; c < Width; c += kRegisterWidth<T>)
    unrolled<Count>([&](auto i) {
      V y, xhat;
      gradient(i, c, y);
      normalized(i, c, xhat);
      y = rstd[i] * (y - sum[i] - xhat * dot[i]);
      if (k.base) {
        V from;
        kLoad(base[i] + c, from);
        y += from;
      }
      std::memcpy(out[i] + c, &y, sizeof(y));
    });
}

}  // namespace eigen

template <class T, Index Width>
  requires(eigen::whole_row_sums<Width>)
void run(Context<Eigen<T>>&, const kernels::LayerNormForward<T, Width>& k) {
  eigen::for_each_rows<4>(k.x.rows, [&](Index i, auto count) { eigen::layer_norm_rows<count>(k, i); });
}

template <class T, Index Width>
  requires(eigen::whole_row_sums<Width>)
void run(Context<Eigen<T>>&, const kernels::LayerNormBackward<T, Width>& k) {
  eigen::for_each_rows<2>(k.x.rows,
                          [&](Index i, auto count) { eigen::layer_norm_rows_backward<count>(k, i); });
}

}  // namespace sma
