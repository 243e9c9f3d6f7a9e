#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <sma/base/config.hpp>
#include <sma/base/error.hpp>
#include <sma/io/atomic_file.hpp>

namespace sma {

/// A stored element type of a safetensors file. F16 and BF16 (bfloat16) have no C++ type: they convert when read, and are
/// written already encoded. C64 and all after it are read and written as bytes alone; F6 and F4 take 6 and 4 bits an element.
enum class DType {
  Bool,
  U8,
  I8,
  I16,
  U16,
  F16,
  BF16,
  I32,
  U32,
  F32,
  I64,
  U64,
  F64,
  C64,
  F8_E4M3,
  F8_E5M2,
  F8_E8M0,
  F8_E4M3FNUZ,
  F8_E5M2FNUZ,
  F6_E2M3,
  F6_E3M2,
  F4
};

/// One tensor of a safetensors file: row-major, in bytes [begin, end) of the file's data.
struct TensorInfo {
  std::string name;
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;  // empty: a scalar
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  /// Elements: the product of the shape.
  [[nodiscard]] std::size_t count() const;
};

/// A C++ type that tensors are read to and written from: bool, float, double, or an integer that is not a character.
template <class T>
concept TensorElement =
    std::same_as<T, bool> || std::same_as<T, float> || std::same_as<T, double> ||
    (std::integral<T> && sizeof(T) <= 8 && !std::same_as<T, char> && !std::same_as<T, wchar_t> &&
     !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t>);

/// A safetensors file, mapped read-only: 8 bytes of header length, a JSON header, the tensors' bytes.
///
///     const auto file = sma::SafetensorsFile::open("model.safetensors");
///     const std::vector<float> weight = file.read<float>("encoder.weight");
///
/// Opening checks the whole header: every error names the file, the tensor, what was found and what was expected.
/// Copies share the mapping. The file must not be shortened while it is open; `AtomicFile` replaces, it never shortens.
/// Format: https://github.com/huggingface/safetensors. Python equivalent: `safetensors.safe_open`.
class SafetensorsFile {
 public:
  /// Throws `Error` when the file cannot be mapped or is not valid.
  static SafetensorsFile open(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }

  [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// The tensors' names, in the header's order, which need not be that of their bytes.
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] bool contains(std::string_view name) const { return index_.find(name) != index_.end(); }

  /// Throws `Error` when there is no such tensor, as all functions below do.
  [[nodiscard]] const TensorInfo& info(std::string_view name) const;

  /// The tensor's stored bytes, of any alignment; valid while this file or a copy lives.
  [[nodiscard]] std::span<const std::byte> bytes(std::string_view name) const;

  /// All elements, converted to T. Floating-point targets round; other targets take only values that they hold exactly,
  /// anything else throws `Error`, as does a tensor of a dtype that does not convert (C64 and after).
  template <TensorElement T>
    requires(!std::same_as<T, bool>)
  [[nodiscard]] std::vector<T> read(std::string_view name) const;

  /// As `read`, into `to`, which has room for the product of `expected_shape`. Throws `Error` when the file's shape differs.
  template <TensorElement T>
  void read_into(std::string_view name, T* to, const std::vector<std::int64_t>& expected_shape) const;

 private:
  SafetensorsFile() = default;

  [[nodiscard]] const TensorInfo& info_of_shape(std::string_view name,
                                                const std::vector<std::int64_t>& expected) const;
  template <class T>
  void convert_to(const TensorInfo& tensor, T* to) const;
  [[noreturn]] void refuse_dtype(const TensorInfo& tensor, DType wanted) const;
  [[noreturn]] void refuse_value(const TensorInfo& tensor, std::size_t i, const char* expected,
                                 DType wanted) const;

  std::string path_;
  std::shared_ptr<const std::byte> mapping_;
  const std::byte* data_ = nullptr;  // where the tensors' bytes begin
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::size_t, std::less<>> index_;
  std::map<std::string, std::string> metadata_;
};

/// Writes a safetensors file: tensors by falling element size, those of one size in the order of `add`, so that each lies at a
/// multiple of its element's size; metadata sorted by key; the header padded with spaces to a multiple of 8 bytes. Equal
/// input gives equal bytes.
///
///     sma::SafetensorsWriter writer;
///     writer.metadata("step", "1000");
///     writer.add("encoder.weight", {32, 64}, weight);   // float: F32
///     writer.write("model.safetensors");
///
/// Data is borrowed: it must live until `write`, which streams it through `AtomicFile`.
/// Python equivalent: `safetensors.numpy.save_file`.
class SafetensorsWriter {
 public:
  /// Adds a tensor of T's dtype. Throws `Error` on a name that is taken, reserved or not UTF-8, and on a negative or
  /// overflowing shape.
  template <TensorElement T>
  void add(std::string name, std::vector<std::int64_t> shape, const T* data);

