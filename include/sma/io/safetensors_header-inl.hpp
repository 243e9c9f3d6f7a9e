#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sma/base/config.hpp>
#include <sma/base/error.hpp>
#include <sma/base/text.hpp>
#include <sma/io/json_handler-inl.hpp>
#include <sma/io/safetensors_layout-inl.hpp>
#include <sma/io/safetensors_types.hpp>

/// The JSON header of a safetensors file.
namespace sma::detail::safetensors {

inline constexpr std::size_t deepest_nesting = 127;  // what the format's own library reads
inline constexpr std::int64_t largest_integer = std::numeric_limits<std::int64_t>::max();
inline constexpr std::string_view metadata_key = "__metadata__";

/// What a header says.
struct Header {
  std::vector<TensorInfo> tensors;
  std::map<std::string, std::size_t, std::less<>> index;
  std::map<std::string, std::string> metadata;
};

/// Hears a header and knows what may stand where. What it keeps is bounded by a multiple of the header's own size. nlohmann-json reads
/// and checks the JSON; beside it the reader goes through the text from token to token, so as to say where something is wrong.
class HeaderReader : public JsonHandler {
 public:
  HeaderReader(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  Header read() {
    skip_space(0);
    if (next() != "'{'") refuse("'{'");
    read_json(text_, *this);
    skip_space(at_);
    if (begin_ != text_.size()) refuse("nothing but white space after the closing '}'");  // a NUL
    return std::move(header_);
  }

  bool null() override {
    take(4);
    if (expects_ != Expects::metadata) require(Expects::anything);
    return true;
  }

  bool boolean(bool value) override {
    take(value ? 4 : 5);
    require(Expects::anything);
    return true;
  }

  bool number_integer(std::int64_t value) override {
    return number(value == 0 ? "-0" : std::to_string(value), std::nullopt);
  }
  bool number_unsigned(std::uint64_t value) override { return number(std::to_string(value), value); }
  bool number_float(double, const std::string& text) override { return number(text, std::nullopt); }

  bool string(std::string& text) override {
    take_string();
    if (expects_ == Expects::entry) {
      const auto [at, is_new] = header_.metadata.try_emplace(std::move(key_), std::move(text));
      if (!is_new) fail("a second metadata entry " + quoted_name(at->first), "one");
    } else if (expects_ == Expects::dtype) {
      tensor_->dtype = dtype_of_name(text);
    } else {
      require(Expects::anything);
    }
    return true;
  }

  bool key(std::string& name) override {
    take_string();
    is_after_key_ = true;
    if (open_.size() == 1) {
      begin_member(std::move(name));
    } else if (open_.size() == 2 && tensor_) {
      begin_field(name);
    } else if (open_.size() == 2) {
      key_ = std::move(name);
      expects_ = Expects::entry;
    }
    return true;
  }

  bool start_object(std::size_t) override {
    take(1);
    if (!open_.empty() && expects_ != Expects::metadata && expects_ != Expects::tensor) go_deeper();
    open_ += '}';
    return true;
  }

  bool end_object() override {
    take(1);
    open_.pop_back();
    if (open_.size() == 1 && tensor_) end_tensor();
    return true;
  }

  bool start_array(std::size_t) override {
    take(1);
    if (expects_ == Expects::shape) {
      expects_ = Expects::extent;
    } else if (expects_ == Expects::offsets) {
      expects_ = Expects::begin;
    } else {
      go_deeper();
    }
    open_ += ']';
    return true;
  }

  bool end_array() override {
    take(1);
    if (expects_ == Expects::begin) refuse(words());
    if (expects_ == Expects::end) refuse("','");
    open_.pop_back();
    return true;
  }

  /// Says what stands where the parser stopped, and what could.
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception& error) override {
    const bool is_first = text_[at_ - 1] == '{' || text_[at_ - 1] == '[';
    skip_space(at_);
    const bool is_separated = begin_ + 1 < position && (next() == "','" || next() == "':'");
    if (is_separated) skip_space(begin_ + 1);

    constexpr std::string_view of_string = "invalid string: ";
    const std::string_view what = error.what();
    if (const std::size_t at = what.find(of_string); at != std::string_view::npos && next() == "'\"'") {
      const std::string_view reason = what.substr(at + of_string.size());
      begin_ = begin_of_character(std::min(position - 1, text_.size()));
      refuse("a valid string (" + std::string(reason.substr(0, reason.find("; last read"))) + ")");
    }
    if (open_.empty()) refuse("nothing but white space after the closing '}'");
    const bool is_in_array = open_.back() == ']';
    if (is_after_key_ ? is_separated : is_in_array && (is_separated || is_first)) refuse_value();
    if (is_after_key_) refuse("':'");
    if (is_separated || is_first) refuse("a string");
    if (is_in_array && expects_ == Expects::end) refuse("','");
    if (is_in_array && expects_ == Expects::no_more) refuse(words());
    refuse(is_in_array ? "',' or ']'" : "',' or '}'");
  }

