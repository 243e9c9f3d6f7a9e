#pragma once

#include <algorithm>
#include <cstring>
#include <sma/eigen/gemm.hpp>
#include <sma/eigen/part.hpp>
#include <sma/ops/attention.hpp>
#include <utility>

/// Blocks of queries, the keys that they see, and the products of their tiles.
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

}  // namespace eigen
}  // namespace SMA_ISA

}  // namespace sma
