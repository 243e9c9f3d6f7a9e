#pragma once

#include <cmath>
#include <sma/base/precision.hpp>
#include <sma/base/views.hpp>
#include <sma/ops/positions.hpp>

/// Rotary positions (Su et al., 2021).
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// Rotary positions (Su et al., 2021) of queries and keys, in place: the pair (x_2m, x_2m+1) of row t is turned by t * 10000^(-2m/Z), t
/// the original position. Direction -1 turns back, which is also the gradient.
template <class T, Index Z>
struct Rotate {
  const Position* positions;
  Rows<T, Z> q, k;
  compute_of<T> direction;
  SMA_HD Index extent() const { return q.rows; }
  SMA_HD void operator()(Index i) const {
    using A = compute_of<T>;
    for (Index m = 0; m < Z / 2; ++m) {
      // Angles need more than single precision at long range.
      const double angle = static_cast<double>(positions[i]) * position_frequency<Z>(m);
      const A c = static_cast<A>(std::cos(angle));
      const A d = direction * static_cast<A>(std::sin(angle));
      turn(q.row(i) + 2 * m, c, d);
      turn(k.row(i) + 2 * m, c, d);
    }
  }
  /// The pair at x, by the angle with cosine c and sine d.
  template <class A>
  SMA_HD static void turn(T* x, A c, A d) {
    const A a = x[0];
    const A b = x[1];
    x[0] = a * c - b * d;
    x[1] = b * c + a * d;
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
