#pragma once

#include <sma/base/precision.hpp>
#include <sma/base/views.hpp>
#include <sma/device/backend.hpp>

/// Sums over a row, over rows, and in order.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// Sum over a row with 16 partial sums in a fixed order, so that it vectorises without -ffast-math and is the same on
/// every backend. f(j) is the j-th term.
template <class T, Index Width, class Term>
SMA_HD T row_sum(const Term& f) {
  constexpr Index kLanes = 16;
  if constexpr (Width < 2 * kLanes) {
    T total = 0;
    for (Index j = 0; j < Width; ++j) total += f(j);
    return total;
  } else {
    T partial[kLanes];
    for (Index l = 0; l < kLanes; ++l) partial[l] = f(l);
    constexpr Index whole = Width / kLanes * kLanes;
    for (Index j = kLanes; j < whole; j += kLanes)
      for (Index l = 0; l < kLanes; ++l) partial[l] += f(j + l);
    for (Index j = whole; j < Width; ++j) partial[j - whole] += f(j);
    for (Index half = kLanes / 2; half > 0; half /= 2)
      for (Index l = 0; l < half; ++l) partial[l] += partial[l + half];
    return partial[0];
  }
}

/// out[c] += sum over rows r of term(r, c), for c in 0..Width-1. `Term` is a functor over views.
template <class T, Index Width, class Term>
struct ColumnSum {
  Index rows;
  Term term;
  T* out;  // (Width)
  SMA_HD Index extent() const { return Width; }
  SMA_HD void operator()(Index c) const {
    T total = 0;
    for (Index r = 0; r < rows; ++r) total += term(r, c);
    out[c] += total;
  }
};

/// Two of them, whose terms share what they read. A problem rather than a kernel: plainly it is one after the other.
template <class T, Index Width, class First, class Second>
struct ColumnSums {
  Index rows;
  First first;
  Second second;
  T* first_out;   // (Width)
  T* second_out;  // (Width)
};

/// out[c] += sum over rows r of term(r, c).
template <Index Width, class C, class T, class Term>
void column_sum(C& ctx, Index rows, const Term& term, T* out) {
  ctx.launch(ColumnSum<T, Width, Term>{rows, term, out});
}
/// The same of two terms that share what they read.
template <Index Width, class C, class T, class First, class Second>
void column_sums(C& ctx, Index rows, const First& first, T* first_out, const Second& second, T* second_out) {
  ctx.launch(ColumnSums<T, Width, First, Second>{rows, first, second, first_out, second_out});
}

/// Terms for ColumnSum.
template <class T, Index Width>
struct ElementTerm {  // x
  Rows<const T, Width> x;
  SMA_HD compute_of<T> operator()(Index r, Index c) const { return x(r, c); }
};

template <class T, Index Width>
struct ProductTerm {  // a * b
  Rows<const T, Width> a, b;
  SMA_HD compute_of<T> operator()(Index r, Index c) const { return a(r, c) * b(r, c); }
};

template <class T, Index Width>
struct RowDotTerm {  // sum over a row of a * b, as a column sum over one column
  Rows<const T, Width> a, b;
  SMA_HD compute_of<T> operator()(Index r, Index) const {
    const T* pa = a.row(r);
    const T* pb = b.row(r);
    return row_sum<compute_of<T>, Width>([pa, pb](Index j) { return pa[j] * pb[j]; });
  }
};

/// out[0] = sum of x, in order.
struct OrderedSum {
  const double* x;
  Index count;
  double* out;
  SMA_HD Index extent() const { return 1; }
  SMA_HD void operator()(Index) const {
    double total = 0;
    for (Index i = 0; i < count; ++i) total += x[i];
    out[0] = total;
  }
};

/// partial[c] = sum of squares of chunk c of `data`, in eight sums that advance together.
template <class T>
struct PartialSquares {
  const T* data;
  Index size;
  Index chunks;
  double* partial;
  SMA_HD Index extent() const { return chunks; }
  SMA_HD void operator()(Index c) const {
    constexpr Index kSums = 8;
    double sums[kSums] = {};
    Index i = size * c / chunks;
    const Index end = size * (c + 1) / chunks;
    for (; i + kSums <= end; i += kSums)
      for (Index l = 0; l < kSums; ++l)
        sums[l] += static_cast<double>(data[i + l]) * static_cast<double>(data[i + l]);
    double total = 0;
    for (; i < end; ++i) total += static_cast<double>(data[i]) * static_cast<double>(data[i]);
    for (Index l = 0; l < kSums; ++l) total += sums[l];
    partial[c] = total;
  }
};

template <class T>
struct TotalTerm {  // the elements of a contiguous row, as a column sum over one column
  const T* data;
  SMA_HD T operator()(Index r, Index) const { return data[r]; }
};

/// out[i] += sum over lanes, in lane order.
template <class T>
struct SumLanes {
  const T* lanes;  // (count_lanes, stride)
  Index count_lanes;
  Index stride;
  Index size;
  T* out;
  SMA_HD Index extent() const { return size; }
  SMA_HD void operator()(Index i) const {
    T total = out[i];
    for (Index l = 0; l < count_lanes; ++l) total += lanes[l * stride + i];
    out[i] = total;
  }
};

}  // namespace ops
}  // namespace SMA_ISA

template <class C, class T, Index Width, class First, class Second>
PlainForm run(C& ctx, const ops::ColumnSums<T, Width, First, Second>& problem) {
  ctx.launch(ops::ColumnSum<T, Width, First>{problem.rows, problem.first, problem.first_out});
  ctx.launch(ops::ColumnSum<T, Width, Second>{problem.rows, problem.second, problem.second_out});
  return {};
}

}  // namespace sma
