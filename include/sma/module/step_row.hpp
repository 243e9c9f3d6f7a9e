#pragma once

#include <cstring>
#include <sma/base/views.hpp>
#include <type_traits>

namespace sma {

/// Memory for the row between two modules of a step, where it is declared. Steps run on the host alone; rows too long for a stack come
/// from the context's memory.
template <class T, Index Width>
class StepRow {
  static constexpr bool fits = Width * static_cast<Index>(sizeof(T)) <= 32 * 1024;

 public:
  template <class C>
  explicit StepRow(C& ctx) {
    if constexpr (!fits) far_ = ctx.template scratch<T>(Width);
#ifdef SMA_POISON_FRESH_MEMORY
    if constexpr (fits) std::memset(static_cast<void*>(near_), 0xFF, sizeof(near_));
#endif
  }
  StepRow(const StepRow&) = delete;
  StepRow& operator=(const StepRow&) = delete;

  [[nodiscard]] Rows<T, Width> row() {
    if constexpr (fits)
      return {near_, 1, Width};
    else
      return {far_, 1, Width};
  }

 private:
  struct Nothing {};
  alignas(64) T near_[fits ? array_bound<Width> : 1];
  [[no_unique_address]] std::conditional_t<fits, Nothing, T*> far_{};
};

}  // namespace sma
