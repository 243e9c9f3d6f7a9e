#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Numbers as text, the same in every locale, and bytes as text.
namespace sma {

namespace detail {

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

}  // namespace detail

/// The shortest text that reads back as `value`: "0.5", "1e-09", "nan", "inf".
inline std::string number_text(double value) {
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

/// What `number_text` wrote; nothing for any other text.
inline std::optional<double> number_of(std::string_view text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size()) return {};
  return value;
}

/// A hash as sixteen hexadecimal digits.
inline std::string hash_text(std::uint64_t hash) {
  std::string text(16, '0');
  for (std::size_t i = 16; i-- > 0; hash >>= 4) text[i] = "0123456789abcdef"[hash & 15];
  return text;
}

/// `text` with every byte that is not printable ASCII as \xNN.
inline std::string ascii_text(std::string_view text) {
  return detail::escaped(text, [](unsigned char byte) { return byte >= 0x20 && byte < 0x7f; });
}

/// `text` with control bytes as \xNN, so that a hostile name cannot break an error's line.
inline std::string one_line(std::string_view text) {
  return detail::escaped(text, [](unsigned char byte) { return byte >= 0x20 && byte != 0x7f; });
}

/// 'text' on one line, in quotation marks; cut between two characters when it is long.
inline std::string quoted_name(std::string_view text) {
  std::size_t size = std::min<std::size_t>(text.size(), 200);
  while (size > 0 && size < text.size() && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U) --size;
  return "'" + one_line(text.substr(0, size)) + (size < text.size() ? "...'" : "'");
}

}  // namespace sma
