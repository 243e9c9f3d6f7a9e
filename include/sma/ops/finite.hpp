#pragma once

#include <cstdint>
#include <sma/base/config.hpp>
#include <sma/base/precision.hpp>

namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// finite[p] = whether none of x[p], x[p + parts], x[p + 2 parts], ... is NaN or infinite: 1 or 0.
template <class T>
struct FiniteParts {
  const T* x;
  Index count;
  Index parts;
  std::uint8_t* finite;
  SMA_HD Index extent() const { return parts; }
  SMA_HD void operator()(Index p) const {
    bool all = true;
    for (Index i = p; i < count; i += parts) all = all && same_number<compute_of<T>>(x[i] - x[i], 0);
    finite[p] = all ? 1 : 0;
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
