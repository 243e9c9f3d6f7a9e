#pragma once

#include <doctest/doctest.h>

#include <sma/sma.hpp>
#include <sma/thrust.hpp>

#include "support/laws.hpp"

#if !defined(__CUDACC__)
#include <sma/eigen.hpp>
#endif

/// The backend under test, SMA_TEST_THRUST_SYSTEM one of omp, tbb, cpp and cuda, and the one it is held against.
namespace on {

template <class S>
using Backend = sma::Thrust<sma::SMA_TEST_THRUST_SYSTEM, S>;

#if defined(__CUDACC__)
template <class S>
using Reference = sma::Thrust<sma::cpp, S>;  // Eigen has no place in a .cu
#else
template <class S>
using Reference = sma::Eigen<S>;
#endif

/// Elements that law 5 differentiates a tensor: each costs four passes of many small kernels.
inline constexpr sma::Index kSample = 6;

template <class M>
void check_gradients(const laws::Force& force = {}) {
  for (const auto& lengths : laws::few_shapes_of<M>())
    laws::check_gradients<M, Backend<double>>(lengths, 1, force, {}, kSample);
}

template <class M>
void check_batch_is_its_sequences(const laws::Force& force = {}) {
  for (const auto& lengths : laws::shapes_of<M>())
    laws::check_batch_is_its_sequences<M, Backend<double>>(lengths, 2, force);
}

template <class M, class S>
void check_equals_reference(const laws::Force& force = {}) {
  for (const auto& lengths : laws::shapes_of<M>())
    laws::check_backends_agree<M, Reference<S>, Backend<S>>(lengths, 3, force);
}

}  // namespace on