  /// Adds a tensor that is already encoded as `dtype`, little-endian.
  void add(std::string name, DType dtype, std::vector<std::int64_t> shape, const void* data);

  /// Sets a metadata entry. Throws `Error` when a text is not UTF-8.
  void metadata(std::string key, std::string value);

  /// Writes the file aside, syncs and renames it. Throws `Error`; an old file then stays as it was.
  void write(const std::string& path) const;

 private:
  [[nodiscard]] std::vector<std::size_t> order() const;
  [[nodiscard]] std::string header(const std::vector<std::size_t>& order) const;

  std::vector<TensorInfo> tensors_;  // begin is 0: where a tensor lies is known when all are
  std::vector<const void*> data_;
  std::uint64_t bytes_ = 0;  // of all tensors
  std::set<std::string> names_;
  std::map<std::string, std::string> metadata_;
};

namespace detail::safetensors {

static_assert(std::endian::native == std::endian::little,
              "safetensors files are little-endian, and so must the host be");

inline constexpr std::uint64_t length_bytes = 8;
inline constexpr std::uint64_t largest_header = 100'000'000;
inline constexpr std::size_t shown_extents = 64;
inline constexpr std::size_t deepest_nesting = 127;  // what the format's own library reads
inline constexpr std::string_view metadata_key = "__metadata__";

struct DTypeEntry {
  DType dtype;
  std::string_view name;
  std::uint64_t bits;  // an element
};

inline constexpr std::array<DTypeEntry, 22> dtypes{{{DType::Bool, "BOOL", 8},
                                                    {DType::U8, "U8", 8},
                                                    {DType::I8, "I8", 8},
                                                    {DType::I16, "I16", 16},
                                                    {DType::U16, "U16", 16},
                                                    {DType::F16, "F16", 16},
                                                    {DType::BF16, "BF16", 16},
                                                    {DType::I32, "I32", 32},
                                                    {DType::U32, "U32", 32},
                                                    {DType::F32, "F32", 32},
                                                    {DType::I64, "I64", 64},
                                                    {DType::U64, "U64", 64},
                                                    {DType::F64, "F64", 64},
                                                    {DType::C64, "C64", 64},
                                                    {DType::F8_E4M3, "F8_E4M3", 8},
                                                    {DType::F8_E5M2, "F8_E5M2", 8},
                                                    {DType::F8_E8M0, "F8_E8M0", 8},
                                                    {DType::F8_E4M3FNUZ, "F8_E4M3FNUZ", 8},
                                                    {DType::F8_E5M2FNUZ, "F8_E5M2FNUZ", 8},
                                                    {DType::F6_E2M3, "F6_E2M3", 6},
                                                    {DType::F6_E3M2, "F6_E3M2", 6},
                                                    {DType::F4, "F4", 4}}};

constexpr const DTypeEntry& entry_of(DType dtype) { return dtypes[static_cast<std::size_t>(dtype)]; }

static_assert([] {
  for (std::size_t i = 0; i < dtypes.size(); ++i)
    if (dtypes[i].dtype != static_cast<DType>(i)) return false;
  return true;
}());

/// Whether the dtype's elements convert to numbers.
constexpr bool converts(DType dtype) { return dtype <= DType::F64; }

template <TensorElement T>
constexpr DType dtype_of() {
  if constexpr (std::same_as<T, bool>) return DType::Bool;
  if constexpr (std::floating_point<T>) return sizeof(T) == 4 ? DType::F32 : DType::F64;
  constexpr bool is_signed = std::is_signed_v<T>;
  if constexpr (sizeof(T) == 1) return is_signed ? DType::I8 : DType::U8;
  if constexpr (sizeof(T) == 2) return is_signed ? DType::I16 : DType::U16;
  if constexpr (sizeof(T) == 4) return is_signed ? DType::I32 : DType::U32;
  return is_signed ? DType::I64 : DType::U64;
}

/// Bytes of a tensor, 0 where an extent is 0; none when an extent is negative, the elements end inside a byte, or they or
/// their bytes are more than 2^63 - 1.
SMA_RARE inline std::optional<std::uint64_t> byte_count(const std::vector<std::int64_t>& shape, DType dtype) {
  constexpr std::uint64_t largest = std::numeric_limits<std::int64_t>::max();
  if (std::any_of(shape.begin(), shape.end(), [](std::int64_t extent) { return extent < 0; }))
    return std::nullopt;
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  std::uint64_t count = 1;
  for (const std::int64_t extent : shape) {
    if (count > largest / static_cast<std::uint64_t>(extent)) return std::nullopt;
    count *= static_cast<std::uint64_t>(extent);
  }
  const std::uint64_t bits = entry_of(dtype).bits;
  const std::uint64_t rest = count % 8 * bits;  // eight elements are `bits` bytes
  if (rest % 8 != 0 || count / 8 > (largest - rest / 8) / bits) return std::nullopt;
  return count / 8 * bits + rest / 8;
}

/// "[2, 3]"; a shape of hostile rank is cut.
SMA_RARE inline std::string text_of(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    if (i == shown_extents) return text + "...]";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

/// 'text' on one line, cut between two characters when it is long.
SMA_RARE inline std::string quoted_name(std::string_view text) {
  std::size_t size = std::min<std::size_t>(text.size(), 200);
  while (size > 0 && size < text.size() && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U) --size;
  return "'" + one_line(text.substr(0, size)) + (size < text.size() ? "...'" : "'");
}

/// Bytes of the UTF-8 character that begins at text[at], 0 when there is none (RFC 3629).
inline std::size_t utf8_character(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return at < text.size() ? 1 : 0;
  const std::size_t size = first >= 0xC2 && first <= 0xDF   ? 2
                           : first >= 0xE0 && first <= 0xEF ? 3
                           : first >= 0xF0 && first <= 0xF4 ? 4
                                                            : 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((byte(i) & 0xC0U) != 0x80U) return 0;
  const unsigned second = byte(1);
  const bool is_overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool is_surrogate = first == 0xED && second > 0x9F;
  const bool is_beyond = first == 0xF4 && second > 0x8F;
  return is_overlong || is_surrogate || is_beyond ? 0 : size;
}

SMA_RARE inline bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = utf8_character(text, at);
    if (size == 0) return false;
    at += size;
  }
  return true;
}

SMA_RARE inline void append_utf8(std::string& text, std::uint32_t code) {
  const auto put = [&text](std::uint32_t byte) {
    text += static_cast<char>(static_cast<unsigned char>(byte));
  };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0U | (code >> 6));
    put(0x80U | (code & 0x3FU));
  } else if (code < 0x10000) {
    put(0xE0U | (code >> 12));
    put(0x80U | ((code >> 6) & 0x3FU));
    put(0x80U | (code & 0x3FU));
  } else {
    put(0xF0U | (code >> 18));
    put(0x80U | ((code >> 12) & 0x3FU));
    put(0x80U | ((code >> 6) & 0x3FU));
    put(0x80U | (code & 0x3FU));
  }
}

