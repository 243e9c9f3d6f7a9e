#pragma once

/// The Eigen backend: `sma::Network<Description, sma::Eigen<float>>`.
///
/// Shards of the batch run on threads; a shard is single-threaded, so that results do not depend on scheduling. Kernels that
/// Eigen or the compiler can do better than the plain loops are overloads of `run` in sma/eigen/ops/*.hpp.

// The parts refuse to be included by themselves.
#define SMA_EIGEN_WHOLE

#include <sma/eigen/backend.hpp>
#include <sma/eigen/matrix.hpp>
#include <sma/eigen/ops/adam.hpp>
#include <sma/eigen/ops/attention.hpp>
#include <sma/eigen/ops/compress.hpp>
#include <sma/eigen/ops/decay.hpp>
#include <sma/eigen/ops/dropout.hpp>
#include <sma/eigen/ops/linear.hpp>
#include <sma/eigen/ops/map.hpp>
#include <sma/eigen/ops/norm.hpp>
#include <sma/eigen/ops/positions.hpp>
#include <sma/eigen/ops/precision.hpp>
#include <sma/eigen/ops/stream_attention.hpp>
#include <sma/eigen/ops/sums.hpp>
