#pragma once

#include <algorithm>
#include <cmath>
#include <sma/eigen/linear.hpp>
#include <sma/kernels/attention.hpp>

/// Banded attention in tiles: a block of queries meets the keys its band touches as two matrix products.
namespace sma {

namespace eigen {

/// Queries of one tile.
inline constexpr Index kQueryBlock = 64;

/// The tiles of one problem: visits (sequence begin, sequence end, first query, queries, first key, keys).
template <class Problem, class Visit>
void for_each_tile(const Problem& p, const Visit& visit) {
  for (Index sequence = 0; sequence < p.s.count; ++sequence) {
    const Index begin = p.s.begin(sequence);
    const Index end = p.s.end(sequence);
    for (Index i = begin; i < end; i += kQueryBlock) {
      const Index queries = std::min(kQueryBlock, end - i);
      const Index first = p.first_key(i, begin);
      visit(begin, end, i, queries, first, p.end_key(i + queries - 1, end) - first);
    }
  }
}

/// Keys of the widest tile.
template <class Problem>
Index widest_tile(const Problem& p) {
  Index widest = 0;
  for_each_tile(p, [&](Index, Index, Index, Index, Index, Index keys) { widest = std::max(widest, keys); });
  return widest;
}

/// The tile's scores, bias included: (queries, keys). Pairs outside the band hold numbers that nobody may use.
template <class T, class Problem>
void tile_scores(const Problem& p, Index begin, Index end, Index i0, Index queries, Index j0, Index keys,
                 MutableMap<T>& tile) {
  tile.noalias() =
      map(kernels::as_matrix(p.q), i0, queries) * map(kernels::as_matrix(p.k), j0, keys).transpose();
  for (Index r = 0; r < queries; ++r) {
    const Index i = i0 + r;
    const T scale = p.scale(i, begin, end);
    T* row = tile.data() + r * keys;
    if constexpr (Problem::has_bias) {
      const Index first = p.first_key(i, begin);
      const Index last = p.end_key(i, end);
      for (Index j = first; j < last; ++j) row[j - j0] = row[j - j0] * scale + p.bias.table[p.slot(i, j)];
    } else {
      for (Index c = 0; c < keys; ++c) row[c] *= scale;
    }
  }
}

}  // namespace eigen

template <class T, class Problem>
void run(Context<Eigen<T>>& ctx, const kernels::AttentionForward<T, Problem>& k) {
  const Problem& p = k.p;
  auto scope = ctx.scope();
  T* memory = ctx.template scratch<T>(eigen::kQueryBlock * eigen::widest_tile(p));
  eigen::for_each_tile(p, [&](Index begin, Index end, Index i0, Index queries, Index j0, Index keys) {
    eigen::MutableMap<T> tile(memory, queries, keys, ::Eigen::OuterStride<>(keys));
    eigen::tile_scores<T>(p, begin, end, i0, queries, j0, keys, tile);
    for (Index r = 0; r < queries; ++r) {
      const Index i = i0 + r;
      const Index first = p.first_key(i, begin) - j0;
      const Index count = p.end_key(i, end) - j0 - first;
      T* row = memory + r * keys;
      std::fill(row, row + first, T(0));
      std::fill(row + first + count, row + keys, T(0));
      if constexpr (Problem::Act::normalizes) {
        ::Eigen::Map<::Eigen::Array<T, ::Eigen::Dynamic, 1>> band(row + first, count);
        const T top = band.maxCoeff();
        band = (band - top).exp();
        const T sum = band.sum();
        band *= 1 / sum;
        k.normalizer[i] = top + std::log(sum);
      } else {
        for (Index c = first; c < first + count; ++c) row[c] = Problem::Act::value(row[c]);
        k.normalizer[i] = 0;
      }
    }
    eigen::map(kernels::as_matrix(k.out), i0, queries).noalias() =
        tile * eigen::map(kernels::as_matrix(p.v), j0, keys);
  });
}

template <class T, class Problem>
void run(Context<Eigen<T>>& ctx, const kernels::AttentionBackward<T, Problem>& k) {
  const Problem& p = k.p;
  auto scope = ctx.scope();
  const Index widest = eigen::widest_tile(p);
  T* weight_memory = ctx.template scratch<T>(eigen::kQueryBlock * widest);
  T* gradient_memory = ctx.template scratch<T>(eigen::kQueryBlock * widest);
  if (p.s.rows == 0) return;
  eigen::map(kernels::as_matrix(k.dk), 0, p.s.rows).setZero();
  eigen::map(kernels::as_matrix(k.dv), 0, p.s.rows).setZero();
  eigen::for_each_tile(p, [&](Index begin, Index end, Index i0, Index queries, Index j0, Index keys) {
    eigen::MutableMap<T> weights(weight_memory, queries, keys, ::Eigen::OuterStride<>(keys));
    eigen::MutableMap<T> gradient(gradient_memory, queries, keys, ::Eigen::OuterStride<>(keys));
    const auto dout = eigen::map(kernels::as_matrix(k.dout), i0, queries);
    eigen::tile_scores<T>(p, begin, end, i0, queries, j0, keys, weights);
    gradient.noalias() =
        dout * eigen::map(kernels::as_matrix(p.v), j0, keys).transpose();  // d loss / d weight
    for (Index r = 0; r < queries; ++r) {
      const Index i = i0 + r;
      const Index first = p.first_key(i, begin) - j0;
      const Index count = p.end_key(i, end) - j0 - first;
      T* w = weight_memory + r * keys;
      T* g = gradient_memory + r * keys;
      std::fill(w, w + first, T(0));
      std::fill(w + first + count, w + keys, T(0));
      std::fill(g, g + first, T(0));
      std::fill(g + first + count, g + keys, T(0));
      if constexpr (Problem::Act::normalizes) {
        ::Eigen::Map<::Eigen::Array<T, ::Eigen::Dynamic, 1>> band(w + first, count);
        ::Eigen::Map<::Eigen::Array<T, ::Eigen::Dynamic, 1>> slope(g + first, count);
        band = (band - k.normalizer[i]).exp();
        const T mean = dout.row(r).dot(eigen::map(kernels::as_matrix(k.out), i, 1).row(0));
        slope = band * (slope - mean);
      } else {
        for (Index c = first; c < first + count; ++c) {
          g[c] *= Problem::Act::derivative(w[c]);
          w[c] = Problem::Act::value(w[c]);
        }
      }
      if constexpr (Problem::has_bias)
        for (Index c = first; c < first + count; ++c) k.dtable[p.slot(i, j0 + c)] += g[c];
      const T scale = p.scale(i, begin, end);
      for (Index c = first; c < first + count; ++c) g[c] *= scale;
    }
    eigen::map(kernels::as_matrix(k.dq), i0, queries).noalias() =
        gradient * eigen::map(kernels::as_matrix(p.k), j0, keys);
    eigen::map(kernels::as_matrix(k.dk), j0, keys).noalias() +=
        gradient.transpose() * eigen::map(kernels::as_matrix(p.q), i0, queries);
    eigen::map(kernels::as_matrix(k.dv), j0, keys).noalias() += weights.transpose() * dout;
  });
}

}  // namespace sma