/// A JSON string; everything that need not be escaped stands as it is.
SMA_RARE inline std::string json_string(std::string_view text) {
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

/// Reads the header. What the format knows has a fixed depth of three and what it does not know is passed over with a list of
/// open brackets, so no input makes it recurse; what it stores is bounded by a multiple of the header's own size.
class HeaderParser {
 public:
  HeaderParser(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  SMA_RARE void parse() {
    object([this](std::string name) {
      if (name == metadata_key) {
        parse_metadata();
      } else {
        parse_tensor(std::move(name));
      }
    });
    skip_space();
    if (at_ != text_.size()) fail(next(), "nothing but white space after the closing '}'");
  }

  std::vector<TensorInfo> tensors;
  std::map<std::string, std::size_t, std::less<>> index;
  std::map<std::string, std::string> metadata;

 private:
  [[noreturn]] void fail(const std::string& found, const std::string& expected) const {
    throw Error(one_line(path_) + (tensor_ ? ": tensor " + quoted_name(*tensor_) : "") + ": header byte " +
                std::to_string(at_) + ": found " + found + ", expected " + expected);
  }

  /// The next byte, for an error.
  [[nodiscard]] std::string next() const {
    if (at_ >= text_.size()) return "the header's end";
    const auto byte = static_cast<unsigned char>(text_[at_]);
    if (byte > 0x20 && byte < 0x7f) return std::string("'") + text_[at_] + "'";
    std::array<char, 16> hex{};
    std::snprintf(hex.data(), hex.size(), "byte 0x%02x", static_cast<unsigned>(byte));
    return hex.data();
  }

  void skip_space() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }

  bool accept(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  void expect(char c, const char* expected) {
    if (!accept(c)) fail(next(), expected);
  }

  /// Takes `word` where it stands next.
  bool accept_word(std::string_view word) {
    skip_space();
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  template <class OnMember>
  void object(OnMember&& on_member) {
    expect('{', "'{'");
    if (accept('}')) return;
    do {
      on_member(key());
    } while (accept(','));
    expect('}', "',' or '}'");
  }

  template <class OnElement>
  void array(OnElement&& on_element) {
    expect('[', "'['");
    if (accept(']')) return;
    do {
      on_element();
    } while (accept(','));
    expect(']', "',' or ']'");
  }

  std::string key() {
    std::string name = string();
    expect(':', "':'");
    return name;
  }

  SMA_RARE std::string string() {
    expect('"', "a string");
    std::string value;
    for (;;) {
      if (at_ >= text_.size()) fail(next(), "the string's closing '\"'");
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return value;
      }
      if (c == '\\') {
        ++at_;
        escape(value);
        continue;
      }
      if (static_cast<unsigned char>(c) < 0x20) fail(next(), "control characters to be escaped");
      const std::size_t size = utf8_character(text_, at_);
      if (size == 0) fail(next(), "valid UTF-8");
      value.append(text_, at_, size);
      at_ += size;
    }
  }

  SMA_RARE void escape(std::string& value) {
    constexpr std::string_view marks = "\"\\/bfnrt";
    constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
    if (at_ < text_.size() && text_[at_] == 'u') {
      ++at_;
      append_utf8(value, unicode_escape());
      return;
    }
    const std::size_t which = at_ < text_.size() ? marks.find(text_[at_]) : std::string_view::npos;
    if (which == std::string_view::npos) fail(next(), "an escape, one of \" \\ / b f n r t u");
    value += meanings[which];
    ++at_;
  }

  std::uint32_t unicode_escape() {
    const std::uint32_t first = four_hex_digits();
    if (first < 0xD800 || first > 0xDFFF) return first;
    if (first > 0xDBFF) fail("a low surrogate", "a high surrogate before it");
    if (text_.substr(at_, 2) != "\\u") fail("a high surrogate", "a low surrogate after it");
    at_ += 2;
    const std::uint32_t second = four_hex_digits();
    if (second < 0xDC00 || second > 0xDFFF) fail("a high surrogate", "a low surrogate after it");
    return 0x10000U + ((first - 0xD800U) << 10) + (second - 0xDC00U);
  }

  std::uint32_t four_hex_digits() {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = at_ < text_.size() ? text_[at_] : '\0';
      int digit = 0;
      if (c >= '0' && c <= '9') {
        digit = c - '0';
      } else if (c >= 'a' && c <= 'f') {
        digit = c - 'a' + 10;
      } else if (c >= 'A' && c <= 'F') {
        digit = c - 'A' + 10;
      } else {
        fail(next(), "four hexadecimal digits after \\u");
      }
      value = value * 16 + static_cast<std::uint32_t>(digit);
    }
    return value;
  }

  std::int64_t integer() {
    constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();
    skip_space();
    const std::size_t end = std::min(text_.find_first_not_of("+-.0123456789eE", at_), text_.size());
    const std::string_view number = text_.substr(at_, end - at_);
    const std::string found = number.empty() ? next() : std::string(number.substr(0, 40));
    std::int64_t value = 0;
    bool is_valid = !number.empty() && (number.size() == 1 || number.front() != '0');
    for (const char c : number) {
      if (!is_valid) break;
      const std::int64_t digit = c - '0';
      is_valid = digit >= 0 && digit <= 9 && value <= (largest - digit) / 10;
      if (is_valid) value = value * 10 + digit;
    }
    if (!is_valid) fail(found, "an integer from 0 to " + std::to_string(largest));
    at_ = end;
    return value;
  }

  /// Passes over a value of any kind, as deep as the header and a tensor's entry around it leave room.
  SMA_RARE void skip_value() {
    std::string closing;  // of the open brackets, the outermost first
    do {
      if (accept('[')) {
        if (open(closing, ']')) continue;
      } else if (accept('{')) {
        if (open(closing, '}')) continue;
      } else {
        skip_simple_value();
      }
      while (!closing.empty() && !accept(',')) {
        expect(closing.back(), closing.back() == ']' ? "',' or ']'" : "',' or '}'");
        closing.pop_back();
      }
      if (!closing.empty() && closing.back() == '}') key();
    } while (!closing.empty());
  }

  /// Goes into an array or object that ends with `bracket`; false where it is empty, and then passed.
  bool open(std::string& closing, char bracket) {
    if (closing.size() + 2 == deepest_nesting)
      fail("a deeper value", "at most " + std::to_string(deepest_nesting) + " levels");
    if (accept(bracket)) return false;
    closing += bracket;
    if (bracket == '}') key();
    return true;
  }

  SMA_RARE void skip_simple_value() {
    if (accept_word("true") || accept_word("false") || accept_word("null")) return;
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    if (c == '"') {
      string();
    } else if (c == '-' || (c >= '0' && c <= '9')) {
      skip_number();
    } else {
      fail(next(), "a value");
    }
  }

  /// -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?
  SMA_RARE void skip_number() {
    const auto take = [this](std::string_view any) {
      const bool stands = at_ < text_.size() && any.find(text_[at_]) != std::string_view::npos;
      if (stands) ++at_;
      return stands;
    };
    const auto digits = [&] {
      if (!take("0123456789")) fail(next(), "a digit");
      while (take("0123456789")) {
      }
    };
    take("-");
    if (!take("0")) digits();
    if (take(".")) digits();
    if (take("eE")) {
      take("+-");
      digits();
    }
  }

  SMA_RARE void parse_metadata() {
    if (std::exchange(has_metadata_, true)) fail("a second '__metadata__'", "one");
    if (accept_word("null")) return;
    object([this](std::string key) {
      std::string value = string();
      const auto [at, is_new] = metadata.try_emplace(std::move(key), std::move(value));
      if (!is_new) fail("a second metadata entry " + quoted_name(at->first), "one");
    });
  }

  SMA_RARE void parse_tensor(std::string name) {
    TensorInfo tensor;
    tensor.name = std::move(name);
    tensor_ = &tensor.name;
    if (!index.try_emplace(tensor.name, tensors.size()).second) fail("a second tensor of this name", "one");
    bool has_dtype = false;
    bool has_shape = false;
    bool has_offsets = false;
    const auto once = [this](bool& has, const char* field) {
      if (std::exchange(has, true)) fail(std::string("a second '") + field + "'", "one");
    };
    object([&](const std::string& field) {
      if (field == "dtype") {
        once(has_dtype, "dtype");
        tensor.dtype = dtype();
      } else if (field == "shape") {
        once(has_shape, "shape");
        array([&] { tensor.shape.push_back(integer()); });
      } else if (field == "data_offsets") {
        once(has_offsets, "data_offsets");
        expect('[', "'['");
        tensor.begin = static_cast<std::uint64_t>(integer());
        expect(',', "','");
        tensor.end = static_cast<std::uint64_t>(integer());
        expect(']', "']' after two offsets");
      } else {
        skip_value();
      }
    });
    if (!has_dtype || !has_shape || !has_offsets)
      fail(std::string("no '") +
               (!has_dtype   ? "dtype"
                : !has_shape ? "shape"
                             : "data_offsets") +
               "'",
           "dtype, shape and data_offsets");
    check_span(tensor);
    tensor_ = nullptr;
    tensors.push_back(std::move(tensor));
  }

  SMA_RARE DType dtype() {
    const std::string name = string();
    std::string all;
    for (const DTypeEntry& entry : dtypes) {
      if (entry.name == name) return entry.dtype;
      all += (all.empty() ? "" : ", ") + std::string(entry.name);
    }
    fail("dtype " + quoted_name(name), "one of " + all);
  }

  SMA_RARE void check_span(const TensorInfo& tensor) const {
    const std::string shape =
        "shape " + text_of(tensor.shape) + " of " + std::string(entry_of(tensor.dtype).name);
    const std::optional<std::uint64_t> bytes = byte_count(tensor.shape, tensor.dtype);
    if (!bytes)
      fail(shape, "whole bytes, at most " + std::to_string(std::numeric_limits<std::int64_t>::max()));
    const std::string offsets =
        "data_offsets [" + std::to_string(tensor.begin) + ", " + std::to_string(tensor.end) + "]";
    if (tensor.begin > tensor.end) fail(offsets, "an end that is not before the begin");
    if (tensor.end - tensor.begin != *bytes)
      fail(offsets + ", " + std::to_string(tensor.end - tensor.begin) + " bytes",
           std::to_string(*bytes) + " bytes for " + shape);
  }

  const std::string& path_;
  std::string_view text_;
  std::size_t at_ = 0;
  const std::string* tensor_ = nullptr;
  bool has_metadata_ = false;
};

/// The tensors must cover `size` bytes of data, without holes, overlaps or rest.
SMA_RARE inline void check_layout(const std::string& path, const std::vector<TensorInfo>& tensors,
                                  std::uint64_t size) {
  const auto fail = [&path](const TensorInfo* tensor, const std::string& found, const std::string& expected) {
    throw Error(one_line(path) + (tensor ? ": tensor " + quoted_name(tensor->name) : "") + ": found " +
                found + ", expected " + expected);
  };
  std::vector<const TensorInfo*> order;
  order.reserve(tensors.size());
  for (const TensorInfo& tensor : tensors) {
    if (tensor.end > size)
      fail(&tensor, "data up to byte " + std::to_string(tensor.end),
           "at most the " + std::to_string(size) + " bytes of data that the file holds (truncated?)");
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const TensorInfo* a, const TensorInfo* b) {
    return a->begin != b->begin ? a->begin < b->begin : a->end < b->end;
  });
  std::uint64_t end = 0;
  const TensorInfo* previous = nullptr;
  for (const TensorInfo* tensor : order) {
    if (tensor->begin != end)
      fail(tensor,
           "data from byte " + std::to_string(tensor->begin) +
               (tensor->begin > end ? std::string(", a hole before it")
                                    : ", overlapping tensor " + quoted_name(previous->name)),
           "data from byte " + std::to_string(end));
    end = tensor->end;
    previous = tensor;
  }
  if (end != size)
    fail(nullptr, std::to_string(size) + " bytes of data",
         std::to_string(end) + " bytes, the end of the last tensor");
}

