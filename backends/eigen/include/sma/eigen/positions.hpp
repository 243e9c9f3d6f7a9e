#pragma once

#include <cmath>
#include <sma/eigen/backend.hpp>
#include <sma/modules/embedding.hpp>

/// Position codes of many rows from two tables of sines and cosines.
namespace sma {

namespace eigen {

/// sin and cos of t f_i, i = 0 .. count - 1. The angles' rounding errors, which grow with t, are made up for.
inline void sines_and_cosines(Position t, const double* f, Index count, double* sine, double* cosine) {
  const auto time = static_cast<double>(t);
  for (Index i = 0; i < count; ++i) {
    const double angle = time * f[i];
    const double rest = std::fma(time, f[i], -angle);
    const double s = std::sin(angle);
    const double c = std::cos(angle);
    sine[i] = s + rest * c;
    cosine[i] = c - rest * s;
  }
}

/// Rows from which on the tables pay.
inline constexpr Index kPositionTableRows = 128;

}  // namespace eigen

/// sin(t f) and cos(t f) of t = 64 a + b by the addition formulas: a table for all b, and one row for the a at hand, which
/// changes rarely, because positions ascend inside a sequence. All in double: closer to the exact code than the plain form,
/// whose angle is rounded.
template <class T, Index Width>
void run(Context<Eigen<T>>& ctx, const kernels::AddPosition<T, Width>& k) {
  if (k.y.rows < eigen::kPositionTableRows) {
    for (Index i = 0; i < k.y.rows; ++i) k(i);
    return;
  }
  constexpr Index kHalf = Width / 2;
  constexpr Position kFine = 64;
  const auto scope = ctx.scope();
  double* const frequency = ctx.template scratch<double>(kHalf);
  double* const coarse_sine = ctx.template scratch<double>(kHalf);
  double* const coarse_cosine = ctx.template scratch<double>(kHalf);
  double* const fine_sine = ctx.template scratch<double>(kFine * kHalf);
  double* const fine_cosine = ctx.template scratch<double>(kFine * kHalf);
  for (Index i = 0; i < kHalf; ++i) frequency[i] = kernels::position_frequency<Width>(i);
  for (Position b = 0; b < kFine; ++b)
    eigen::sines_and_cosines(b, frequency, kHalf, fine_sine + b * kHalf, fine_cosine + b * kHalf);
  const T scale = k.scale[0];
  Position coarse = -1;  // no multiple of 64
  for (Index row = 0; row < k.y.rows; ++row) {
    const Position fine = k.positions[row] & (kFine - 1);
    if (coarse != k.positions[row] - fine) {
      coarse = k.positions[row] - fine;
      eigen::sines_and_cosines(coarse, frequency, kHalf, coarse_sine, coarse_cosine);
    }
    const double* const sine = fine_sine + fine * kHalf;
    const double* const cosine = fine_cosine + fine * kHalf;
    T* const code = k.code.row(row);
    for (Index i = 0; i < kHalf; ++i) {
      code[i] = static_cast<T>(coarse_sine[i] * cosine[i] + coarse_cosine[i] * sine[i]);
      code[kHalf + i] = static_cast<T>(coarse_cosine[i] * cosine[i] - coarse_sine[i] * sine[i]);
    }
    const T* const x = k.x.row(row);
    T* const y = k.y.row(row);
    for (Index c = 0; c < Width; ++c) y[c] = x[c] + scale * code[c];
  }
}

}  // namespace sma
