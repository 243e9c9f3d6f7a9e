#pragma once

#include <cstddef>
#include <cstdint>

#if __cplusplus <= 201703L
#error "seqboat is C++20: compile with -std=c++20"
#include <nothing>  // so that this is all that the compiler says
#elif !defined(__cpp_exceptions)
#error "seqboat reports errors by exceptions: compile without -fno-exceptions"
#include <nothing>
#endif

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

/// Marks what sma/io defines in its `-inl` headers: every unit holds it, or, where all units of a program are compiled with
/// SMA_IO_COMPILED, as the target seqboat::io has it, only sma/io/io.cpp.
#if defined(SMA_IO_COMPILED)
#define SMA_IO_INLINE
#else
#define SMA_IO_INLINE inline
#endif

namespace sma {

/// Counts and indices of rows, columns and parameters.
using Index = std::int64_t;

/// `Count` as the bound of an array: g++'s -Wsign-conversion speaks of an Index there that depends on a template's parameters.
template <Index Count>
inline constexpr auto array_bound = static_cast<std::size_t>(Count);

/// a == b, exactly, of floating-point numbers: -Wfloat-equal takes == for a mistake.
template <class T>
SMA_HD constexpr bool same_number(T a, T b) {
  return a <= b && a >= b;
}

/// A row's original time step within its sequence, from 0. Streams go on for longer than 32 bits count.
using Position = std::int64_t;
/// Streams are read from files up to here, where no sum or difference of two times overflows.
inline constexpr Position latest_position = Position{1} << 61;

/// A discrete input symbol (byte, word piece, operator).
using Token = std::int32_t;

}  // namespace sma

#if defined(__AVX512F__)
#define SMA_ISA_REGISTERS avx512
#elif defined(__AVX2__)
#define SMA_ISA_REGISTERS avx2
#elif defined(__AVX__)
#define SMA_ISA_REGISTERS avx
#elif defined(__SSE4_1__)
#define SMA_ISA_REGISTERS sse4
#else
#define SMA_ISA_REGISTERS base
#endif
#if defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && defined(__AVX512CD__)
#define SMA_ISA_MASKS _v4
#else
#define SMA_ISA_MASKS
#endif
#if defined(__AVX512VBMI__) || defined(__AVX512VNNI__) || defined(__AVXVNNI__)
#define SMA_ISA_BYTES _bytes
#else
#define SMA_ISA_BYTES
#endif
#if defined(__AVX512FP16__) || defined(__AVX512BF16__)
#define SMA_ISA_HALVES _halves
#else
#define SMA_ISA_HALVES
#endif
#if defined(__FMA__)
#define SMA_ISA_FUSED _fma
#else
#define SMA_ISA_FUSED
#endif
#if defined(SMA_POISON_FRESH_MEMORY)
#define SMA_ISA_MEMORY _poisoned
#else
#define SMA_ISA_MEMORY
#endif
#define SMA_ISA_JOINED(a, b, c, d, e, f) a##b##c##d##e##f
#define SMA_ISA_NAME(a, b, c, d, e, f) SMA_ISA_JOINED(a, b, c, d, e, f)

/// What a unit is compiled for, as the inline namespace of backends and operations: units with other -m flags hold other types, so that
/// none of them runs what was compiled for another's processor, nor takes its registers for narrower or wider ones. Every opening of
/// `eigen`, `functions` and `ops` says it: clang takes `namespace sma::ops` for a namespace beside it.
#define SMA_ISA \
  SMA_ISA_NAME(SMA_ISA_REGISTERS, SMA_ISA_MASKS, SMA_ISA_BYTES, SMA_ISA_HALVES, SMA_ISA_FUSED, SMA_ISA_MEMORY)
