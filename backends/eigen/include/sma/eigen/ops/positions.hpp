#pragma once

#include <cmath>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/part.hpp>
#include <sma/ops/positions.hpp>

/// Position codes of many rows from two tables of sines and cosines.
namespace sma {

inline namespace SMA_ISA {
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

/// Rows from which on a row of the second table pays.
inline constexpr Index kPositionTableRows = 128;

/// sin(t f_i) and cos(t f_i) for the time steps below kFine. Made once a program.
template <Index Half>
struct PositionTable {
  static constexpr Position kFine = 64;
  double frequency[array_bound<Half>];
  double sine[kFine][array_bound<Half>];
  double cosine[kFine][array_bound<Half>];

  PositionTable() {
    for (Index i = 0; i < Half; ++i) frequency[i] = ops::position_frequency<2 * Half>(i);
    for (Position t = 0; t < kFine; ++t) sines_and_cosines(t, frequency, Half, sine[t], cosine[t]);
  }
  static const PositionTable& get() {
    static const PositionTable table;
    return table;
  }
};

}  // namespace eigen
}  // namespace SMA_ISA

/// sin(t f) and cos(t f) of t = 64 a + b by the addition formulas: a table for all b, and one row for the a at hand, which
/// changes rarely, because positions ascend inside a sequence. All in double: closer to the exact code than the plain form,
/// whose angle is rounded.
template <class T, Index Width>
void run(Context<Eigen<T>>&, const ops::PositionCodes<T, Width>& k) {
  if (k.code.rows < eigen::kPositionTableRows) {
    for (Index i = 0; i < k.code.rows; ++i) k(i);
    return;
  }
  constexpr Index kHalf = Width / 2;
  using Table = eigen::PositionTable<kHalf>;
  const Table& fine = Table::get();
  double coarse_sine[array_bound<kHalf>] = {};  // written before the first row: g++ does not see it
  double coarse_cosine[array_bound<kHalf>] = {};
  Position coarse = -1;  // no multiple of 64
  for (Index row = 0; row < k.code.rows; ++row) {
    const Position rest = k.positions[row] & (Table::kFine - 1);
    if (coarse != k.positions[row] - rest) {
      coarse = k.positions[row] - rest;
      eigen::sines_and_cosines(coarse, fine.frequency, kHalf, coarse_sine, coarse_cosine);
    }
    const double* const sine = fine.sine[rest];
    const double* const cosine = fine.cosine[rest];
    T* const code = k.code.row(row);
    for (Index i = 0; i < kHalf; ++i) {
      code[i] = static_cast<T>(coarse_sine[i] * cosine[i] + coarse_cosine[i] * sine[i]);
      code[kHalf + i] = static_cast<T>(coarse_cosine[i] * cosine[i] - coarse_sine[i] * sine[i]);
    }
  }
}

}  // namespace sma
