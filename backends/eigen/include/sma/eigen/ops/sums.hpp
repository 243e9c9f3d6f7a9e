#pragma once

#include <algorithm>
#include <array>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/part.hpp>
#include <sma/ops/sums.hpp>

/// Column sums with rows in the outer loop.
namespace sma {

inline namespace SMA_ISA {
namespace eigen {

/// out[s][c] += sum over rows r of what add(r, c, sums) adds to sums[s][c]. Rows outside, columns inside; sums of 64 rows at a time
/// keep single precision honest over long batches.
template <Index Width, class T, std::size_t Count, class Add>
[[gnu::always_inline]] inline void sum_columns(Index rows, const std::array<T*, Count>& out, const Add& add) {
  constexpr Index kBlock = 64;
  T total[Count][array_bound<Width>] = {};
  for (Index r0 = 0; r0 < rows; r0 += kBlock) {
    T part[Count][array_bound<Width>] = {};
    const Index end = std::min(r0 + kBlock, rows);
    for (Index r = r0; r < end; ++r)
      for (Index c = 0; c < Width; ++c) add(r, c, part);
    for (std::size_t s = 0; s < Count; ++s)
      for (Index c = 0; c < Width; ++c) total[s][c] += part[s][c];
  }
  for (std::size_t s = 0; s < Count; ++s)
    for (Index c = 0; c < Width; ++c) out[s][c] += total[s][c];
}

}  // namespace eigen
}  // namespace SMA_ISA

template <class T, Index Width, class Term>
void run(Context<Eigen<T>>&, const ops::ColumnSum<T, Width, Term>& k) {
  eigen::sum_columns<Width>(k.rows, std::array{k.out},
                            [&k](Index r, Index c, auto& sums) { sums[0][c] += k.term(r, c); });
}
template <class T, Index Width, class First, class Second>
void run(Context<Eigen<T>>&, const ops::ColumnSums<T, Width, First, Second>& k) {
  eigen::sum_columns<Width>(k.rows, std::array{k.first_out, k.second_out},
                            [&k](Index r, Index c, auto& sums) {
                              sums[0][c] += k.first(r, c);
                              sums[1][c] += k.second(r, c);
                            });
}

}  // namespace sma