 private:
  /// The value that may come next: a member of the header, one of the metadata, a field of a tensor or an element of that.
  enum class Expects {
    metadata,
    entry,
    tensor,
    dtype,
    shape,
    extent,
    offsets,
    begin,
    end,
    no_more,
    anything
  };

  [[nodiscard]] std::string words() const {
    switch (expects_) {
      case Expects::metadata:
      case Expects::tensor:
        return "'{'";
      case Expects::entry:
      case Expects::dtype:
        return "a string";
      case Expects::shape:
      case Expects::offsets:
        return "'['";
      case Expects::extent:
      case Expects::begin:
      case Expects::end:
        return "an integer from 0 to " + std::to_string(largest_integer);
      case Expects::no_more:
        return "']' after two offsets";
      case Expects::anything:
        break;
    }
    return "a value";
  }

  [[nodiscard]] bool expects_integer() const {
    return expects_ == Expects::extent || expects_ == Expects::begin || expects_ == Expects::end;
  }

  [[noreturn]] void fail(const std::string& found, const std::string& expected) const {
    throw Error(one_line(path_) + (tensor_ ? ": tensor " + quoted_name(tensor_->name) : "") +
                ": header byte " + std::to_string(at_) + ": found " + found + ", expected " + expected);
  }

  /// The token that begins at `begin_` may not stand there.
  [[noreturn]] void refuse(const std::string& expected) {
    at_ = begin_;
    fail(next(), expected);
  }

  /// As `refuse`, of a token that stands where a value may.
  [[noreturn]] void refuse_value() {
    if (expects_ == Expects::no_more) begin_ = text_.rfind(',', begin_);
    at_ = begin_;
    const std::string found(number_at(begin_).substr(0, 40));
    if (!found.empty() && (expects_integer() || expects_ == Expects::anything))
      fail(found, expects_integer() ? words() : "a JSON number that a double holds");
    fail(next(), words());
  }

  void require(Expects value) {
    if (expects_ != value) refuse_value();
  }

  /// What begins at `begin_`, for an error.
  [[nodiscard]] std::string next() const {
    if (begin_ >= text_.size()) return "the header's end";
    const auto byte = static_cast<unsigned char>(text_[begin_]);
    if (byte > 0x20 && byte < 0x7f) return std::string("'") + text_[begin_] + "'";
    std::array<char, 16> hex{};
    std::snprintf(hex.data(), hex.size(), "byte 0x%02x", static_cast<unsigned>(byte));
    return hex.data();
  }

  /// Bytes of numbers, valid or not.
  [[nodiscard]] std::string_view number_at(std::size_t from) const {
    return text_.substr(from, text_.find_first_not_of("+-.0123456789eE", from) - from);
  }

  void skip_space(std::size_t from) {
    begin_ = std::min(text_.find_first_not_of(" \t\r\n", from), text_.size());
  }

  /// Where the UTF-8 character begins that the byte `at` should go on with, or would begin with.
  [[nodiscard]] std::size_t begin_of_character(std::size_t at) const {
    const auto byte = [this](std::size_t i) { return static_cast<unsigned char>(text_[i]); };
    std::size_t lead = at - 1;
    while ((byte(lead) & 0xC0U) == 0x80U) --lead;
    return static_cast<std::size_t>(std::countl_one(byte(lead))) > at - lead ? lead : at;
  }

  /// Goes to the token that the parser tells of and past it.
  void take(std::size_t size) {
    begin_ = text_.find_first_not_of(" \t\r\n,:", at_);
    at_ = begin_ + size;
    is_after_key_ = false;
  }

  void take_string() {
    take(1);
    while (text_[at_] != '"') at_ += text_[at_] == '\\' ? 2U : 1U;
    ++at_;
  }

