#pragma once

#include <algorithm>
#include <cstring>
#include <numeric>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/gemm.hpp>
#include <sma/eigen/part.hpp>
#include <sma/ops/linear.hpp>

/// The three products of a linear layer.
namespace sma {

inline namespace SMA_ISA {
namespace eigen {

/// So few rows (a step of a stream) or outputs (a configurator's logits) are multiplied as they are: packing takes longer.
inline constexpr Index kFewRows = 4;
inline constexpr Index kFewOutputs = 2;

/// f(first, count) for all outputs, kFewOutputs at a time; count is a constant. One call for a layer with few outputs.
template <class F>
void for_few_outputs(Index outputs, const F& f) {
  static_assert(kFewOutputs == 2, "what is left over is one output");
  Index o = 0;
  for (; o + kFewOutputs <= outputs; o += kFewOutputs) f(o, std::integral_constant<Index, kFewOutputs>{});
  if (o < outputs) f(o, std::integral_constant<Index, 1>{});
}

/// Outputs first .. first + Outs - 1 of all rows.
template <Index Outs, class T>
SMA_NOINLINE [[gnu::flatten]] void few_forward(const ops::LinearForward<T>& k, Index first) {
  constexpr Index kWidth = kRegisterWidth<T>;
  constexpr Index kSums = 2;  // so that additions wait less for each other
  for (Index i = 0; i < k.y.rows; ++i) {
    const T* x = &k.x(i, 0);
    Register<T> sum[array_bound<Outs>][array_bound<kSums>] = {};
    const auto add = [&](Index c, auto set) {
      Register<T> part;
      std::memcpy(&part, x + c, sizeof(part));
      unrolled<Outs>([&](auto o) {
        Register<T> w;
        std::memcpy(&w, &k.w(first + o, c), sizeof(w));
        sum[o][set] += part * w;
      });
    };
    Index c = 0;
    for (; c + kSums * kWidth <= k.x.columns; c += kSums * kWidth)
      unrolled<kSums>([&](auto set) { add(c + set * kWidth, set); });
    for (; c + kWidth <= k.x.columns; c += kWidth) add(c, std::integral_constant<Index, 0>{});
    unrolled<Outs>([&](auto o) {
      Register<T> lanes = sum[o][0] + sum[o][1];
      sum_lanes<T>(lanes);
      const T* w = &k.w(first + o, 0);
      T total = std::inner_product(x + c, x + k.x.columns, w + c, lanes[0]);
      if (k.bias != nullptr) total += k.bias[first + o];
      if (k.base.data != nullptr) total += k.base(i, first + o);
      k.y(i, first + o) = total;
    });
  }
}

/// As many outputs as a register has lanes, from `first` on, of all rows.
template <class T>
SMA_NOINLINE [[gnu::flatten]] void register_forward(const ops::LinearForward<T>& k, Index first) {
  constexpr Index kWidth = kRegisterWidth<T>;
  for (Index i = 0; i < k.y.rows; ++i) {
    const T* x = &k.x(i, 0);
    const T* w = &k.w(first, 0);
    Register<T> sum[array_bound<kWidth>] = {};
    Index c = 0;
    for (; c + kWidth <= k.x.columns; c += kWidth) {
      Register<T> part;
      std::memcpy(&part, x + c, sizeof(part));
      unrolled<kWidth>([&](auto o) {
        Register<T> factor;
        std::memcpy(&factor, w + o * k.w.stride + c, sizeof(factor));
        sum[o] += part * factor;
      });
    }
    sum_each_lanes<T>(sum);
    Register<T> total = sum[0];
    for (; c < k.x.columns; ++c)
      for (Index o = 0; o < kWidth; ++o) total[o] += x[c] * w[o * k.w.stride + c];
    const auto add = [&](const T* from) {
      Register<T> other;
      std::memcpy(&other, from, sizeof(other));
      total += other;
    };
    if (k.bias != nullptr) add(k.bias + first);
    if (k.base.data != nullptr) add(&k.base(i, first));
    std::memcpy(&k.y(i, first), &total, sizeof(total));
  }
}

/// All outputs of few rows.
template <class T>
void few_rows_forward(const ops::LinearForward<T>& k) {
  constexpr Index kWidth = kRegisterWidth<T>;
  Index o = 0;
  for (; o + kWidth <= k.y.columns; o += kWidth) register_forward(k, o);
  for_few_outputs(k.y.columns - o, [&](Index first, auto count) { few_forward<count>(k, o + first); });
}

/// Sets * Width outputs of one row, whose weights begin at w: sums of columns in registers of Width numbers, and of their lanes in the end.
template <Index Width, Index Sets, Index In, class T>
[[gnu::always_inline]] inline void step_forward_registers(const T* x, const T* w, const T* bias, T* y) {
  constexpr Index kWhole = In / Width * Width;
  Register<T, Width> sum[array_bound<Sets>][array_bound<Width>] = {};
  for (Index c = 0; c < kWhole; c += Width) {
    Register<T, Width> part;
    std::memcpy(&part, x + c, sizeof(part));
    unrolled<Sets>([&](auto set) {
      unrolled<Width>([&](auto r) {
        Register<T, Width> factor;
        std::memcpy(&factor, w + (set * Width + r) * In + c, sizeof(factor));
        sum[set][r] += part * factor;
      });
    });
  }
  unrolled<Sets>([&](auto set) {
    Register<T, Width> total{};
    if (bias != nullptr) std::memcpy(&total, bias + set * Width, sizeof(total));
    if constexpr (kWhole > 0) {
      sum_each_lanes<T, Width>(sum[set]);
      total += sum[set][0];
    }
    unrolled<In - kWhole>([&](auto c) {
      Register<T, Width> column;
      if constexpr (In == 1)
        std::memcpy(&column, w + set * Width, sizeof(column));
      else
        for (Index r = 0; r < Width; ++r) column[r] = w[(set * Width + r) * In + kWhole + c];
      total += x[kWhole + c] * column;
    });
    std::memcpy(y + set * Width, &total, sizeof(total));
  });
}

/// One output of one row.
template <Index In, class T>
[[gnu::always_inline]] inline T step_forward_one(const T* x, const T* w) {
  constexpr Index kWidth = kRegisterWidth<T>;
  constexpr Index kWhole = In / kWidth * kWidth;
  T total = 0;
  if constexpr (kWhole > 0) {
    Register<T> sum{};
    for (Index c = 0; c < kWhole; c += kWidth) {
      Register<T> part, factor;
      std::memcpy(&part, x + c, sizeof(part));
      std::memcpy(&factor, w + c, sizeof(factor));
      sum += part * factor;
    }
    sum_lanes<T>(sum);
    total = sum[0];
  }
  unrolled<In - kWhole>([&](auto c) { total += x[kWhole + c] * w[kWhole + c]; });
  return total;
}

/// Numbers of a register in which In columns are added up. Sums over lanes are most of the work where a row is no more than one register:
/// those of half as wide ones take half the time, and are half as many.
template <class T, Index In>
inline constexpr Index kStepWidth =
    kRegisterBytes == 64 && In <= kRegisterWidth<T> ? kRegisterWidth<T> / 2 : kRegisterWidth<T>;

/// One row: eight sums at a time at least, because additions wait for each other, then as many as a register has lanes, then one.
template <Index In, Index Out, class T>
[[gnu::flatten]] void step_forward(const T* x, const T* w, const T* bias, T* y) {
  constexpr Index kWidth = kStepWidth<T, In>;
  constexpr Index kSets = std::max<Index>(8 / kWidth, 1);
  constexpr Index kTogether = Out / (kSets * kWidth) * (kSets * kWidth);
  constexpr Index kWhole = Out / kWidth * kWidth;
  const auto bias_at = [bias](Index o) { return bias == nullptr ? nullptr : bias + o; };
  for (Index o = 0; o < kTogether; o += kSets * kWidth)
    step_forward_registers<kWidth, kSets, In>(x, w + o * In, bias_at(o), y + o);
  for (Index o = kTogether; o < kWhole; o += kWidth)
    step_forward_registers<kWidth, 1, In>(x, w + o * In, bias_at(o), y + o);
  for (Index o = kWhole; o < Out; ++o)
    y[o] = (bias == nullptr ? T(0) : bias[o]) + step_forward_one<In>(x, w + o * In);
}

/// Of all Outs outputs of a layer.
template <Index Outs, class T>
SMA_NOINLINE [[gnu::flatten]] void few_backward_input(const ops::LinearBackwardInput<T>& k) {
  constexpr Index kWidth = kRegisterWidth<T>;
  for (Index i = 0; i < k.dx.rows; ++i) {
    T factor[array_bound<Outs>];
    unrolled<Outs>([&](auto o) { factor[o] = k.dy(i, o); });
    Index c = 0;
    for (; c + kWidth <= k.dx.columns; c += kWidth) {
      Register<T> sum{};
      if (k.base.data != nullptr) std::memcpy(&sum, &k.base(i, c), sizeof(sum));
      unrolled<Outs>([&](auto o) {
        Register<T> w;
        std::memcpy(&w, &k.w(o, c), sizeof(w));
        sum += factor[o] * w;
      });
      std::memcpy(&k.dx(i, c), &sum, sizeof(sum));
    }
    for (; c < k.dx.columns; ++c) {
      T sum = k.base.data != nullptr ? k.base(i, c) : T(0);
      unrolled<Outs>([&](auto o) { sum += factor[o] * k.w(o, c); });
      k.dx(i, c) = sum;
    }
  }
}

/// Of all Outs outputs of a layer. Sums of 64 rows at a time, as sum_columns has them.
template <Index Outs, class T>
SMA_NOINLINE [[gnu::flatten]] void few_backward_weight(const ops::LinearBackwardWeight<T>& k) {
  constexpr Index kWidth = kRegisterWidth<T>;
  constexpr Index kBlock = 64;
  for (Index first = 0; first < k.dy.rows; first += kBlock) {
    const Index end = std::min(first + kBlock, k.dy.rows);
    const auto add = [&](Index c, auto registers) {
      constexpr Index kCount = decltype(registers)::value;
      Register<T> sum[array_bound<Outs>][array_bound<kCount>] = {};
      for (Index i = first; i < end; ++i) {
        Register<T> x[array_bound<kCount>];
        load_registers<T>(&k.x(i, c), x);
        unrolled<Outs>([&](auto o) {
          const T factor = k.dy(i, o);
          unrolled<kCount>([&](auto r) { sum[o][r] += factor * x[r]; });
        });
      }
      unrolled<Outs>([&](auto o) {
        Register<T> total[array_bound<kCount>];
        load_registers<T>(&k.dw(o, c), total);
        unrolled<kCount>([&](auto r) { total[r] += sum[o][r]; });
        store_registers<T>(total, &k.dw(o, c));
      });
    };
    Index c = 0;
    for (; c + 4 * kWidth <= k.x.columns; c += 4 * kWidth) add(c, std::integral_constant<Index, 4>{});
    for (; c + kWidth <= k.x.columns; c += kWidth) add(c, std::integral_constant<Index, 1>{});
    unrolled<Outs>([&](auto o) {
      for (Index rest = c; rest < k.x.columns; ++rest) {
        T sum = 0;
        for (Index i = first; i < end; ++i) sum += k.dy(i, o) * k.x(i, rest);
        k.dw(o, rest) += sum;
      }
      if (k.dbias == nullptr) return;
      T sum = 0;
      for (Index i = first; i < end; ++i) sum += k.dy(i, o);
      k.dbias[o] += sum;
    });
  }
}

}  // namespace eigen
}  // namespace SMA_ISA

template <class T>
void run(Context<Eigen<T>>& ctx, const ops::LinearForward<T>& k) {
  if (k.y.rows <= eigen::kFewRows) return eigen::few_rows_forward(k);
  if (k.y.columns <= eigen::kFewOutputs)
    return eigen::for_few_outputs(k.y.columns,
                                  [&](Index first, auto count) { eigen::few_forward<count>(k, first); });
  eigen::multiply<Context<Eigen<T>>, T>(ctx, k.y.rows, k.y.columns, k.x.columns,
                                        eigen::by_rows(k.x.data, k.x.stride),
                                        eigen::transposed(k.w.data, k.w.stride),
                                        {k.y.data, k.y.stride, k.bias, false, k.base.data, k.base.stride});
}

template <class T, Index In, Index Out>
void run(Context<Eigen<T>>&, const ops::LinearStep<T, T, In, Out>& k) {
  eigen::step_forward<In, Out>(k.x, k.w, k.bias, k.y);
}

template <class T>
void run(Context<Eigen<T>>& ctx, const ops::LinearBackwardInput<T>& k) {
  if (k.w.rows <= eigen::kFewOutputs)
    return eigen::for_few_outputs(k.w.rows, [&](Index, auto count) { eigen::few_backward_input<count>(k); });
  eigen::multiply<Context<Eigen<T>>, T>(ctx, k.dx.rows, k.dx.columns, k.dy.columns,
                                        eigen::by_rows(k.dy.data, k.dy.stride),
                                        eigen::by_rows(k.w.data, k.w.stride),
                                        {k.dx.data, k.dx.stride, nullptr, false, k.base.data, k.base.stride});
}

template <class T>
void run(Context<Eigen<T>>& ctx, const ops::LinearBackwardWeight<T>& k) {
  if (k.dw.rows <= eigen::kFewOutputs)
    return eigen::for_few_outputs(k.dw.rows,
                                  [&](Index, auto count) { eigen::few_backward_weight<count>(k); });
  if (k.dy.rows == 0) return;
  eigen::multiply<Context<Eigen<T>>, T>(
      ctx, k.dw.rows, k.dw.columns, k.dy.rows, eigen::transposed(k.dy.data, k.dy.stride),
      eigen::by_rows(k.x.data, k.x.stride), {k.dw.data, k.dw.stride, nullptr, true}, k.dbias);
}

}  // namespace sma