/// How a dtype lies in memory: `Value load(const std::byte*)`, from any alignment.
template <class T>
struct Stored {
  using Value = T;
  static Value load(const std::byte* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
  }
};
struct StoredBool : Stored<std::uint8_t> {};
struct StoredF16 {
  using Value = float;
  static Value load(const std::byte* from) {
    const std::uint32_t bits = Stored<std::uint16_t>::load(from);
    const std::uint32_t sign = (bits & 0x8000U) << 16;
    const std::uint32_t exponent = (bits >> 10) & 0x1FU;
    const std::uint32_t fraction = bits & 0x3FFU;
    if (exponent == 0) {
      const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
      return sign != 0 ? -magnitude : magnitude;
    }
    const std::uint32_t widened = exponent == 0x1FU ? 0xFFU : exponent + 127U - 15U;
    return std::bit_cast<float>(sign | (widened << 23) | (fraction << 13));
  }
};
struct StoredBF16 {
  using Value = float;
  static Value load(const std::byte* from) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(Stored<std::uint16_t>::load(from)) << 16);
  }
};

/// Calls visit with the storage of a dtype that converts.
template <class Visitor>
void visit_dtype(DType dtype, Visitor&& visit) {
  switch (dtype) {
    case DType::Bool:
      return visit(StoredBool{});
    case DType::U8:
      return visit(Stored<std::uint8_t>{});
    case DType::I8:
      return visit(Stored<std::int8_t>{});
    case DType::I16:
      return visit(Stored<std::int16_t>{});
    case DType::U16:
      return visit(Stored<std::uint16_t>{});
    case DType::F16:
      return visit(StoredF16{});
    case DType::BF16:
      return visit(StoredBF16{});
    case DType::I32:
      return visit(Stored<std::int32_t>{});
    case DType::U32:
      return visit(Stored<std::uint32_t>{});
    case DType::F32:
      return visit(Stored<float>{});
    case DType::I64:
      return visit(Stored<std::int64_t>{});
    case DType::U64:
      return visit(Stored<std::uint64_t>{});
    case DType::F64:
      return visit(Stored<double>{});
    default:
      return;
  }
}

