#pragma once

#include <cmath>
#include <cstdint>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/part.hpp>
#include <sma/ops/positions.hpp>
#include <sma/ops/rotary.hpp>

/// Sines and cosines of many rows' positions from tables.
namespace sma {

inline namespace SMA_ISA {
namespace eigen {

/// sin(t f_i) and cos(t f_i) for time steps t of one digit, to the base 16, at each of its places. Made once a program.
template <Index Half>
struct PositionTable {
  static constexpr int kBits = 4;
  static constexpr Index kDigits = 1 << kBits;
  static constexpr Index kPlaces = 32 / kBits;
  double sine[kPlaces][kDigits][array_bound<Half>];
  double cosine[kPlaces][kDigits][array_bound<Half>];

  PositionTable() {
    for (Index i = 0; i < Half; ++i) {
      const double f = ops::position_frequency<2 * Half>(i);
      for (Index place = 0; place < kPlaces; ++place)
        for (Index digit = 0; digit < kDigits; ++digit) {
          // The angle's rounding error, which grows with t, is made up for.
          const double time = std::ldexp(static_cast<double>(digit), kBits * static_cast<int>(place));
          const double angle = time * f;
          const double rest = std::fma(time, f, -angle);
          const double s = std::sin(angle);
          const double c = std::cos(angle);
          sine[place][digit][i] = s + rest * c;
          cosine[place][digit][i] = c - rest * s;
        }
    }
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
  void go_to(Position position) {
    const auto t = static_cast<std::uint32_t>(position);
    const std::uint32_t others = t >> Table::kBits;
    if (others != others_) set_others(others);
    const std::uint32_t digit = t % Table::kDigits;
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
  void set_others(std::uint32_t others) {
    others_ = others;
    for (Index i = 0; i < Half; ++i) {
      others_sine_[i] = 0;
      others_cosine_[i] = 1;
    }
    for (Index place = 1; others != 0; ++place, others >>= Table::kBits)
      if (const std::uint32_t digit = others % Table::kDigits; digit != 0)
        add(others_sine_, others_cosine_, table_.sine[place][digit], table_.cosine[place][digit],
            others_sine_, others_cosine_);
  }

  const Table& table_ = Table::get();
  std::uint32_t others_ = UINT32_MAX;  // more than a position has
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
