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

/// One query against a ring of the last W + 1 keys and values: element n stands in slot n % (W + 1). One index: the whole query.
///
///     out = sum_s act(scale q . k_s + bias_s) v_s
template <class T, Index Z, Index V, class Activation, class Bias, Index W>
struct StreamAttention {
  const T* q;                 // (Z)
  const T* keys;              // (W + 1, Z)
  const T* values;            // (W + 1, V)
  const Position* positions;  // (W + 1)
  Index number;               // of the query among the active elements, from 0; already in the ring
  Bias bias;
  compute_of<T>* scores;  // (W + 1) workspace
  T* out;                 // (V)

  SMA_HD Index slots() const { return number < W ? number + 1 : W + 1; }
  SMA_HD static compute_of<T> scale() {
    using A = compute_of<T>;
    return Activation::normalizes ? 1 / std::sqrt(A(Z)) : 1 / A(W);
  }
  SMA_HD compute_of<T> bias_of(Index slot) const {
    const Index newest = number % (W + 1);
    const Index element = number - newest + slot - (slot > newest ? W + 1 : 0);
    return bias.table[bias.slot(positions[newest], positions[slot], number, element)];
  }

  SMA_HD Index extent() const { return 1; }
  SMA_HD void operator()(Index) const {
    using A = compute_of<T>;
    const Index count = slots();
    A top = 0;
    for (Index s = 0; s < count; ++s) {
      const T* k = keys + s * Z;
      const T* query = q;
      A score = scale() * row_sum<A, Z>([query, k](Index c) { return query[c] * k[c]; });
      if constexpr (Bias::table_size > 0) score += bias_of(s);
      scores[s] = score;
      if (s == 0 || score > top) top = score;
    }
    A sum = 0;
    for (Index s = 0; s < count; ++s) {
      if constexpr (Activation::normalizes)
        scores[s] = std::exp(scores[s] - top);
      else
        scores[s] = Activation::value(scores[s]);
      sum += scores[s];
    }
    const A factor = Activation::normalizes ? 1 / sum : A(1);
    for (Index c = 0; c < V; ++c) {
      A total = 0;
      for (Index s = 0; s < count; ++s) total += scores[s] * values[s * V + c];
      out[c] = factor * total;
    }
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
