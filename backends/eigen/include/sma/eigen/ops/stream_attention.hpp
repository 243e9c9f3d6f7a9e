#pragma once

#include <sma/eigen/ops/attention.hpp>
#include <sma/eigen/ops/linear.hpp>
#include <sma/ops/gated_attention.hpp>

/// A stream's attention: the ring's keys and values as matrices.
namespace sma {

inline namespace SMA_ISA {
namespace eigen {

/// out = weights rows, one row of `Width` numbers: as many columns at a time as registers hold the sums of.
template <Index Width, class T>
SMA_NOINLINE [[gnu::flatten]] void sum_weighted_rows(const T* weights, const T* rows, Index count, T* out) {
  constexpr Index kWidth = kRegisterWidth<T>;
  const auto add = [&](Index c, auto registers) {
    Register<T> sum[array_bound<registers>] = {};
    for (Index s = 0; s < count; ++s) {
      Register<T> row[array_bound<registers>];
      load_registers<T>(rows + s * Width + c, row);
      unrolled<registers>([&](auto r) { sum[r] += weights[s] * row[r]; });
    }
    store_registers<T>(sum, out + c);
  };
  constexpr Index kEights = Width / (8 * kWidth) * (8 * kWidth);
  constexpr Index kPairs = Width / (2 * kWidth) * (2 * kWidth);
  constexpr Index kWhole = Width / kWidth * kWidth;
  for (Index c = 0; c < kEights; c += 8 * kWidth) add(c, std::integral_constant<Index, 8>{});
  for (Index c = kEights; c < kPairs; c += 2 * kWidth) add(c, std::integral_constant<Index, 2>{});
  for (Index c = kPairs; c < kWhole; c += kWidth) add(c, std::integral_constant<Index, 1>{});
  for (Index c = kWhole; c < Width; ++c) {
    T sum = 0;
    for (Index s = 0; s < count; ++s) sum += weights[s] * rows[s * Width + c];
    out[c] = sum;
  }
}

}  // namespace eigen
}  // namespace SMA_ISA

template <class T, Index Z, Index V, class Activation, class Bias, Index W>
void run(Context<Eigen<T>>& ctx, const ops::StreamAttention<T, Z, V, Activation, Bias, W>& k) {
  const Index count = k.slots();
  auto scope = ctx.scope();
  T* scores = ctx.template scratch<T>(W + 1 + eigen::kRegisterWidth<T>);
  eigen::few_rows_forward(
      ops::LinearForward<T>{{k.q, 1, Z, Z}, {k.keys, count, Z, Z}, nullptr, {scores, 1, count, count}, {}});
  for (Index s = 0; s < count; ++s) scores[s] *= k.scale();
  if constexpr (Bias::table_size > 0)
    for (Index s = 0; s < count; ++s) scores[s] += k.bias_of(s);
  if constexpr (Activation::normalizes)
    eigen::softmax(scores, count);
  else
    eigen::activate<Activation>(scores, count);
  eigen::sum_weighted_rows<V>(scores, k.values, count, k.out);
}

}  // namespace sma