/// Whether T takes the value: always when T is floating-point (it rounds), otherwise when it holds it exactly.
template <class T, class Value>
bool convert(Value value, T& to) {
  if constexpr (std::floating_point<T>) {
    to = static_cast<T>(value);
    return true;
  } else if constexpr (std::same_as<T, bool>) {
    to = same_number(value, Value{1});
    return to || same_number(value, Value{0});
  } else if constexpr (std::floating_point<Value>) {
    const Value bound = std::ldexp(Value{1}, std::numeric_limits<T>::digits);
    const Value lowest = std::is_signed_v<T> ? -bound : Value{0};
    if (!(value >= lowest && value < bound) || !same_number(std::trunc(value), value)) return false;
    to = static_cast<T>(value);
    return true;
  } else {
    if (!std::in_range<T>(value)) return false;
    to = static_cast<T>(value);
    return true;
  }
}

template <class Value>
std::string text_of_value(Value value) {
  if constexpr (std::integral<Value>) {
    return std::to_string(value);
  } else {
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), "%.17g", static_cast<double>(value));
    return text.data();
  }
}

/// The whole file, read-only; unmapped with the last owner.
struct Mapping {
  std::shared_ptr<const std::byte> bytes;
  std::uint64_t size = 0;
};

SMA_RARE inline Mapping map_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // a pipe must not block
  if (file.get() < 0) throw_system_error(path, "open failed", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_system_error(path, "fstat failed", errno);
  if (!S_ISREG(status.st_mode))
    throw Error(one_line(path) + ": found a directory or device, expected a safetensors file");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size < length_bytes)
    throw Error(one_line(path) + ": found a file of " + std::to_string(size) + " bytes, expected at least " +
                std::to_string(length_bytes) + ", the header's length");
  void* const address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) throw_system_error(path, "mmap failed", errno);
  return {std::shared_ptr<const std::byte>(static_cast<const std::byte*>(address),
                                           [address, size](const std::byte*) { ::munmap(address, size); }),
          size};
}

}  // namespace detail::safetensors

