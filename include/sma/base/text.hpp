#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <optional>
#include <sma/base/config.hpp>
#include <string>
#include <string_view>

/// Numbers as text, the same in every locale, and bytes as text.
namespace sma::detail {

/// The shortest text that reads back as `value`: "0.5", "1e-09", "nan", "inf".
SMA_RARE inline std::string number_text(double value) {
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

/// `value` with `digits` significant digits, as printf's %g writes it; JSON has no NaN and no infinity: "null".
SMA_RARE inline std::string json_number(double value, int digits = 6) {
  if (!std::isfinite(value)) return "null";
  std::array<char, 64> text{};
  return {
      text.data(),
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::general, digits).ptr};
}

/// What `number_text` wrote; nothing for any other text.
SMA_RARE inline std::optional<double> number_of(std::string_view text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size()) return {};
  return value;
}

/// `text` with the bytes that `shown` is false for as \xNN.
template <class Shown>
std::string escaped(std::string_view text, const Shown& shown) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (shown(byte)) {
      out += c;
    } else {
      out += "\\x";
      out += digits[byte >> 4];
      out += digits[byte & 15];
    }
  }
  return out;
}

/// `text` with every byte that is not printable ASCII as \xNN.
SMA_RARE inline std::string ascii_text(std::string_view text) {
  return escaped(text, [](unsigned char byte) { return byte >= 0x20 && byte < 0x7f; });
}

/// `text` with control bytes as \xNN, so that a hostile name cannot break an error's line.
SMA_RARE inline std::string one_line(std::string_view text) {
  return escaped(text, [](unsigned char byte) { return byte >= 0x20 && byte != 0x7f; });
}

}  // namespace sma::detail
