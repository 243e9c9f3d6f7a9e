#pragma once

#include <cmath>
#include <sma/base/precision.hpp>
#include <sma/base/views.hpp>
#include <sma/ops/positions.hpp>

/// Rotary positions (Su et al., 2021).
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// Rotary positions (Su et al., 2021): the pair (x_2m, x_2m+1) of row t is turned by t * 10000^(-2m/Z), t the original
/// position. Direction -1 turns back, which is also the gradient.
template <class T, Index Z>
struct Rotate {
  const Position* positions;
  Rows<const T, Z> x;
  Rows<T, Z> y;
  compute_of<T> direction;
  SMA_HD Index extent() const { return x.rows; }
  SMA_HD void operator()(Index i) const {
    using A = compute_of<T>;
    for (Index m = 0; m < Z / 2; ++m) {
      // Angles need more than single precision at long range.
      const double angle = static_cast<double>(positions[i]) * position_frequency<Z>(m);
      const A c = static_cast<A>(std::cos(angle));
      const A d = direction * static_cast<A>(std::sin(angle));
      const A a = x(i, 2 * m);
      const A b = x(i, 2 * m + 1);
      y(i, 2 * m) = a * c - b * d;
      y(i, 2 * m + 1) = b * c + a * d;
    }
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
