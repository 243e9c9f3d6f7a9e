#pragma once

#include <cmath>
#include <sma/core/config.hpp>

namespace sma {
inline namespace SMA_ISA {
namespace kernels {

/// f_i = 10000^(-2i/Width), in radians a time step: of absolute position codes and of rotary positions.
template <Index Width>
SMA_HD double position_frequency(Index i) {
  return std::exp(-9.2103403719761827361 * static_cast<double>(2 * i) / static_cast<double>(Width));
}

}  // namespace kernels
}  // namespace SMA_ISA
}  // namespace sma
