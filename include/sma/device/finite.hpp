#pragma once

#include <bit>
#include <cstring>
#include <limits>
#include <sma/base/precision.hpp>
#include <sma/base/sequences.hpp>
#include <type_traits>
#include <vector>

/// Finding NaN and infinity.
namespace sma {

namespace detail {

/// Whether none of the numbers is NaN or infinite.
template <class T>
bool all_finite(const T* x, Index count) {
  using Bits = std::conditional_t<sizeof(T) == 2, std::uint16_t,
                                  std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>;
  static_assert(std::numeric_limits<compute_of<T>>::is_iec559 && sizeof(T) == sizeof(Bits));
  constexpr Bits kExponent =
      std::bit_cast<Bits>(static_cast<T>(std::numeric_limits<compute_of<T>>::infinity()));
  Bits found = 0;
  for (Index i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, x + i, sizeof(bits));
    found = static_cast<Bits>(found | static_cast<Bits>((bits & kExponent) == kExponent));
  }
  return found == 0;
}

}  // namespace detail

/// The first output of a pass that is not finite: of the module that ran first, and there the first row.
struct Watch {
  Index instance = -1;  // of the module; -1: all are finite
  Index row = -1;       // of the batch
  double value = 0;

  /// Looks at a module's output, `width` numbers a row, in the backend's memory. Rows are named by s.ids.
  template <class Backend, class T>
  SMA_NOINLINE void look(Backend& backend, Index module, const Sequences& s, const T* data, Index rows,
                         Index width, Index stride) {
    std::vector<T> row_data(static_cast<std::size_t>(width));
    for (Index r = 0; r < rows && instance < 0; ++r) {
      backend.download(row_data.data(), data + r * stride, row_data.size() * sizeof(T));
      backend.wait();
      if (detail::all_finite(row_data.data(), width)) continue;
      std::int32_t id = 0;
      backend.download(&id, s.ids + r, sizeof(id));
      backend.wait();
      instance = module;
      row = id;
      for (const T element : row_data)
        if (!detail::all_finite(&element, 1)) {
          value = static_cast<double>(static_cast<compute_of<T>>(element));
          break;
        }
    }
  }
};

}  // namespace sma
