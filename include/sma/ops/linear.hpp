#pragma once

#include <sma/base/precision.hpp>
#include <sma/base/views.hpp>
#include <sma/ops/sums.hpp>
#include <type_traits>

/// The three matrix products of a linear layer: one index is one output element. Sizes are run-time numbers here so that a backend's
/// matrix product is compiled once a scalar type.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// A row-major matrix: element (i, j) at data[i * stride + j].
template <class T>
struct Matrix {
  T* data;
  Index rows;
  Index columns;
  Index stride;
  SMA_HD T& operator()(Index i, Index j) const { return data[i * stride + j]; }
};

template <class T, Index Width>
SMA_HD Matrix<T> as_matrix(const Rows<T, Width>& x) {
  return {x.data, x.rows, Width, x.stride};
}

/// y = x w^T + bias (bias may be null), and base unless that is null.
template <class T, class Y = T>
struct LinearForward {
  Matrix<const T> x;              // (rows, In)
  Matrix<const compute_of<T>> w;  // (Out, In)
  const compute_of<T>* bias;      // (Out) or null
  Matrix<Y> y;                    // (rows, Out)
  Matrix<const Y> base{};         // (rows, Out) or null; may be y
  SMA_HD Index extent() const { return y.rows * y.columns; }
  SMA_HD void operator()(Index e) const {
    const Index i = e / y.columns;
    const Index o = e % y.columns;
    compute_of<T> total = bias != nullptr ? bias[o] : compute_of<T>(0);
    for (Index k = 0; k < x.columns; ++k) total += x(i, k) * w(o, k);
    y(i, o) = base.data == nullptr ? total : total + base(i, o);
  }
};

/// LinearForward of one row, a step of a stream; here the sizes are constants, because for one row loops cost as much as products.
template <class T, class Y, Index In, Index Out>
struct LinearStep {
  const T* x;                 // (In)
  const compute_of<T>* w;     // (Out, In)
  const compute_of<T>* bias;  // (Out) or null
  Y* y;                       // (Out)
  SMA_HD Index extent() const { return Out; }
  SMA_HD void operator()(Index o) const {
    compute_of<T> total = bias != nullptr ? bias[o] : compute_of<T>(0);
    for (Index k = 0; k < In; ++k) total += x[k] * w[o * In + k];
    y[o] = total;
  }
};

/// dx = dy w, and base unless that is null.
template <class T, class Y = T>
struct LinearBackwardInput {
  Matrix<const Y> dy;             // (rows, Out)
  Matrix<const compute_of<T>> w;  // (Out, In)
  Matrix<T> dx;                   // (rows, In)
  Matrix<const T> base{};         // (rows, In) or null; may be dx
  SMA_HD Index extent() const { return dx.rows * dx.columns; }
  SMA_HD void operator()(Index e) const {
    const Index i = e / dx.columns;
    const Index k = e % dx.columns;
    compute_of<T> total = 0;
    for (Index o = 0; o < w.rows; ++o) total += dy(i, o) * w(o, k);
    dx(i, k) = base.data == nullptr ? total : total + base(i, k);
  }
};

/// dw += dy^T x and, unless null, dbias += column sums of dy.
template <class T, class Y = T>
struct LinearBackwardWeight {
  Matrix<const Y> dy;        // (rows, Out)
  Matrix<const T> x;         // (rows, In)
  Matrix<compute_of<T>> dw;  // (Out, In)
  compute_of<T>* dbias;      // (Out) or null
  SMA_HD Index extent() const { return dw.rows * dw.columns; }
  SMA_HD void operator()(Index e) const {
    const Index o = e / dw.columns;
    const Index k = e % dw.columns;
    compute_of<T> total = 0;
    for (Index i = 0; i < dy.rows; ++i) total += dy(i, o) * x(i, k);
    dw(o, k) += total;
    if (dbias == nullptr || k != 0) return;
    compute_of<T> sum = 0;
    for (Index i = 0; i < dy.rows; ++i) sum += dy(i, o);
    dbias[o] += sum;
  }
};

/// y = base + x w^T + bias for one row range (base may be null, or y); shared by every module that holds a linear map. y may be numbers of
/// another type than x, such as a router's logits.
template <class C, class S, class Y, Index In, Index Out>
void linear_forward(C& ctx, Rows<const S, In> x, const compute_of<S>* weight, const compute_of<S>* bias,
                    Rows<Y, Out> y, std::type_identity_t<Rows<const Y, Out>> base = {}) {
  ctx.launch(LinearForward<S, Y>{as_matrix(x), {weight, Out, In, In}, bias, as_matrix(y), as_matrix(base)});
}

/// y = x w^T + bias for the one row of a step.
template <class C, class S, class Y, Index In, Index Out>
void linear_step(C& ctx, Rows<const S, In> x, const compute_of<S>* weight, const compute_of<S>* bias,
                 Rows<Y, Out> y) {
  ctx.launch(LinearStep<S, Y, In, Out>{x.data, weight, bias, y.data});
}

/// dw += dy^T x, dbias += column sums of dy, dx = base + dy w (unless null; base may be null, or dx).
template <class C, class S, class Y, Index In, Index Out>
void linear_backward(C& ctx, Rows<const Y, Out> dy, Rows<const S, In> x, const compute_of<S>* weight,
                     compute_of<S>* dweight, compute_of<S>* dbias, Rows<S, In> dx,
                     std::type_identity_t<Rows<const S, In>> base = {}) {
  ctx.launch(LinearBackwardWeight<S, Y>{as_matrix(dy), as_matrix(x), {dweight, Out, In, In}, dbias});
  if (dx)
    ctx.launch(
        LinearBackwardInput<S, Y>{as_matrix(dy), {weight, Out, In, In}, as_matrix(dx), as_matrix(base)});
}

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
