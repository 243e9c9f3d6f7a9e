#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/gemm.hpp>
#include <sma/eigen/ops/attention_tiles.hpp>
#include <sma/eigen/part.hpp>
#include <sma/eigen/simd/pack.hpp>
#include <sma/ops/attention.hpp>
#include <sma/ops/sums.hpp>

/// Banded attention in tiles: a block of queries meets the keys that its band touches. Keys and values of a sequence, as far as queries
/// see them, are packed once; a stripe of kTileRows queries multiplies only the keys that one of its rows sees, and a stripe of keys,
/// in backward, only the queries that see one of them.
namespace sma {

inline namespace SMA_ISA {
namespace eigen {

/// The part of a row that its query sees.
struct Band {
  Index first, count;  // columns of the tile
};
template <class Problem>
Band band_of(const Problem& p, const Block& b, Index i) {
  const Index first = p.first_key(i, b.begin) - b.j0;
  return {first, p.end_key(i, b.end) - b.j0 - first};
}

/// Zeros where stripes read beyond the band.
template <class T>
void clear_edges(const Block& b, const Band& band, T* row) {
  const Index end = band.first + band.count;
  std::fill(row + std::max<Index>(0, band.first - kTileRows), row + band.first, T(0));
  std::fill(row + end, row + std::min(b.stride, end + kTileRows), T(0));
}

/// Calls f(c, slot) with the place in the bias table of query i and key j + c, for c < count. Loops that the compiler can
/// vectorise where the places follow from the positions.
template <class Bias, class F>
void for_each_slot(const Bias& bias, const Position* positions, Index i, Index j, Index count, const F& f) {
  for (Index c = 0; c < count; ++c) f(c, bias.slot(positions[i], positions[j + c], i, j + c));
}
/// A key's place is its position plus this; nothing where one of the keys is so far from query i that its place is clamped.
template <class T, Index MaxPositions>
std::optional<Position> first_slot(const ops::SimpleBias<T, MaxPositions>&, const Position* positions,
                                   Index i, Index j, Index count) {
  const Position here = positions[i];
  if (here - positions[j] >= MaxPositions || positions[j + count - 1] - here >= MaxPositions) return {};
  return MaxPositions - 1 - here;
}
template <class T, Index MaxPositions, class F>
void for_each_slot(const ops::SimpleBias<T, MaxPositions>& bias, const Position* positions, Index i, Index j,
                   Index count, const F& f) {
  if (const auto first = first_slot(bias, positions, i, j, count))
    for (Index c = 0; c < count; ++c) f(c, *first + positions[j + c]);
  else
    for (Index c = 0; c < count; ++c) f(c, bias.slot(positions[i], positions[j + c], i, j + c));
}
template <class T, Index Window, class F>
void for_each_slot(const ops::LocalBias<T, Window>& bias, const Position*, Index i, Index j, Index count,
                   const F& f) {
  const Index first = bias.slot(0, 0, i, j);
  for (Index c = 0; c < count; ++c) f(c, first + c);
}

/// row[c] = row[c] * scale + bias.
template <class T, class Problem, class Bias>
void scale_and_bias(const Problem& p, const Bias& bias, Index i, Index j, Index count, T scale, T* row) {
  if constexpr (Problem::has_bias) {
    const T* table = bias.table;
    for_each_slot(bias, p.s.positions, i, j, count,
                  [=](Index c, Index slot) { row[c] = row[c] * scale + table[slot]; });
  } else {
    for (Index c = 0; c < count; ++c) row[c] *= scale;
  }
}
/// With biases from all over a table: a register of them at a time.
template <class T, class Problem, Index MaxPositions>
void scale_and_bias(const Problem& p, const ops::SimpleBias<T, MaxPositions>& bias, Index i, Index j,
                    Index count, T scale, T* row) {
  constexpr Index kWidth = kRegisterWidth<T>;
  const auto first_place = first_slot(bias, p.s.positions, i, j, count);
  Index c = 0;
  if (first_place) {
    const Position first = *first_place;
    const Position* positions = p.s.positions + j;
    const T* table = bias.table;
    const auto biases = [=]<std::size_t... L>(Index from, std::index_sequence<L...>) {
      return Register<T>{table[first + positions[from + static_cast<Index>(L)]]...};
    };
    for (; c + kWidth <= count; c += kWidth) {
      Register<T> x;
      std::memcpy(&x, row + c, sizeof(x));
      x = x * scale + biases(c, std::make_index_sequence<static_cast<std::size_t>(kWidth)>{});
      std::memcpy(row + c, &x, sizeof(x));
    }
  }
  for (; c < count; ++c)
    row[c] = row[c] * scale + bias.table[bias.slot(p.s.positions[i], p.s.positions[j + c], i, j + c)];
}

/// row[c] = f(row[c], i) for the registers i that hold row[0] .. row[count-1]: the last one reaches beyond the row.
template <class T, class F>
[[gnu::always_inline]] inline void for_each_register(T* row, Index count, const F& f) {
  for (Index c = 0; c < count; c += kRegisterWidth<T>) {
    Register<T> x;
    std::memcpy(&x, row + c, sizeof(x));
    f(x, c);
    std::memcpy(row + c, &x, sizeof(x));
  }
}

/// The same with an array of registers: as many as in a Pack as long as there are, then one.
template <class T, class F>
[[gnu::always_inline]] inline void for_each_registers(T* row, Index count, const F& f) {
  const auto visit = [&](auto registers, Index c) __attribute__((always_inline)) {
    Register<T> x[registers];
    load_registers(row + c, x);
    f(x, c);
    store_registers(x, row + c);
  };
  constexpr Index kTogether = Pack<T>::registers;
  constexpr Index kWidth = kRegisterWidth<T>;
  Index c = 0;
  for (; c + (kTogether - 1) * kWidth < count; c += kTogether * kWidth)
    visit(std::integral_constant<Index, kTogether>{}, c);
  for (; c < count; c += kWidth) visit(std::integral_constant<Index, 1>{}, c);
}

/// Activations of scores that take a number or a register of them.
template <class Activation>
inline constexpr bool vectorizes = requires { requires Activation::vectorizes; };

/// row = f(row).
template <class Activation, class T>
[[gnu::flatten]] void activate(T* row, Index count) {
  if constexpr (vectorizes<Activation>)
    for_each_register(row, count, [](Register<T>& x, Index) { x = Activation::value(x); });
  else
    for (Index c = 0; c < count; ++c) row[c] = Activation::value(row[c]);
}

/// slope becomes the gradient of the scores, f'(row) slope, and row becomes f(row).
template <class Activation, class T>
[[gnu::flatten]] void activate_backward(T* row, T* slope, Index count) {
  if constexpr (vectorizes<Activation>) {
    for_each_register(row, count, [&](Register<T>& x, Index c) {
      Register<T> gradient;
      std::memcpy(&gradient, slope + c, sizeof(gradient));
      gradient *= Activation::derivative(x);
      std::memcpy(slope + c, &gradient, sizeof(gradient));
      x = Activation::value(x);
    });
  } else {
    for (Index c = 0; c < count; ++c) {
      slope[c] *= Activation::derivative(row[c]);
      row[c] = Activation::value(row[c]);
    }
  }
}

/// row = softmax(row); returns the logarithm of the sum of exponentials.
template <class T>
[[gnu::flatten]] T softmax(T* row, Index count) {
  using V = Register<T>;
  std::fill_n(row + count, kRegisterWidth<T>, std::numeric_limits<T>::lowest());
  V largest = V{} + std::numeric_limits<T>::lowest();
  for_each_register(row, count, [&](V& x, Index) { largest = largest > x ? largest : x; });
  T top = largest[0];
  for (Index l = 1; l < kRegisterWidth<T>; ++l) top = std::max(top, largest[l]);
  for_each_registers(row, count, [&]<std::size_t Count>(V(&x)[Count], Index) {
    unrolled<Count>([&](auto i) { x[i] -= top; });
    exponential(x);
  });
  std::fill_n(row + count, kRegisterWidth<T>, T(0));
  V sums{};
  for_each_register(row, count, [&](V& x, Index) { sums += x; });
  T sum = 0;
  for (Index l = 0; l < kRegisterWidth<T>; ++l) sum += sums[l];
  for_each_register(row, count, [&, factor = 1 / sum](V& x, Index) { x *= factor; });
  return top + std::log(sum);
}

/// row = softmax(row), given the logarithm of its sum of exponentials, and slope becomes the gradient of the scores, softmax
/// (slope - mean), where mean = sum softmax slope.
template <class T>
[[gnu::flatten]] void softmax_backward(T* row, T* slope, Index count, T normalizer, T mean) {
  using V = Register<T>;
  for_each_registers(row, count, [&]<std::size_t Count>(V(&x)[Count], Index c) {
    V gradient[Count];
    load_registers(slope + c, gradient);
    unrolled<Count>([&](auto i) { x[i] -= normalizer; });
    exponential(x);
    unrolled<Count>([&](auto i) { gradient[i] = x[i] * (gradient[i] - mean); });
    store_registers(gradient, slope + c);
  });
}

}  // namespace eigen
}  // namespace SMA_ISA

template <class T, class Problem>
void run(Context<Eigen<T>>& ctx, const ops::AttentionForward<T, Problem>& k) {
  constexpr Index kZ = Problem::query_width;
  constexpr Index kV = Problem::value_width;
  const Problem& p = k.p;
  auto scope = ctx.scope();
  const auto [longest, largest] = eigen::most_packed_and_largest_tile<T>(p, k.queries);
  T* keys = ctx.template scratch<T>(eigen::panels_size<T>(kZ, longest));
  T* values = ctx.template scratch<T>(eigen::panels_size<T>(longest, kV));
  T* room = ctx.template scratch<T>(eigen::stripe_size<T>(std::max(kZ, longest)));
  T* tile = ctx.template scratch<T>(largest);
  const auto enter = [&](const eigen::Packed& packed) {
    const Index count = packed.end - packed.first;
    eigen::pack_panels(eigen::columns_of(p.k, packed.first), kZ, count, keys);
    eigen::pack_panels(eigen::rows_of(p.v, packed.first), count, kV, values);
  };
  eigen::for_each_block<T>(p, k.queries, enter, [&](const eigen::Block& b) {
    eigen::multiply_by_keys(p, b, p.q, keys, room, tile);
    for (Index r = 0; r < b.queries; ++r) {
      const Index i = b.i0 + r;
      const eigen::Band band = eigen::band_of(p, b, i);
      T* row = tile + r * b.stride;
      T* w = row + band.first;
      eigen::scale_and_bias(p, p.bias, i, b.j0 + band.first, band.count, p.scale(i, b.begin, b.end), w);
      if constexpr (Problem::Act::normalizes) {
        k.normalizer[i] = eigen::softmax(w, band.count);
      } else {
        eigen::activate<typename Problem::Act>(w, band.count);
        k.normalizer[i] = 0;
      }
      eigen::clear_edges(b, band, row);
    }
    eigen::multiply_tile_by_rows(p, b, tile, values, room, k.out);
  });
}

template <class T, class Problem>
void run(Context<Eigen<T>>& ctx, const ops::AttentionBackward<T, Problem>& k) {
  constexpr Index kZ = Problem::query_width;
  constexpr Index kV = Problem::value_width;
  const Problem& p = k.p;
  auto scope = ctx.scope();
  const auto [longest, largest] = eigen::most_packed_and_largest_tile<T>(p, k.queries);
  T* keys = ctx.template scratch<T>(eigen::panels_size<T>(kZ, longest));      // k^T, for scores
  T* values = ctx.template scratch<T>(eigen::panels_size<T>(kV, longest));    // v^T, for their gradients
  T* key_rows = ctx.template scratch<T>(eigen::panels_size<T>(longest, kZ));  // k, for dq
  T* queries = ctx.template scratch<T>(eigen::panels_size<T>(eigen::kQueryBlock, kZ));  // a block's, for dk
  T* douts = ctx.template scratch<T>(eigen::panels_size<T>(eigen::kQueryBlock, kV));    // for dv
  T* room = ctx.template scratch<T>(eigen::stripe_size<T>(std::max({kZ, kV, longest, eigen::kQueryBlock})));
  T* weights = ctx.template scratch<T>(largest);
  T* gradients = ctx.template scratch<T>(largest);  // of weights, then of q . k
  const auto enter = [&](const eigen::Packed& packed) {
    const Index count = packed.end - packed.first;
    eigen::pack_panels(eigen::columns_of(p.k, packed.first), kZ, count, keys);
    eigen::pack_panels(eigen::columns_of(p.v, packed.first), kV, count, values);
    eigen::pack_panels(eigen::rows_of(p.k, packed.first), count, kZ, key_rows);
  };
  eigen::for_each_block<T>(p, k.queries, enter, [&](const eigen::Block& b) {
    eigen::pack_panels(eigen::rows_of(p.q, b.i0), b.queries, kZ, queries);
    eigen::pack_panels(eigen::rows_of(k.dout, b.i0), b.queries, kV, douts);
    eigen::multiply_by_keys(p, b, p.q, keys, room, weights);
    eigen::multiply_by_keys(p, b, k.dout, values, room, gradients);
    for (Index r = 0; r < b.queries; ++r) {
      const Index i = b.i0 + r;
      const eigen::Band band = eigen::band_of(p, b, i);
      T* w = weights + r * b.stride + band.first;
      T* g = gradients + r * b.stride + band.first;
      const Index j = b.j0 + band.first;
      const T scale = p.scale(i, b.begin, b.end);
      eigen::scale_and_bias(p, p.bias, i, j, band.count, scale, w);
      if constexpr (Problem::Act::normalizes) {
        const T mean =
            ops::row_sum<T, kV>([d = k.dout.row(i), o = k.out.row(i)](Index c) { return d[c] * o[c]; });
        eigen::softmax_backward(w, g, band.count, k.normalizer[i], mean);
      } else {
        eigen::activate_backward<typename Problem::Act>(w, g, band.count);
      }
      if constexpr (Problem::has_bias) {
        T* dtable = k.dtable;
        eigen::for_each_slot(p.bias, p.s.positions, i, j, band.count,
                             [=](Index c, Index slot) { dtable[slot] += g[c]; });
      }
      for (Index c = 0; c < band.count; ++c) g[c] *= scale;
      eigen::clear_edges(b, band, weights + r * b.stride);
      eigen::clear_edges(b, band, gradients + r * b.stride);
    }
    eigen::multiply_tile_by_rows(p, b, gradients, key_rows, room, k.dq);
    eigen::multiply_transposed_tile(p, b, gradients, queries, room, k.dk);
    eigen::multiply_transposed_tile(p, b, weights, douts, room, k.dv);
  });
}

}  // namespace sma