  /// A number with this text; `value` where it is not negative and an integer.
  bool number(const std::string& text, std::optional<std::uint64_t> value) {
    take(text.size());
    if (!expects_integer()) {
      require(Expects::anything);
      return true;
    }
    const bool is_whole = number_at(at_).empty();  // 01 is 0, to the parser
    if (!is_whole || !value || *value > static_cast<std::uint64_t>(largest_integer)) refuse_value();
    if (expects_ == Expects::extent) {
      tensor_->shape.push_back(static_cast<std::int64_t>(*value));
    } else if (expects_ == Expects::begin) {
      tensor_->begin = *value;
      expects_ = Expects::end;
    } else {
      tensor_->end = *value;
      expects_ = Expects::no_more;
    }
    return true;
  }

  void go_deeper() {
    require(Expects::anything);
    if (open_.size() == deepest_nesting)
      fail("a deeper value", "at most " + std::to_string(deepest_nesting) + " levels");
  }

  void begin_member(std::string name) {
    if (name == metadata_key) {
      if (std::exchange(has_metadata_, true)) fail("a second '__metadata__'", "one");
      expects_ = Expects::metadata;
      return;
    }
    tensor_.emplace().name = std::move(name);
    if (!header_.index.try_emplace(tensor_->name, header_.tensors.size()).second)
      fail("a second tensor of this name", "one");
    has_ = {};
    expects_ = Expects::tensor;
  }

  void begin_field(const std::string& name) {
    constexpr std::array values{Expects::dtype, Expects::shape, Expects::offsets};
    const auto which =
        static_cast<std::size_t>(std::find(fields.begin(), fields.end(), name) - fields.begin());
    expects_ = which < fields.size() ? values[which] : Expects::anything;
    if (which < fields.size() && std::exchange(has_[which], true)) fail("a second '" + name + "'", "one");
  }

  void end_tensor() {
    for (std::size_t i = 0; i < fields.size(); ++i)
      if (!has_[i]) fail("no '" + std::string(fields[i]) + "'", "dtype, shape and data_offsets");
    check_span(*tensor_);
    header_.tensors.push_back(*std::move(tensor_));
    tensor_.reset();
  }

  [[nodiscard]] DType dtype_of_name(std::string_view name) const {
    std::string all;
    for (const DTypeEntry& entry : dtypes) {
      if (entry.name == name) return entry.dtype;
      all += (all.empty() ? "" : ", ") + std::string(entry.name);
    }
    fail("dtype " + quoted_name(name), "one of " + all);
  }

  void check_span(const TensorInfo& tensor) const {
    const std::string shape =
        "shape " + text_of(tensor.shape) + " of " + std::string(entry_of(tensor.dtype).name);
    const std::optional<std::uint64_t> bytes = byte_count(tensor.shape, tensor.dtype);
    if (!bytes) fail(shape, "whole bytes, at most " + std::to_string(largest_integer));
    const std::string offsets =
        "data_offsets [" + std::to_string(tensor.begin) + ", " + std::to_string(tensor.end) + "]";
    if (tensor.begin > tensor.end) fail(offsets, "an end that is not before the begin");
    if (tensor.end - tensor.begin != *bytes)
      fail(offsets + ", " + std::to_string(tensor.end - tensor.begin) + " bytes",
           std::to_string(*bytes) + " bytes for " + shape);
  }

  static constexpr std::array<std::string_view, 3> fields{"dtype", "shape", "data_offsets"};

  const std::string& path_;
  std::string_view text_;
  std::size_t begin_ = 0;  // of the token
  std::size_t at_ = 0;     // past it
  std::string open_;       // how what is open will end, the outermost first
  Expects expects_ = Expects::anything;
  bool is_after_key_ = false;
  bool has_metadata_ = false;
  std::array<bool, 3> has_{};  // which of the tensor's fields
  std::string key_;            // of a metadata entry
  std::optional<TensorInfo> tensor_;
  Header header_;
};

/// Of a file with `size` bytes of data. Throws `Error`: path, tensor, header byte, what was found and what was expected.
inline Header read_header(const std::string& path, std::string_view text, std::uint64_t size) {
  Header header = HeaderReader(path, text).read();
  check_layout(path, header.tensors, size);
  return header;
}

}  // namespace sma::detail::safetensors
