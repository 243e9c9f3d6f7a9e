#pragma once

#include <cmath>
#include <sma/base/precision.hpp>
#include <sma/base/views.hpp>
#include <sma/ops/sums.hpp>

/// What a gated attention unit does beside its matrix products and attention.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// q = z * gamma_0 + beta_0, k = z * gamma_1 + beta_1.
template <class T, Index Z>
struct QueriesAndKeys {
  Rows<const T, Z> z;
  const compute_of<T>* gamma;  // (2, Z)
  const compute_of<T>* beta;   // (2, Z)
  Rows<T, Z> q, k;
  SMA_HD Index extent() const { return z.rows; }
  SMA_HD void operator()(Index i) const {
    const T* in = z.row(i);
    T* pq = q.row(i);
    T* pk = k.row(i);
    for (Index j = 0; j < Z; ++j) pq[j] = in[j] * gamma[j] + beta[j];
    for (Index j = 0; j < Z; ++j) pk[j] = in[j] * gamma[Z + j] + beta[Z + j];
  }
};

/// dz = dq * gamma_0 + dk * gamma_1.
template <class T, Index Z>
struct QueriesAndKeysBackward {
  Rows<const T, Z> dq, dk;
  const compute_of<T>* gamma;
  Rows<T, Z> dz;
  SMA_HD Index extent() const { return dz.rows; }
  SMA_HD void operator()(Index i) const {
    const T* pq = dq.row(i);
    const T* pk = dk.row(i);
    T* out = dz.row(i);
    for (Index j = 0; j < Z; ++j) out[j] = pq[j] * gamma[j] + pk[j] * gamma[Z + j];
  }
};

/// The gradients of y = g r from dy, in place: r becomes dr = dy g, and dy becomes dg = dy r.
template <class T, Index V>
struct GateBackward {
  Rows<const T, V> g;
  Rows<T, V> r, dy;
  SMA_HD Index extent() const { return dy.rows; }
  SMA_HD void operator()(Index i) const {
    const T* pg = g.row(i);
    T* pr = r.row(i);
    T* d = dy.row(i);
    for (Index j = 0; j < V; ++j) {
      const compute_of<T> slope = d[j];
      d[j] = slope * pr[j];
      pr[j] = slope * pg[j];
    }
  }
};

/// One query against a ring of the last keys and values, oldest first. One index: the whole query.
template <class T, Index Z, Index V, class Activation, class Bias, Index W>
struct StreamAttention {
  const T* q;                 // (Z)
  const T* keys;              // (W + 1, Z), slot = number % (W + 1)
  const T* values;            // (W + 1, V)
  const Position* positions;  // (W + 1)
  Index number;               // of the query among the active elements, from 0; already in the ring
  Bias bias;
  compute_of<T>* scores;  // (W + 1) workspace
  T* out;                 // (V)
  SMA_HD Index extent() const { return 1; }
  SMA_HD void operator()(Index) const {
    const Index first = number > W ? number - W : 0;
    using A = compute_of<T>;
    const A scale = Activation::normalizes ? 1 / std::sqrt(A(Z)) : 1 / A(W);
    const Position here = positions[number % (W + 1)];
    A top = 0;
    for (Index j = first; j <= number; ++j) {
      const T* k = keys + j % (W + 1) * Z;
      const T* query = q;
      A score = scale * row_sum<A, Z>([query, k](Index c) { return query[c] * k[c]; });
      if (Bias::table_size > 0) score += bias.table[bias.slot(here, positions[j % (W + 1)], number, j)];
      scores[j - first] = score;
      if (j == first || score > top) top = score;
    }
    A sum = 0;
    for (Index j = 0; j <= number - first; ++j) {
      if constexpr (Activation::normalizes)
        scores[j] = std::exp(scores[j] - top);
      else
        scores[j] = Activation::value(scores[j]);
      sum += scores[j];
    }
    const A factor = Activation::normalizes ? 1 / sum : A(1);
    A total[array_bound<V>] = {};
    for (Index j = first; j <= number; ++j) {
      const A weight = scores[j - first] * factor;
      const T* v = values + j % (W + 1) * V;
      for (Index c = 0; c < V; ++c) total[c] += weight * v[c];
    }
    for (Index c = 0; c < V; ++c) out[c] = total[c];
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
