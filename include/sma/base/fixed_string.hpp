#pragma once

#include <algorithm>
#include <cstddef>
#include <sma/base/config.hpp>
#include <string_view>

namespace sma {

/// A string literal that can be a template argument: `Param<"weight", Shape<4>>`.
template <std::size_t N>
struct FixedString {
  char text[N]{};

  consteval FixedString(const char (&literal)[N]) {
    std::copy_n(literal, N, text);
  }  // NOLINT: implicit by design

  [[nodiscard]] constexpr std::string_view view() const { return {text, N - 1}; }

  template <std::size_t M>
  constexpr bool operator==(const FixedString<M>& other) const {
    return view() == other.view();
  }
};

}  // namespace sma