inline std::size_t TensorInfo::count() const {
  return (end - begin) * 8 / detail::safetensors::entry_of(dtype).bits;
}

SMA_RARE inline SafetensorsFile SafetensorsFile::open(const std::string& path) {
  namespace st = detail::safetensors;
  const st::Mapping mapping = st::map_file(path);
  const std::uint64_t header = st::Stored<std::uint64_t>::load(mapping.bytes.get());
  const std::uint64_t rest = mapping.size - st::length_bytes;
  if (header > st::largest_header || header > rest)
    throw Error(detail::one_line(path) + ": found a header length of " + std::to_string(header) +
                " bytes, expected at most " +
                (header > st::largest_header
                     ? std::to_string(st::largest_header)
                     : "the " + std::to_string(rest) + " bytes that the file holds after it (truncated?)"));
  const std::byte* const text = mapping.bytes.get() + st::length_bytes;
  st::HeaderParser parser(path, {reinterpret_cast<const char*>(text), static_cast<std::size_t>(header)});
  parser.parse();
  st::check_layout(path, parser.tensors, rest - header);

  SafetensorsFile file;
  file.path_ = path;
  file.mapping_ = mapping.bytes;
  file.data_ = text + header;
  file.tensors_ = std::move(parser.tensors);
  file.index_ = std::move(parser.index);
  file.metadata_ = std::move(parser.metadata);
  return file;
}

