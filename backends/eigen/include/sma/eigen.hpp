#pragma once

/// The Eigen backend: `sma::Network<Description, sma::Eigen<float>>`.
///
/// Shards of the batch run on threads; a shard is single-threaded, so that results do not depend on scheduling. Kernels that
/// Eigen or the compiler can do better than the plain loops are overloads of `run` in sma/eigen/*.hpp.

// The parts refuse to be included by themselves.
#define SMA_EIGEN_WHOLE

#include <sma/eigen/attention.hpp>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/compaction.hpp>
#include <sma/eigen/decay.hpp>
#include <sma/eigen/dropout.hpp>
#include <sma/eigen/elementwise.hpp>
#include <sma/eigen/linear.hpp>
#include <sma/eigen/norm.hpp>
#include <sma/eigen/optimizer.hpp>
#include <sma/eigen/positions.hpp>
