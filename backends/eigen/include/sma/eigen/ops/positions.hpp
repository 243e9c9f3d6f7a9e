#pragma once

#include <algorithm>
#include <cmath>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/part.hpp>
#include <sma/ops/positions.hpp>
#include <sma/ops/rotary.hpp>

/// Sines and cosines of many rows' positions from tables.
namespace sma {

inline namespace SMA_ISA {
namespace eigen {

/// sin and cos of time f_i, i = 0 .. count - 1. The angles' rounding errors, which grow with time, are made up for.
inline void sines_and_cosines(double time, const double* f, Index count, double* sine, double* cosine) {
  for (Index i = 0; i < count; ++i) {
    const double angle = time * f[i];
    const double rest = std::fma(time, f[i], -angle);
    const double s = std::sin(angle);
    const double c = std::cos(angle);
    sine[i] = s + rest * c;
    cosine[i] = c - rest * s;
  }
}

/// sin(t f_i) and cos(t f_i) for time steps t of one digit, to the base 16, at each of the last eight places. Made once a program.
template <Index Half>
struct PositionTable {
  static constexpr int kBits = 4;
  static constexpr Index kDigits = 1 << kBits;
  static constexpr Index kPlaces = 32 / kBits;
  double frequency[array_bound<Half>];
  double sine[kPlaces][kDigits][array_bound<Half>];
  double cosine[kPlaces][kDigits][array_bound<Half>];

  PositionTable() {
    for (Index i = 0; i < Half; ++i) frequency[i] = ops::position_frequency<2 * Half>(i);
    for (Index place = 0; place < kPlaces; ++place)
      for (Index digit = 0; digit < kDigits; ++digit)
        sines_and_cosines(std::ldexp(static_cast<double>(digit), kBits * static_cast<int>(place)), frequency,
                          Half, sine[place][digit], cosine[place][digit]);
  }
  static const PositionTable& get() {
    static const PositionTable table;
    return table;
  }
};

/// sin(t f_i) and cos(t f_i) of one position after another, by the addition formulas: that of the last digit, and that of the others,
/// which change rarely, because positions ascend inside a sequence. All in double: closer to the exact numbers than the plain forms,
/// whose angles are rounded.
template <Index Half>
class PositionAngles {
  using Table = PositionTable<Half>;

 public:
  void go_to(Position t) {
    const Position digit = t & (Table::kDigits - 1);
    if (!begun_ || t - digit != others_) set_others(t - digit);
    add(others_sine_, others_cosine_, table_.sine[0][digit], table_.cosine[0][digit], sine_, cosine_);
  }
  [[nodiscard]] const double* sine() const { return sine_; }
  [[nodiscard]] const double* cosine() const { return cosine_; }

 private:
  /// Of the sum of two angles; it may take the place of the first.
  static void add(const double* sine, const double* cosine, const double* other_sine,
                  const double* other_cosine, double* sum_sine, double* sum_cosine) {
    for (Index i = 0; i < Half; ++i) {
      const double s = sine[i] * other_cosine[i] + cosine[i] * other_sine[i];
      sum_cosine[i] = cosine[i] * other_cosine[i] - sine[i] * other_sine[i];
      sum_sine[i] = s;
    }
  }
  void set_others(Position others) {
    begun_ = true;
    others_ = others;
    constexpr Position kInTable = Position{1} << (Table::kBits * Table::kPlaces);
    Position rest = others & (kInTable - 1);
    if (others != rest) {
      sines_and_cosines(static_cast<double>(others - rest), table_.frequency, Half, others_sine_,
                        others_cosine_);
    } else {
      std::fill_n(others_sine_, Half, 0.0);
      std::fill_n(others_cosine_, Half, 1.0);
    }
    rest >>= Table::kBits;
    for (Index place = 1; rest != 0; ++place, rest >>= Table::kBits)
      if (const Position digit = rest & (Table::kDigits - 1); digit != 0)
        add(others_sine_, others_cosine_, table_.sine[place][digit], table_.cosine[place][digit],
            others_sine_, others_cosine_);
  }

  const Table& table_ = Table::get();
  bool begun_ = false;
  Position others_ = 0;
  double others_sine_[array_bound<Half>] = {}, others_cosine_[array_bound<Half>] = {};
  double sine_[array_bound<Half>] = {}, cosine_[array_bound<Half>] = {};
};

}  // namespace eigen
}  // namespace SMA_ISA

template <class T, Index Width>
void run(Context<Eigen<T>>&, const ops::PositionCodes<T, Width>& k) {
  constexpr Index kHalf = Width / 2;
  eigen::PositionAngles<kHalf> angles;
  for (Index row = 0; row < k.code.rows; ++row) {
    angles.go_to(k.positions[row]);
    T* const code = k.code.row(row);
    for (Index i = 0; i < kHalf; ++i) {
      code[i] = static_cast<T>(angles.sine()[i]);
      code[kHalf + i] = static_cast<T>(angles.cosine()[i]);
    }
  }
}

template <class T, Index Z>
void run(Context<Eigen<T>>&, const ops::Rotate<T, Z>& k) {
  eigen::PositionAngles<Z / 2> angles;
  for (Index row = 0; row < k.q.rows; ++row) {
    angles.go_to(k.positions[row]);
    T* const q = k.q.row(row);
    T* const key = k.k.row(row);
    for (Index m = 0; m < Z / 2; ++m) {
      const T c = static_cast<T>(angles.cosine()[m]);
      const T d = k.direction * static_cast<T>(angles.sine()[m]);
      k.turn(q + 2 * m, c, d);
      k.turn(key + 2 * m, c, d);
    }
  }
}

}  // namespace sma