SMA_RARE inline std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const TensorInfo& tensor : tensors_) names.push_back(tensor.name);
  return names;
}

SMA_RARE inline const TensorInfo& SafetensorsFile::info(std::string_view name) const {
  const auto at = index_.find(name);
  if (at == index_.end())
    throw Error(detail::one_line(path_) + ": tensor " + detail::safetensors::quoted_name(name) +
                ": found no tensor of this name, expected it among the file's " +
                std::to_string(tensors_.size()));
  return tensors_[at->second];
}

inline std::span<const std::byte> SafetensorsFile::bytes(std::string_view name) const {
  const TensorInfo& tensor = info(name);
  return {data_ + tensor.begin, tensor.end - tensor.begin};
}

template <TensorElement T>
  requires(!std::same_as<T, bool>)
std::vector<T> SafetensorsFile::read(std::string_view name) const {
  const TensorInfo& tensor = info(name);
  std::vector<T> values(tensor.count());
  convert_to(tensor, values.data());
  return values;
}

template <TensorElement T>
void SafetensorsFile::read_into(std::string_view name, T* to,
                                const std::vector<std::int64_t>& expected_shape) const {
  convert_to(info_of_shape(name, expected_shape), to);
}

SMA_RARE inline const TensorInfo& SafetensorsFile::info_of_shape(
    std::string_view name, const std::vector<std::int64_t>& expected) const {
  namespace st = detail::safetensors;
  const TensorInfo& tensor = info(name);
  if (tensor.shape != expected)
    throw Error(detail::one_line(path_) + ": tensor " + st::quoted_name(name) + ": found shape " +
                st::text_of(tensor.shape) + " of " + std::string(st::entry_of(tensor.dtype).name) +
                ", expected shape " + st::text_of(expected));
  return tensor;
}

template <class T>
void SafetensorsFile::convert_to(const TensorInfo& tensor, T* to) const {
  namespace st = detail::safetensors;
  if (!st::converts(tensor.dtype)) refuse_dtype(tensor, st::dtype_of<T>());
  const std::size_t count = tensor.count();
  if (count == 0) return;
  const std::byte* const from = data_ + tensor.begin;
  if (!std::same_as<T, bool> && tensor.dtype == st::dtype_of<T>()) {
    std::memcpy(to, from, count * sizeof(T));
    return;
  }
  st::visit_dtype(tensor.dtype, [&]<class Storage>(Storage) {
    const std::size_t size = st::entry_of(tensor.dtype).bits / 8;
    for (std::size_t i = 0; i < count; ++i) {
      const typename Storage::Value value = Storage::load(from + i * size);
      if constexpr (std::same_as<Storage, st::StoredBool>)
        if (value > 1) refuse_value(tensor, i, "0 or 1, which ", st::dtype_of<T>());
      if (!st::convert(value, to[i])) refuse_value(tensor, i, "a value that ", st::dtype_of<T>());
    }
  });
}

SMA_RARE inline void SafetensorsFile::refuse_dtype(const TensorInfo& tensor, DType wanted) const {
  namespace st = detail::safetensors;
  throw Error(detail::one_line(path_) + ": tensor " + st::quoted_name(tensor.name) + ": found dtype " +
              std::string(st::entry_of(tensor.dtype).name) + ", expected one that converts to " +
              std::string(st::entry_of(wanted).name) + " (this one is read as bytes alone)");
}

SMA_RARE inline void SafetensorsFile::refuse_value(const TensorInfo& tensor, std::size_t i,
                                                   const char* expected, DType wanted) const {
  namespace st = detail::safetensors;
  const st::DTypeEntry& entry = st::entry_of(tensor.dtype);
  std::string found;
  st::visit_dtype(tensor.dtype, [&]<class Storage>(Storage) {
    found = st::text_of_value(Storage::load(data_ + tensor.begin + i * entry.bits / 8));
  });
  throw Error(detail::one_line(path_) + ": tensor " + st::quoted_name(tensor.name) + ": found " + found +
              " at element " + std::to_string(i) + " of " + std::string(entry.name) + ", expected " +
              expected + std::string(st::entry_of(wanted).name) + " holds exactly");
}

