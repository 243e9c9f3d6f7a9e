#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/gemm.hpp>
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

/// Queries of one block: as many as keep its tiles of scores and their gradients in the second-level cache.
inline constexpr Index kQueryBlock = 8 * kTileRows;

/// Keys that are packed: `first` begins a panel of the sequence.
struct Packed {
  Index first, end;
};

/// The keys of a block of queries (of one sequence), and its tile of scores: `stride` numbers a row, column 0 is key `j0`.
/// A row holds zeros for kTileRows keys on either side of those it sees, where stripes of other rows read it.
struct Block {
  Index begin, end;   // of the sequence
  Index i0, queries;  // first query and their number
  Index j0, keys;     // first key and their number; j0 - begin is a multiple of a panel's columns
  Index stride;       // of a tile
  Packed packed;      // they are among these
};

/// Where the panel begins that holds the first key that query i sees.
template <class T, class Problem>
Index first_panel(const Problem& p, Index begin, Index i) {
  return begin + (p.first_key(i, begin) - begin) / kTileColumns<T> * kTileColumns<T>;
}

template <class T, class Problem>
Block block_of(const Problem& p, Index begin, Index end, Index i0, Index last, const Packed& packed) {
  const Index queries = std::min(kQueryBlock, last - i0);
  const Index j0 = first_panel<T>(p, begin, i0);
  const Index keys = p.end_key(i0 + queries - 1, end) - j0;
  return {begin, end, i0, queries, j0, keys, round_up(keys, kTileColumns<T>) + kRegisterWidth<T>, packed};
}

/// Calls visit(block) for the blocks of queries of all sequences, and enter(packed) before those of a sequence.
template <class T, class Problem, class Enter, class Visit>
void for_each_block(const Problem& p, const ops::Queries& queries, const Enter& enter, const Visit& visit) {
  for (Index sequence = 0; sequence < p.s.count; ++sequence) {
    const Index begin = p.s.begin(sequence);
    const Index end = p.s.end(sequence);
    const Index first = std::max(begin, queries.begin);
    const Index last = std::min(end, queries.end);
    if (first >= last) continue;
    const Packed packed{first_panel<T>(p, begin, first), p.end_key(last - 1, end)};
    enter(packed);
    for (Index i = first; i < last; i += kQueryBlock) visit(block_of<T>(p, begin, end, i, last, packed));
  }
}

/// Keys packed together at most, and numbers of the largest tile, with room for the last stripe to read beyond it.
template <class T, class Problem>
std::pair<Index, Index> most_packed_and_largest_tile(const Problem& p, const ops::Queries& queries) {
  Index longest = 0;
  Index tile = 0;
  for_each_block<T>(
      p, queries, [&](const Packed& packed) { longest = std::max(longest, packed.end - packed.first); },
      [&](const Block& b) { tile = std::max(tile, round_up(b.queries, kTileRows) * b.stride); });
  return {longest, tile + kTileRows};
}

/// Keys or values, packed for products: as B^T (columns are rows of x) or as B (the depth is rows of x).
template <class T, Index Width>
Operand<T> columns_of(const Rows<const T, Width>& x, Index first) {
  return transposed(x.row(first), x.stride);
}
template <class T, Index Width>
Operand<T> rows_of(const Rows<const T, Width>& x, Index first) {
  return by_rows(x.row(first), x.stride);
}

/// tile(i, j) = x_i . y_j for the block's queries i and the keys j that i's stripe sees; y's panels hold the packed keys.
template <class T, class Problem, Index Width>
void multiply_by_keys(const Problem& p, const Block& b, const Rows<const T, Width>& x, const T* panels,
                      T* room, T* tile) {
  constexpr Index kColumns = kTileColumns<T>;
  for (Index r = 0; r < b.queries; r += kTileRows) {
    const Index i = b.i0 + r;
    const Index rows = std::min(kTileRows, b.queries - r);
    const Index first = (p.first_key(i, b.begin) - b.j0) / kColumns * kColumns;
    const Index last = p.end_key(i + rows - 1, b.end) - b.j0;
    with_stripe(rows_of(x, i), rows, Width, room, static_cast<T*>(nullptr), [&](const auto& stripe) {
      multiply_stripe<T>(Width, stripe, panels + (b.j0 - b.packed.first + first) * Width, Width * kColumns,
                         {tile + r * b.stride + first, b.stride}, rows, last - first);
    });
  }
}

/// y_i = sum_j tile(i, j) x_j for the block's queries; x's panels hold the packed keys.
template <class T, class Problem, Index Width>
void multiply_tile_by_rows(const Problem& p, const Block& b, const T* tile, const T* panels, T* room,
                           const Rows<T, Width>& y) {
  const Index length = b.packed.end - b.packed.first;
  for (Index r = 0; r < b.queries; r += kTileRows) {
    const Index i = b.i0 + r;
    const Index rows = std::min(kTileRows, b.queries - r);
    const Index first = p.first_key(i, b.begin);
    const Index depth = p.end_key(i + rows - 1, b.end) - first;
    const Operand<T> a = by_rows(tile + r * b.stride + first - b.j0, b.stride);
    with_stripe(a, rows, depth, room, static_cast<T*>(nullptr), [&](const auto& stripe) {
      multiply_stripe<T>(depth, stripe, panels + (first - b.packed.first) * kTileColumns<T>,
                         length * kTileColumns<T>, {y.row(i), y.stride}, rows, Width);
    });
  }
}

/// y_j += sum_i tile(i, j) x_i for the block's keys; x's panels hold the block's queries.
template <class T, class Problem, Index Width>
void multiply_transposed_tile(const Problem& p, const Block& b, const T* tile, const T* panels, T* room,
                              const Rows<T, Width>& y) {
  Index first = b.i0;  // the first query that sees a key of the stripe
  Index last = b.i0;   // behind the last one
  for (Index c = 0; c < b.keys; c += kTileRows) {
    const Index j = b.j0 + c;
    const Index rows = std::min(kTileRows, b.keys - c);
    while (first < b.i0 + b.queries && p.end_key(first, b.end) <= j) ++first;
    last = std::max(last, first);
    while (last < b.i0 + b.queries && p.first_key(last, b.begin) < j + rows) ++last;
    if (first == last) continue;
    pack_stripe(transposed(tile + (first - b.i0) * b.stride + c, b.stride), b.stride - c, last - first, room);
    multiply_stripe<T>(last - first, PackedStripe<T>{room}, panels + (first - b.i0) * kTileColumns<T>,
                       b.queries * kTileColumns<T>, {y.row(j), y.stride, nullptr, true}, rows, Width);
  }
}

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
