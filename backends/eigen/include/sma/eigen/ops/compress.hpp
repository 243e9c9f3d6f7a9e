#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/part.hpp>
#include <sma/eigen/simd/lanes.hpp>
#include <sma/ops/compress.hpp>
#ifdef __SSE2__
#include <immintrin.h>
#endif

/// compress and extract: lists without branches, rows that do not fit into caches past them, and each row written once.
namespace sma {

inline namespace SMA_ISA {
namespace eigen {

/// Results from this size on are written past the caches, which would read a line before they take what overwrites it: more than
/// a core's share of the last-level cache on current machines, so that nothing is lost that the next kernel would find there.
inline constexpr Index kStreamedBytes = Index{32} << 20;

/// Whether rows can be streamed and should: 16 bytes at a time, which fill a line before it goes.
template <class T, Index Width>
bool streams([[maybe_unused]] const Rows<T, Width>& y) {
#ifdef __SSE2__
  constexpr Index kBytes = Width * static_cast<Index>(sizeof(T));
  return kBytes % 16 == 0 && y.contiguous() && y.rows * kBytes >= kStreamedBytes &&
         reinterpret_cast<std::uintptr_t>(y.data) % 16 == 0;
#else
  return false;
#endif
}

#ifdef __SSE2__
inline void stream_16_bytes(const std::byte* from, std::byte* to) {
  _mm_stream_si128(reinterpret_cast<__m128i*>(to), _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
#endif
#ifdef __AVX512F__
inline void stream_register(const std::byte* from, std::byte* to) {
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), _mm512_loadu_si512(from));
}
#elif defined(__AVX__)
inline void stream_register(const std::byte* from, std::byte* to) {
  _mm256_stream_si256(reinterpret_cast<__m256i*>(to),
                      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
#endif

/// to = from, past the caches if `Stream`; `finish_streaming` before anybody else reads it.
template <bool Stream, Index Width, class T>
void write_row(const T* from, T* to) {
#ifdef __SSE2__
  if constexpr (Stream) {
    constexpr Index kBytes = Width * static_cast<Index>(sizeof(T));
    const auto* in = reinterpret_cast<const std::byte*>(from);
    auto* out = reinterpret_cast<std::byte*>(to);
    Index at = 0;
#ifdef __AVX__
    for (; at < kBytes && reinterpret_cast<std::uintptr_t>(out + at) % kRegisterBytes != 0; at += 16)
      stream_16_bytes(in + at, out + at);
    for (; at + kRegisterBytes <= kBytes; at += kRegisterBytes) stream_register(in + at, out + at);
#endif
    for (; at < kBytes; at += 16) stream_16_bytes(in + at, out + at);
    return;
  }
#endif
  std::copy_n(from, Width, to);
}
inline void finish_streaming() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

template <bool Stream, class T, Index Width>
void gather_rows(const ops::GatherRows<T, Width>& k) {
  constexpr Index kAhead =
      std::max<Index>(1, 20480 / (Width * static_cast<Index>(sizeof(T))));  // about 20 KB
  for (Index c = 0; c < k.y.rows; ++c) {
    if constexpr (Stream) {  // the processor foresees no gaps
      const T* ahead = k.x.row(k.rows[std::min(c + kAhead, k.y.rows - 1)]);
      for (Index j = 0; j < Width; j += 64 / static_cast<Index>(sizeof(T)))
        __builtin_prefetch(ahead + j, 0, 2);
    }
    write_row<Stream, Width>(k.x.row(k.rows[c]), k.y.row(c));
  }
}

template <bool Stream, class T, Index Width>
void extract_rows(const ops::ExtractRows<T, Width>& k) {
  const T zeros[array_bound<Width>] = {};
  T scaled[array_bound<Width>];
  Index next = 0;
  for (Index c = 0; c < k.x.rows; ++c, ++next) {
    const Index row = k.rows[c];
    for (; next < row; ++next) write_row<Stream, Width>(zeros, k.y.row(next));
    const T* from = k.x.row(c);
    if (k.weight != nullptr) {
      const T w = k.weight[row * k.weight_stride];
      for (Index j = 0; j < Width; ++j) scaled[j] = w * from[j];
      from = scaled;
    }
    write_row<Stream, Width>(from, k.y.row(row));
  }
  for (; next < k.y.rows; ++next) write_row<Stream, Width>(zeros, k.y.row(next));
}

}  // namespace eigen
}  // namespace SMA_ISA

/// A row that is not active is written too, and then overwritten: which rows are active cannot be foreseen.
template <class T>
void run(Context<Eigen<T>>&, const ops::ListActive& k) {
  for (Index q = 0; q < k.s.count; ++q) {
    Index at = k.offsets[q];
    for (Index t = k.s.begin(q); at < k.offsets[q + 1]; ++t) {
      k.rows[at] = static_cast<std::int32_t>(t);
      k.positions[at] = k.s.positions[t];
      k.ids[at] = k.s.ids[t];
      at += k.active[t * k.stride] != 0 ? 1 : 0;
    }
  }
}

template <class T, Index Width>
void run(Context<Eigen<T>>&, const ops::GatherRows<T, Width>& k) {
  if (!eigen::streams(k.y)) return eigen::gather_rows<false>(k);
  eigen::gather_rows<true>(k);
  eigen::finish_streaming();
}

template <class T, Index Width>
void run(Context<Eigen<T>>&, const ops::ExtractRows<T, Width>& k) {
  if (!eigen::streams(k.y)) return eigen::extract_rows<false>(k);
  eigen::extract_rows<true>(k);
  eigen::finish_streaming();
}

}  // namespace sma
