#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sma/base/config.hpp>
#include <sma/base/error.hpp>
#include <sma/base/text.hpp>
#include <sma/io/atomic_file.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace tasks {

/// 'text' for a message: what is not a printable ASCII character as \xNN, the end of a long text as "...".
inline std::string excerpt(std::string_view text, std::size_t longest = 40) {
  return "'" + sma::ascii_text(text.substr(0, longest)) + (text.size() > longest ? "'..." : "'");
}

/// What a file probably is whose first bytes, or whose line, are not as expected: " (is the file gzip-compressed?)"; "" when nothing
/// speaks for anything.
inline std::string likely_mistake(std::string_view bytes) {
  using namespace std::string_view_literals;
  if (bytes.starts_with("\x1f\x8b"sv)) return " (is the file gzip-compressed?)";
  if (bytes.starts_with("BZh"sv) ||
      bytes.starts_with("\xfd"
                        "7zXZ"sv) ||
      bytes.starts_with("PK\x03\x04"sv))
    return " (is the file an archive?)";
  if (bytes.starts_with("\xff\xfe"sv) || bytes.starts_with("\xfe\xff"sv)) return " (is the file UTF-16?)";
  if (bytes.starts_with("\xef\xbb\xbf"sv)) return " (a byte order mark inside the file?)";
  if (bytes.starts_with("<!"sv) || bytes.starts_with("<html"sv)) return " (is the file a web page?)";
  // Every second byte of UTF-16 is 0 where the text is ASCII.
  std::size_t zeros[2] = {};
  const std::size_t size = std::min<std::size_t>(bytes.size(), 64);
  for (std::size_t i = 0; i < size; ++i) zeros[i % 2] += bytes[i] == '\0' ? 1 : 0;
  if (size >= 4 && std::min(zeros[0], zeros[1]) == 0 && std::max(zeros[0], zeros[1]) >= size / 2 - 1)
    return " (is the file UTF-16?)";
  if (bytes.find('\0') != std::string_view::npos) return " (zero bytes: is the file binary, or damaged?)";
  return "";
}

/// The bytes of a text as numbers.
inline std::vector<std::uint8_t> bytes_of(std::string_view text) {
  std::vector<std::uint8_t> bytes(text.size());
  std::transform(text.begin(), text.end(), bytes.begin(),
                 [](char c) { return static_cast<std::uint8_t>(c); });
  return bytes;
}

/// Calls f(word) for the words of a line, which any number of `blanks` part.
template <class F>
void for_each_word(std::string_view line, std::string_view blanks, const F& f) {
  while (!line.empty()) {
    line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
    const std::size_t end = std::min(line.find_first_of(blanks), line.size());
    if (end > 0) f(line.substr(0, end));
    line.remove_prefix(end);
  }
}

/// A file opened to be read. Throws `sma::Error` naming it when it is none; `expected`: what it should be.
inline std::ifstream open_file(const std::string& path, const std::string& expected) {
  const auto fail = [&](const std::string& found) {
    throw sma::Error(sma::one_line(path) + ": " + found + ", expected " + expected);
  };
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) fail("found a directory");
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) fail("cannot be read (" + std::generic_category().message(errno) + ")");
  return file;
}

/// The whole content of a file. Throws `sma::Error` as `open_file` does, and when reading fails.
inline std::string read_file(const std::string& path, const std::string& expected) {
  std::ifstream file = open_file(path, expected);
  std::string content;
  std::array<char, 1U << 16> block{};
  while (file.read(block.data(), block.size()), file.gcount() > 0)
    content.append(block.data(), static_cast<std::size_t>(file.gcount()));
  if (file.bad())
    throw sma::Error(sma::one_line(path) + ": reading failed after " + std::to_string(content.size()) +
                     " bytes, expected " + expected);
  return content;
}

/// A text file, line by line, without line ends (\n or \r\n) and without a byte order mark at its start; its last line may lack the
/// end. Throws `sma::Error` naming the file when it cannot be read.
class TextFile {
 public:
  /// `expected`: what the file should be.
  TextFile(std::string path, const std::string& expected)
      : path_(std::move(path)), file_(open_file(path_, expected)) {}

  /// The next line; false after the last.
  bool next(std::string& line) {
    if (!std::getline(file_, line)) {
      if (file_.bad()) throw sma::Error(name() + ": reading failed after line " + std::to_string(number_));
      return false;
    }
    if (++number_ == 1) {
      head_ = line.substr(0, 64);
      if (line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
    }
    if (!line.empty() && line.back() == '\r') line.pop_back();
    line_ = line.substr(0, 64);
    return true;
  }

  /// Of the last line, from 1.
  [[nodiscard]] std::size_t number() const { return number_; }
  /// The path as it stands in messages.
  [[nodiscard]] std::string name() const { return sma::one_line(path_); }

  /// Throws for the last line.
  [[noreturn, gnu::cold]] void fail(const std::string& found, const std::string& expected) const {
    std::string mistake = likely_mistake(head_.starts_with("\xef\xbb\xbf") ? std::string_view{} : head_);
    if (mistake.empty()) mistake = likely_mistake(line_);
    throw sma::Error(name() + ":" + std::to_string(number_) + ": found " + found + ", expected " + expected +
                     mistake);
  }

 private:
  std::string path_;
  std::ifstream file_;
  std::string head_;  // of the file
  std::string line_;  // its beginning
  std::size_t number_ = 0;
};

}  // namespace tasks
