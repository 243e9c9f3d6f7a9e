#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <sma/base/config.hpp>
#include <sma/io/json.hpp>
#include <sma/io/json_handler-inl.hpp>

namespace sma::detail {

/// Keeps the plain members of the outermost object.
class MemberReader : public JsonHandler {
 public:
  std::map<std::string, std::string, std::less<>> members;

  bool null() override { return put("null"); }
  bool boolean(bool value) override { return put(value ? "true" : "false"); }
  bool number_integer(std::int64_t value) override { return put(std::to_string(value)); }
  bool number_unsigned(std::uint64_t value) override { return put(std::to_string(value)); }
  bool number_float(double, const std::string& text) override { return put(text); }
  bool string(std::string& text) override { return put(text); }
  bool key(std::string& name) override {
    if (depth_ == 1) name_ = std::move(name);
    return true;
  }
  bool start_object(std::size_t) override {
    ++depth_;
    return true;
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override { return depth_ > 0 && start_object(0); }
  bool end_array() override { return end_object(); }

 private:
  /// False where no object is around.
  bool put(const std::string& text) {
    if (depth_ == 1) members.try_emplace(std::move(name_), text);
    return depth_ > 0;
  }

  std::size_t depth_ = 0;
  std::string name_;
};

SMA_IO_INLINE bool is_utf8(std::string_view text) {
  JsonHandler any;
  return read_json(json_string(text), any);
}

SMA_IO_INLINE std::string json_string(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string json = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (byte < 0x20) {
      json += "\\u00";
      json += digits[byte >> 4];
      json += digits[byte & 15];
    } else {
      json += c;
    }
  }
  return json + "\"";
}

SMA_IO_INLINE std::string json_number(double value, int digits) {
  if (!std::isfinite(value)) return "null";
  std::array<char, 64> text{};
  return {
      text.data(),
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::general, digits).ptr};
}

SMA_IO_INLINE std::optional<std::map<std::string, std::string, std::less<>>> json_members(
    std::string_view text) {
  MemberReader reader;
  if (!read_json(text, reader)) return {};
  return std::move(reader.members);
}

}  // namespace sma::detail
