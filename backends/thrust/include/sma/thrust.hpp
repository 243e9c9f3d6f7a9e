#pragma once

/// The Thrust backend: `sma::Network<Description, sma::Thrust<sma::cuda, float>>`, and the same with sma::omp, sma::tbb and
/// sma::cpp for machines without a GPU. Compile `cuda` with nvcc, the others with the host compiler; CCCL's directory stands
/// before the compiler's own, which may hold an older Thrust.
///
/// A kernel runs in its plain form, one index a thread, but for
///   compress.hpp     CountActive, ScanOffsets, ListActive: scans over rows, not a thread a sequence; ExtractRows
///   sums.hpp         ColumnSum, OrderedSum: blocks of rows
///   auxiliary.hpp    RouterMetrics: a thread a sequence
///   attention.hpp    AttentionBackward: the bias table's gradient by blocks of queries
/// Matrix products, the EMA's recurrence and attention's own have no form of their own yet.

// The parts refuse to be included by themselves.
#define SMA_THRUST_WHOLE

#include <sma/thrust/backend.hpp>
#include <sma/thrust/ops/attention.hpp>
#include <sma/thrust/ops/auxiliary.hpp>
#include <sma/thrust/ops/compress.hpp>
#include <sma/thrust/ops/sums.hpp>
#include <sma/thrust/systems.hpp>
