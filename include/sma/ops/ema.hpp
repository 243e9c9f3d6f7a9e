#pragma once

#include <cmath>
#include <sma/base/config.hpp>

/// The coefficients of the damped exponential moving average (decay.hpp) from its parameters.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// q = 1 - p a, h = p beta gamma / sqrt(States), p = sigmoid(delta), a = sigmoid(alpha): one index is one (row, state).
template <class T, Index States>
struct EmaCoefficients {
  const T* p;
  const T* a;
  const T* beta;
  const T* gamma;
  Index size;
  T* decay;
  T* weight;
  SMA_HD Index extent() const { return size; }
  SMA_HD void operator()(Index i) const {
    const T root = 1 / std::sqrt(T(States));
    decay[i] = 1 - p[i] * a[i];
    weight[i] = p[i] * beta[i] * gamma[i] * root;
  }
};

/// The gradients of delta, alpha, beta, gamma from those of decay and weight.
template <class T, Index States>
struct EmaCoefficientsBackward {
  const T* p;
  const T* a;
  const T* beta;
  const T* gamma;
  const T* ddecay;
  const T* dweight;
  Index size;
  T* ddelta;
  T* dalpha;
  T* dbeta;
  T* dgamma;
  SMA_HD Index extent() const { return size; }
  SMA_HD void operator()(Index i) const {
    const T root = 1 / std::sqrt(T(States));
    const T dp = dweight[i] * beta[i] * gamma[i] * root - ddecay[i] * a[i];
    ddelta[i] += dp * p[i] * (1 - p[i]);
    dalpha[i] -= ddecay[i] * p[i] * a[i] * (1 - a[i]);
    dbeta[i] += dweight[i] * p[i] * gamma[i] * root;
    dgamma[i] += dweight[i] * p[i] * beta[i] * root;
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