template <TensorElement T>
void SafetensorsWriter::add(std::string name, std::vector<std::int64_t> shape, const T* data) {
  add(std::move(name), detail::safetensors::dtype_of<T>(), std::move(shape), static_cast<const void*>(data));
}

SMA_RARE inline void SafetensorsWriter::add(std::string name, DType dtype, std::vector<std::int64_t> shape,
                                            const void* data) {
  namespace st = detail::safetensors;
  const auto require = [&name](bool holds, const std::string& found, const char* expected) {
    if (!holds)
      throw Error("sma::SafetensorsWriter::add: tensor " + st::quoted_name(name) + ": found " + found +
                  ", expected " + expected);
  };
  require(st::is_utf8(name), "a name that is not UTF-8", "UTF-8");
  require(name != st::metadata_key, "the reserved name", "another");
  require(!names_.contains(name), "a second tensor of this name", "one");
  const std::optional<std::uint64_t> bytes = st::byte_count(shape, dtype);
  require(bytes.has_value(), "shape " + st::text_of(shape) + " of " + std::string(st::entry_of(dtype).name),
          "no negative extent, and whole bytes, less than 2^63");
  require(data != nullptr || *bytes == 0, "a null pointer", "data");
  require(*bytes <= std::numeric_limits<std::int64_t>::max() - bytes_, "a tensor that ends after 2^63 bytes",
          "less than 2^63 bytes in the file");
  bytes_ += *bytes;
  names_.insert(name);
  data_.push_back(data);
  tensors_.push_back({std::move(name), dtype, std::move(shape), 0, *bytes});
}

SMA_RARE inline void SafetensorsWriter::metadata(std::string key, std::string value) {
  namespace st = detail::safetensors;
  if (!st::is_utf8(key) || !st::is_utf8(value))
    throw Error("sma::SafetensorsWriter::metadata: key " + st::quoted_name(key) +
                ": found text that is not UTF-8, expected UTF-8");
  metadata_.insert_or_assign(std::move(key), std::move(value));
}

/// Which tensor is the first in the file, the second, ...
SMA_RARE inline std::vector<std::size_t> SafetensorsWriter::order() const {
  const auto bits = [this](std::size_t i) { return detail::safetensors::entry_of(tensors_[i].dtype).bits; };
  std::vector<std::size_t> order(tensors_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&bits](std::size_t a, std::size_t b) { return bits(a) > bits(b); });
  return order;
}

/// The 8 bytes of length and the padded JSON.
SMA_RARE inline std::string SafetensorsWriter::header(const std::vector<std::size_t>& order) const {
  namespace st = detail::safetensors;
  std::string json(st::length_bytes, '\0');
  json += '{';
  const char* separator = "";
  if (!metadata_.empty()) {
    json += st::json_string(st::metadata_key) + ":{";
    for (const auto& [key, value] : metadata_) {
      json += separator + st::json_string(key) + ":" + st::json_string(value);
      separator = ",";
    }
    json += '}';
    separator = ",";
  }
  std::uint64_t begin = 0;
  for (const std::size_t which : order) {
    const TensorInfo& tensor = tensors_[which];
    json += separator + st::json_string(tensor.name) + ":{\"dtype\":\"" +
            std::string(st::entry_of(tensor.dtype).name) + "\",\"shape\":[";
    for (std::size_t i = 0; i < tensor.shape.size(); ++i)
      json += (i > 0 ? "," : "") + std::to_string(tensor.shape[i]);
    json += "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(begin + tensor.end) + "]}";
    begin += tensor.end;
    separator = ",";
  }
  json += '}';
  json.append((8 - json.size() % 8) % 8, ' ');
  const std::uint64_t length = json.size() - st::length_bytes;
  std::memcpy(json.data(), &length, sizeof length);
  return json;
}

SMA_RARE inline void SafetensorsWriter::write(const std::string& path) const {
  namespace st = detail::safetensors;
  const std::vector<std::size_t> which = order();
  const std::string head = header(which);
  if (head.size() - st::length_bytes > st::largest_header)
    throw Error(detail::one_line(path) + ": found a header of " +
                std::to_string(head.size() - st::length_bytes) + " bytes to write, expected at most " +
                std::to_string(st::largest_header));
  AtomicFile file(path);
  file.write(head.data(), head.size());
  for (const std::size_t i : which) file.write(data_[i], tensors_[i].end);
  file.commit();
}

}  // namespace sma
