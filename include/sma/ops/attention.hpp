#pragma once

#include <cmath>
#include <limits>
#include <sma/base/precision.hpp>
#include <sma/base/sequences.hpp>
#include <sma/base/views.hpp>

/// Attention inside a band of each sequence, plain forms (the oracle of the backends' tiled ones).
///
///     score(i, j) = scale_i q_i . k_j + bias(i, j)       w_ij = act(score)       out_i = sum_j w_ij v_j
/// over the allowed j: |i - j| <= Window, or i - Window <= j <= i when causal; Window = 0 means the whole sequence.
/// i and j count rows of the (compressed) sequence.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// Weights exp(score) / sum exp(score); scale Z^-1/2.
struct SoftmaxAttention {
  static constexpr bool normalizes = true;
};

/// Weights max(score, 0)^2, NaN for NaN; scale 1 / (number of keys).
struct Relu2Attention {
  static constexpr bool normalizes = false;
  static constexpr bool vectorizes = true;  // takes a number or a SIMD register of them
  template <class T>
  SMA_HD static T value(T score) {
    const T positive = score <= 0 ? T{} : score;
    return positive * positive;
  }
  template <class T>
  SMA_HD static T derivative(T score) {
    return 2 * (score <= 0 ? T{} : score);
  }
};

/// Weights (1 + erf((score - mu) / (sigma sqrt 2))) / 2, mu = 0.707107, sigma = 0.282095; scale 1 / (number of keys).
/// As erfc, which keeps its digits far below mu, where 1 + erf loses them all.
struct LaplaceAttention {
  static constexpr bool normalizes = false;
  template <class T>
  SMA_HD static T value(T score) {
    return T(0.5) * std::erfc((T(kMean) - score) / (T(kDeviation) * T(1.41421356237309504880)));
  }
  template <class T>
  SMA_HD static T derivative(T score) {
    const T z = (score - T(kMean)) / T(kDeviation);
    return T(0.39894228040143267794) / T(kDeviation) * std::exp(T(-0.5) * z * z);
  }

 private:
  static constexpr double kMean = 0.707107;
  static constexpr double kDeviation = 0.282095;
};

/// No additive bias.
template <class T>
struct NoBias {
  static constexpr Index table_size = 0;
  const compute_of<T>* table = nullptr;
  SMA_HD Index slot(Position, Position, Index, Index) const { return 0; }
};

/// One learned bias an original offset t_j - t_i, clamped to +-(MaxPositions - 1).
template <class T, Index MaxPositions>
struct SimpleBias {
  static constexpr Index table_size = 2 * MaxPositions - 1;
  const compute_of<T>* table = nullptr;
  SMA_HD Index slot(Position ti, Position tj, Index, Index) const {
    Index offset = tj - ti;
    if (offset > MaxPositions - 1) offset = MaxPositions - 1;
    if (offset < 1 - MaxPositions) offset = 1 - MaxPositions;
    return MaxPositions - 1 + offset;
  }
};

/// One learned bias an offset j - i in the compressed sequence; 6W - 1 entries, the centre at 4W - 1.
template <class T, Index Window>
struct LocalBias {
  static constexpr Index table_size = 6 * Window - 1;
  const compute_of<T>* table = nullptr;
  SMA_HD Index slot(Position, Position, Index i, Index j) const { return 4 * Window - 1 + (j - i); }
};

/// 32 learned biases over buckets of the original offset: exact when near, logarithmic up to 128 (T5).
template <class T, bool Causal>
struct T5Bias {
  static constexpr Index table_size = 32;
  const compute_of<T>* table = nullptr;
  SMA_HD Index slot(Position ti, Position tj, Index, Index) const {
    Index n = ti - tj;
    Index first = 0;
    constexpr Index buckets = Causal ? 32 : 16;
    if (Causal) {
      if (n < 0) n = 0;
    } else if (n < 0) {
      first = buckets;
      n = -n;
    }
    constexpr Index exact = buckets / 2;
    if (n < exact) return first + n;
    // PyTorch evaluates this in single precision; the buckets' edges follow from that.
    const float ratio = std::log(static_cast<float>(n) / static_cast<float>(exact)) /
                        static_cast<float>(2.7725887222397811449 + (Causal ? -0.69314718055994530942 : 0.0));
    const auto spread = static_cast<Index>(ratio * static_cast<float>(buckets - exact));
    const Index bucket = exact + spread;
    return first + (bucket < buckets ? bucket : buckets - 1);
  }
};

