#pragma once

#include <cmath>
#include <sma/base/precision.hpp>
#include <sma/base/views.hpp>

/// Sine and cosine codes of time steps.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// f_i = 10000^(-2i/Width), in radians a time step: of absolute position codes and of rotary positions.
template <Index Width>
SMA_HD double position_frequency(Index i) {
  return std::exp(-9.2103403719761827361 * static_cast<double>(2 * i) / static_cast<double>(Width));
}

/// The position code [sin(t f_i) | cos(t f_i)], f of position_frequency, element c of time step t.
template <class T, Index Width>
SMA_HD T position_code(Position t, Index c) {
  constexpr Index half = Width / 2;
  const double angle = static_cast<double>(t) * position_frequency<Width>(c < half ? c : c - half);
  return static_cast<T>(c < half ? std::sin(angle) : std::cos(angle));
}

/// code = the rows' position codes.
template <class T, Index Width>
struct PositionCodes {
  const Position* positions;
  Rows<T, Width> code;
  SMA_HD Index extent() const { return code.rows; }
  SMA_HD void operator()(Index i) const {
    for (Index c = 0; c < Width; ++c) code(i, c) = position_code<compute_of<T>, Width>(positions[i], c);
  }
};

/// y = x + scale * y.
template <class T, Index Width>
struct AddToScaled {
  Rows<const T, Width> x;
  const compute_of<T>* scale;
  Rows<T, Width> y;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    const T* from = x.row(i);
    T* to = y.row(i);
    for (Index c = 0; c < Width; ++c) to[c] = from[c] + scale[0] * to[c];
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
