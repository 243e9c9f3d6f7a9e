#pragma once

#include <sma/base/config.hpp>

namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// data[i] = value.
template <class T>
struct Fill {
  T* data;
  Index count;
  T value;
  SMA_HD Index extent() const { return count; }
  SMA_HD void operator()(Index i) const { data[i] = value; }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