/// offsets[s] of the sequences' rows that lie in first .. last - 1, counted from there.
struct ClipOffsets {
  Sequences s;
  Index first, last;
  std::int32_t* offsets;  // (count + 1)
  SMA_HD Index extent() const { return s.count + 1; }
  SMA_HD void operator()(Index q) const {
    const Index at = s.offsets[q];
    offsets[q] = static_cast<std::int32_t>((at < first ? first : (at > last ? last : at)) - first);
  }
};

/// The sequence that row `row` belongs to.
SMA_HD inline Index sequence_of(const Sequences& s, Index row) {
  Index low = 0;
  Index high = s.count;
  while (high - low > 1) {
    const Index middle = (low + high) / 2;
    if (s.begin(middle) <= row)
      low = middle;
    else
      high = middle;
  }
  while (s.end(low) <= row) ++low;  // empty sequences share their begin with the next
  return low;
}

/// One attention problem: inputs and the rules of which pairs meet and how they score.
template <class T, Index Z, Index V, class Activation, class Bias, bool Causal, Index Window>
struct AttentionProblem {
  using Act = Activation;
  static constexpr Index query_width = Z;
  static constexpr Index value_width = V;
  static constexpr bool causal = Causal;
  static constexpr Index window = Window;
  using A = compute_of<T>;
  static constexpr bool has_bias = Bias::table_size > 0;

  Sequences s;
  Rows<const T, Z> q, k;  // (rows, Z)
  Rows<const T, V> v;     // (rows, V)
  Bias bias;

  SMA_HD Index first_key(Index i, Index begin) const {
    return Window == 0 || i - Window < begin ? begin : i - Window;
  }
  SMA_HD Index end_key(Index i, Index end) const {
    if (Causal) return i + 1;
    return Window == 0 || i + Window + 1 > end ? end : i + Window + 1;
  }
  SMA_HD A scale(Index i, Index begin, Index end) const {
    if (Activation::normalizes) return 1 / std::sqrt(A(Z));
    if (Window > 0) return 1 / A(Causal ? Window : 2 * Window);
    return 1 / A(Causal ? i - begin + 1 : end - begin);
  }
  /// Keys first .. end - 1 are those that query i sees.
  struct Keys {
    Index first, end;
    A scale;
  };
  SMA_HD Keys keys_of(Index i) const {
    const Index sequence = sequence_of(s, i);
    const Index begin = s.begin(sequence);
    const Index end = s.end(sequence);
    return {first_key(i, begin), end_key(i, end), scale(i, begin, end)};
  }
  SMA_HD Index slot(Index i, Index j) const { return bias.slot(s.positions[i], s.positions[j], i, j); }
  SMA_HD A score(Index i, Index j, A scale) const {
    A dot = 0;
    for (Index c = 0; c < Z; ++c) dot += q(i, c) * k(j, c);
    dot *= scale;
    if (has_bias) dot += bias.table[slot(i, j)];
    return dot;
  }
  /// act(score); for softmax `normalizer` is the row's log of the sum of exponentials.
  SMA_HD static A weight(A score, [[maybe_unused]] A normalizer) {
    if constexpr (Activation::normalizes)
      return std::exp(score - normalizer);
    else
      return Activation::value(score);
  }
};

/// The rows that are queries; all rows are keys.
struct Queries {
  Index begin, end;
};

/// out = attention(q, k, v) for some queries; normalizer keeps log sum exp a row (softmax only). One index is one query.
template <class T, class Problem>
struct AttentionForward {
  Problem p;
  Queries queries;
  Rows<T, Problem::value_width> out;  // (rows, V)
  compute_of<T>* normalizer;          // (rows)

