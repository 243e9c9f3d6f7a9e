#pragma once

#include <sma/base/precision.hpp>
#include <sma/base/sequences.hpp>
#include <sma/base/views.hpp>

/// From the rows of a sequence to one.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// Sequences of one row each.
struct OneRowEach {
  std::int32_t* offsets;  // (count + 1)
  Position* positions;    // (count)
  std::int32_t* ids;      // (count)
  Index count;
  SMA_HD Index extent() const { return count + 1; }
  SMA_HD void operator()(Index i) const {
    offsets[i] = static_cast<std::int32_t>(i);
    if (i == count) return;
    positions[i] = 0;
  }
};

template <class T, Index Width>
struct MeanPoolForward {
  Sequences s;
  Rows<const T, Width> x;
  Rows<T, Width> y;  // (count, Width)
  SMA_HD Index extent() const { return s.count; }
  SMA_HD void operator()(Index q) const {
    using A = compute_of<T>;
    A total[array_bound<Width>] = {};
    for (Index t = s.begin(q); t < s.end(q); ++t)
      for (Index j = 0; j < Width; ++j) total[j] += x(t, j);
    const A inverse = s.length(q) > 0 ? 1 / static_cast<A>(s.length(q)) : A(0);
    for (Index j = 0; j < Width; ++j) y(q, j) = total[j] * inverse;
  }
};

template <class T, Index Width>
struct MeanPoolBackward {
  Sequences s;
  Rows<const T, Width> dy;  // (count, Width)
  Rows<T, Width> dx;
  SMA_HD Index extent() const { return s.count; }
  SMA_HD void operator()(Index q) const {
    using A = compute_of<T>;
    const A inverse = s.length(q) > 0 ? 1 / static_cast<A>(s.length(q)) : A(0);
    for (Index t = s.begin(q); t < s.end(q); ++t)
      for (Index j = 0; j < Width; ++j) dx(t, j) = dy(q, j) * inverse;
  }
};

/// y_t = mean of x_0, ..., x_t. One index is one (sequence, column).
template <class T, Index Width>
struct CumulativeMeanForward {
  Sequences s;
  Rows<const T, Width> x;
  Rows<T, Width> y;
  SMA_HD Index extent() const { return s.count * Width; }
  SMA_HD void operator()(Index e) const {
    const Index q = e / Width;
    const Index j = e % Width;
    compute_of<T> sum = 0;
    for (Index t = s.begin(q); t < s.end(q); ++t) {
      sum += x(t, j);
      y(t, j) = sum * (1 / static_cast<compute_of<T>>(t - s.begin(q) + 1));
    }
  }
};

/// dx_u = sum over t >= u of dy_t / (t + 1).
template <class T, Index Width>
struct CumulativeMeanBackward {
  Sequences s;
  Rows<const T, Width> dy;
  Rows<T, Width> dx;
  SMA_HD Index extent() const { return s.count * Width; }
  SMA_HD void operator()(Index e) const {
    const Index q = e / Width;
    const Index j = e % Width;
    compute_of<T> sum = 0;
    for (Index t = s.end(q) - 1; t >= s.begin(q); --t) {
      sum += dy(t, j) * (1 / static_cast<compute_of<T>>(t - s.begin(q) + 1));
      dx(t, j) = sum;
    }
  }
};

/// ids of pooled rows: the id of the first row that went in, so that the numbers differ between sequences.
struct PooledIds {
  Sequences s;
  Index group;
  std::int32_t* ids;
  SMA_HD Index extent() const { return s.count / group; }
  SMA_HD void operator()(Index q) const {
    ids[q] = s.begin(q * group) < s.rows ? s.ids[s.begin(q * group)] : 0;
  }
};

template <class T, Index Width>
struct PairForward {
  Rows<const T, Width> x;  // (2 * pairs, Width)
  Rows<T, 4 * Width> y;    // (pairs, 4 Width): second, first, product, first - second
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    for (Index j = 0; j < Width; ++j) {
      const compute_of<T> first = x(2 * i, j);
      const compute_of<T> second = x(2 * i + 1, j);
      y(i, j) = second;
      y(i, Width + j) = first;
      y(i, 2 * Width + j) = first * second;
      y(i, 3 * Width + j) = first - second;
    }
  }
};

template <class T, Index Width>
struct PairBackward {
  Rows<const T, Width> x;
  Rows<const T, 4 * Width> dy;
  Rows<T, Width> dx;
  SMA_HD Index extent() const { return dy.rows; }
  SMA_HD void operator()(Index i) const {
    for (Index j = 0; j < Width; ++j) {
      const compute_of<T> first = x(2 * i, j);
      const compute_of<T> second = x(2 * i + 1, j);
      dx(2 * i, j) = dy(i, Width + j) + dy(i, 2 * Width + j) * second + dy(i, 3 * Width + j);
      dx(2 * i + 1, j) = dy(i, j) + dy(i, 2 * Width + j) * first - dy(i, 3 * Width + j);
    }
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
