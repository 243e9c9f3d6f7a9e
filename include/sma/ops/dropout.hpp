#pragma once

#include <sma/base/precision.hpp>
#include <sma/base/random.hpp>
#include <sma/base/views.hpp>

/// Random masks, keyed by row and channel.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// Bytes of a row's mask: bit j % 8 of byte j / 8 is set where element j is kept.
template <Index Width>
inline constexpr Index mask_bytes = (Width + 7) / 8;

/// y = x * mask / (1 - rate), mask_ij = [u_ij >= rate], u keyed by the row's id. The mask is written for MaskRows.
template <class T, Index Width>
struct Dropout {
  Rows<const T, Width> x;
  Rows<T, Width> y;
  const std::int32_t* ids;  // (rows)
  RandomStream random;
  double rate;
  std::uint8_t* mask;  // (rows, mask_bytes), written
  SMA_HD Index extent() const { return x.rows; }
  SMA_HD void operator()(Index i) const {
    const auto factor = static_cast<compute_of<T>>(1.0 / (1.0 - rate));
    std::uint8_t* bits = mask + i * mask_bytes<Width>;
    for (Index byte = 0; byte < mask_bytes<Width>; ++byte) bits[byte] = 0;
    for (Index quad = 0; quad * 4 < Width; ++quad) {
      const Philox::Block block = random.block(ids[i], quad);
      for (Index l = 0; l < 4; ++l) {
        const Index j = quad * 4 + l;
        if (j >= Width) continue;
        const bool kept = to_unit(block.word[l]) >= rate;
        y(i, j) = kept ? x(i, j) * factor : compute_of<T>(0);
        if (kept) bits[j / 8] = static_cast<std::uint8_t>(bits[j / 8] | (1U << (j % 8)));
      }
    }
  }
};

/// y = factor * x where the mask has its bits, 0 elsewhere: Dropout again, and its gradient.
template <class T, Index Width>
struct MaskRows {
  Rows<const T, Width> x;
  Rows<T, Width> y;
  const std::uint8_t* mask;  // (rows, mask_bytes)
  compute_of<T> factor;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    const std::uint8_t* bits = mask + i * mask_bytes<Width>;
    for (Index j = 0; j < Width; ++j)
      y(i, j) = (bits[j / 8] >> (j % 8) & 1) != 0 ? x(i, j) * factor : compute_of<T>(0);
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