  SMA_HD Index extent() const { return queries.end - queries.begin; }
  SMA_HD void operator()(Index index) const {
    using A = compute_of<T>;
    const Index i = queries.begin + index;
    const auto [first, end, scale] = p.keys_of(i);
    A log_sum = 0;
    if constexpr (Problem::Act::normalizes) {
      A top = p.score(i, first, scale);
      for (Index j = first; j < end; ++j) {
        const A score = p.score(i, j, scale);
        if (score > top) top = score;
      }
      A sum = 0;
      for (Index j = first; j < end; ++j) sum += std::exp(p.score(i, j, scale) - top);
      log_sum = top + std::log(sum);
    }
    normalizer[i] = log_sum;
    A total[array_bound<Problem::value_width>] = {};
    for (Index j = first; j < end; ++j) {
      const A w = p.weight(p.score(i, j, scale), log_sum);
      for (Index c = 0; c < Problem::value_width; ++c) total[c] += w * p.v(j, c);
    }
    for (Index c = 0; c < Problem::value_width; ++c) out(i, c) = total[c];
  }
};

/// dq of some queries is written, what they add to dk, dv and dtable is added; weights are recomputed. An index for each query (dq),
/// then one for each row as a key (dk, dv), the last one for the bias table.
template <class T, class Problem>
struct AttentionBackward {
  using A = compute_of<T>;
  Problem p;
  Queries queries;
  Rows<const T, Problem::value_width> out, dout;  // (rows, V)
  const compute_of<T>* normalizer;                // (rows)
  Rows<T, Problem::query_width> dq;               // (rows, Z)
  Rows<compute_of<T>, Problem::query_width> dk;   // (rows, Z)
  Rows<compute_of<T>, Problem::value_width> dv;   // (rows, V)
  compute_of<T>* dtable;                          // (table_size) or null

  SMA_HD Index count() const { return queries.end - queries.begin; }
  SMA_HD Index extent() const {
    return count() + p.s.rows + (dtable != nullptr && Problem::has_bias ? 1 : 0);
  }

  /// d loss / d score(i, j), and the weight w_ij.
  SMA_HD A score_gradient(Index i, Index j, A scale, A& w) const {
    const A score = p.score(i, j, scale);
    w = p.weight(score, normalizer[i]);
    A dw = 0;
    for (Index c = 0; c < Problem::value_width; ++c) dw += dout(i, c) * p.v(j, c);
    if constexpr (Problem::Act::normalizes) {
      A mean = 0;
      for (Index c = 0; c < Problem::value_width; ++c) mean += dout(i, c) * out(i, c);
      return w * (dw - mean);
    } else {
      return dw * Problem::Act::derivative(score);
    }
  }

  SMA_HD void operator()(Index index) const {
    if (index < count())
      as_query(queries.begin + index);
    else if (index < count() + p.s.rows)
      as_key(index - count());
    else
      for (Index i = queries.begin; i < queries.end; ++i) add_to_table(i);
  }

  /// What query i adds to dtable.
  SMA_HD void add_to_table(Index i) const {
    const auto [first, end, scale] = p.keys_of(i);
    A w = 0;
    for (Index j = first; j < end; ++j) dtable[p.slot(i, j)] += score_gradient(i, j, scale, w);
  }

 private:
  SMA_HD void as_query(Index i) const {
    const auto [first, end, scale] = p.keys_of(i);
    A w = 0;
    A total[array_bound<Problem::query_width>] = {};
    for (Index j = first; j < end; ++j) {
      const A ds = score_gradient(i, j, scale, w) * scale;
      for (Index c = 0; c < Problem::query_width; ++c) total[c] += ds * p.k(j, c);
    }
    for (Index c = 0; c < Problem::query_width; ++c) dq(i, c) = total[c];
  }
  SMA_HD void as_key(Index j) const {
    const Index sequence = sequence_of(p.s, j);
    const Index begin = p.s.begin(sequence);
    const Index end = p.s.end(sequence);
    A w = 0;
    for (Index i = begin > queries.begin ? begin : queries.begin; i < end && i < queries.end; ++i) {
      if (j < p.first_key(i, begin) || j >= p.end_key(i, end)) continue;
      const A scale = p.scale(i, begin, end);
      const A ds = score_gradient(i, j, scale, w) * scale;
      for (Index c = 0; c < Problem::query_width; ++c) dk(j, c) += ds * p.q(i, c);
      for (Index c = 0; c < Problem::value_width; ++c) dv(j, c) += w * dout(i, c);
    }
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
