#pragma once

#include <cstddef>
#include <cstdint>
#include <sma/train/trainer_options.hpp>
#include <span>
#include <string>
#include <vector>

namespace tasks {

/// A text as bytes, one after another, with its parts: the first 90 % train, 5 % validate, 5 % test. (enwik8: 90, 5 and 5 million.)
class ByteText {
 public:
  /// The bytes [begin, end) of the text.
  struct Part {
    std::size_t begin;
    std::size_t end;
    [[nodiscard]] std::size_t size() const { return end - begin; }
  };

  /// Texts of fewer bytes are no data set.
  static constexpr std::size_t least = 100;

  /// Throws `Error` for fewer than `least` bytes.
  explicit ByteText(std::vector<std::uint8_t> bytes);

  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return bytes_; }
  [[nodiscard]] Part train() const { return {0, bytes_.size() - 2 * held_out()}; }
  [[nodiscard]] Part part(sma::Split split) const {
    const std::size_t begin = bytes_.size() - (split == sma::Split::test ? 1 : 2) * held_out();
    return {begin, begin + held_out()};
  }
  /// What a model reads when it is to predict byte `at`: the byte before it, 0 before the first.
  [[nodiscard]] std::uint8_t before(std::size_t at) const {
    return at == 0 ? std::uint8_t{0} : bytes_[at - 1];
  }

  /// Tells this text from others: "90000000 + 5000000 + 5000000 bytes, 8f3a...".
  [[nodiscard]] std::string fingerprint() const;

 private:
  [[nodiscard]] std::size_t held_out() const { return bytes_.size() / 20; }

  std::vector<std::uint8_t> bytes_;
};

/// Any file, unpacked when it is gzip. A file enwik8 must have the 100,000,000 bytes that its owners publish. Throws `Error` naming the
/// file, what was found and what was expected; archives are refused.
ByteText read_bytes(const std::string& path);

}  // namespace tasks
