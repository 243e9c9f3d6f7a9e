#pragma once

#include <cstdint>

/// Marks a function that runs on the host and, when compiled by nvcc, on the device.
#if defined(__CUDACC__)
#define SMA_HD __host__ __device__
#else
#define SMA_HD
#endif

/// Marks a function that is compiled by itself: never into its callers, nor anew for some of them.
#if defined(__clang__) || !defined(__GNUC__)
#define SMA_NOINLINE [[gnu::noinline]]
#else
#define SMA_NOINLINE [[gnu::noinline, gnu::noclone]]
#endif

/// Marks a function that a program calls a few times, for files and reports: compiled for size, which takes less time. Never
/// one from which passes over batches start: g++ compiles for size, too, what only such functions call.
#define SMA_RARE [[gnu::cold]]

namespace sma {

/// Counts and indices of rows, columns and parameters.
using Index = std::int64_t;

/// A row's original time step within its sequence, from 0.
using Position = std::int32_t;

/// A discrete input symbol (byte, word piece, operator).
using Token = std::int32_t;

}  // namespace sma
