#pragma once

#include <cmath>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/gemm.hpp>
#include <sma/eigen/part.hpp>
#include <sma/eigen/simd/lanes.hpp>
#include <sma/ops/norm.hpp>
#include <sma/ops/sums.hpp>

/// Layer norm several rows at a time: a row's sums wait for each other, those of other rows do not.
namespace sma {

inline namespace SMA_ISA {
namespace eigen {

/// Partial sums of a row, as in ops::row_sum, and registers that hold them.
inline constexpr Index kRowSums = 16;
template <class T>
inline constexpr Index kRowRegisters = kRowSums / kRegisterWidth<T>;

/// Whether rows are whole multiples of that.
template <Index Width>
inline constexpr bool whole_row_sums = Width % kRowSums == 0 && Width >= 2 * kRowSums;

/// Every lane of sum[i] becomes the sum over row i of what term(i, c, y) sets y to for the columns from c on: added in the order of
/// ops::row_sum.
template <class T, std::size_t Count, class Term>
[[gnu::always_inline]] inline void sum_rows(Index width, Register<T> (&sum)[Count], const Term& term) {
  constexpr Index kParts = kRowRegisters<T>;
  Register<T> part[Count][array_bound<kParts>];
  const auto each = [](const auto& f) __attribute__((always_inline)) {
    unrolled<Count>([&](auto i) { unrolled<kParts>([&](auto p) { f(i, p); }); });
  };
  each([&](auto i, auto p) { term(i, p * kRegisterWidth<T>, part[i][p]); });
  for (Index c = kRowSums; c < width; c += kRowSums)
    each([&](auto i, auto p) {
      Register<T> y;
      term(i, c + p * kRegisterWidth<T>, y);
      part[i][p] += y;
    });
  unrolled<Count>([&](auto i) {
    for (Index apart = kParts / 2; apart > 0; apart /= 2)
      for (Index p = 0; p < apart; ++p) part[i][p] += part[i][p + apart];
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

/// ops::LayerNormForward and LayerNormBackward with the width as a number, so that all widths share one function.
template <class T>
struct LayerNorm {
  Index width;
  const T *weight, *bias;

  template <Index Count>
  [[gnu::noinline, gnu::flatten]] void forward(const T* x, Index x_stride, T* y, Index y_stride, T* means,
                                               T* rstds) const {
    using V = Register<T>;
    constexpr WholeLoad<T> kLoad;
    V mean[array_bound<Count>], rstd[array_bound<Count>];
    sum_rows<T>(width, mean, [&](auto i, Index c, V& value) { kLoad(x + i * x_stride + c, value); });
    const V share = V{} + T(width);
    unrolled<Count>([&](auto i) { mean[i] /= share; });
    sum_rows<T>(width, rstd, [&](auto i, Index c, V& value) {
      kLoad(x + i * x_stride + c, value);
      value -= mean[i];
      value *= value;
    });
    unrolled<Count>([&](auto i) {
      const T r = 1 / std::sqrt(rstd[i][0] / T(width) + T(ops::kNormEpsilon));
      rstd[i] = V{} + r;
      means[i] = mean[i][0];
      rstds[i] = r;
    });
    for (Index c = 0; c < width; c += kRegisterWidth<T>) {
      V scale = V{} + T(1);
      V shift{};
      if (weight != nullptr) {
        kLoad(weight + c, scale);
        kLoad(bias + c, shift);
      }
      unrolled<Count>([&](auto i) {
        V value;
        kLoad(x + i * x_stride + c, value);
        value = (value - mean[i]) * rstd[i] * scale + shift;
        std::memcpy(y + i * y_stride + c, &value, sizeof(value));
      });
    }
  }

  template <Index Count>
  [[gnu::noinline, gnu::flatten]] void backward(const T* x, Index x_stride, const T* dy, Index dy_stride,
                                                const T* base, Index base_stride, T* dx, Index dx_stride,
                                                const T* means, const T* rstds) const {
    using V = Register<T>;
    constexpr WholeLoad<T> kLoad;
    V mean[array_bound<Count>], rstd[array_bound<Count>];
    unrolled<Count>([&](auto i) {
      mean[i] = V{} + means[i];
      rstd[i] = V{} + rstds[i];
    });
    const auto gradient = [&](auto i, Index c, V& value) __attribute__((always_inline)) {
      kLoad(dy + i * dy_stride + c, value);
      if (weight == nullptr) return;
      V scale;
      kLoad(weight + c, scale);
      value *= scale;
    };
    const auto normalized = [&](auto i, Index c, V& value) __attribute__((always_inline)) {
      kLoad(x + i * x_stride + c, value);
      value = (value - mean[i]) * rstd[i];
    };
    V sum[array_bound<Count>], dot[array_bound<Count>];
    sum_rows<T>(width, sum, gradient);
    sum_rows<T>(width, dot, [&](auto i, Index c, V& value) {
      V xhat;
      gradient(i, c, value);
      normalized(i, c, xhat);
      value *= xhat;
    });
    const V share = V{} + T(width);
    unrolled<Count>([&](auto i) {
      sum[i] /= share;
      dot[i] /= share;
    });
    for (Index c = 0; c < width; c += kRegisterWidth<T>)
      unrolled<Count>([&](auto i) {
        V value, xhat;
        gradient(i, c, value);
        normalized(i, c, xhat);
        value = rstd[i] * (value - sum[i] - xhat * dot[i]);
        if (base != nullptr) {
          V from;
          kLoad(base + i * base_stride + c, from);
          value += from;
        }
        std::memcpy(dx + i * dx_stride + c, &value, sizeof(value));
      });
  }
};

}  // namespace eigen
}  // namespace SMA_ISA

template <class T, Index Width>
  requires(eigen::whole_row_sums<Width>)
void run(Context<Eigen<T>>&, const ops::LayerNormForward<T, Width>& k) {
  const eigen::LayerNorm<T> norm{Width, k.weight, k.bias};
  eigen::for_each_rows<4>(k.x.rows, [&](Index i, auto count) {
    norm.template forward<count>(k.x.row(i), k.x.stride, k.y.row(i), k.y.stride, k.mean + i, k.rstd + i);
  });
}

template <class T, Index Width>
  requires(eigen::whole_row_sums<Width>)
void run(Context<Eigen<T>>&, const ops::LayerNormBackward<T, Width>& k) {
  const eigen::LayerNorm<T> norm{Width, k.weight, nullptr};
  eigen::for_each_rows<2>(k.x.rows, [&](Index i, auto count) {
    norm.template backward<count>(k.x.row(i), k.x.stride, k.dy.row(i), k.dy.stride,
                                  k.base ? k.base.row(i) : nullptr, k.base.stride, k.dx.row(i), k.dx.stride,
                                  k.mean + i, k.rstd + i);
  });
}

}  // namespace sma
