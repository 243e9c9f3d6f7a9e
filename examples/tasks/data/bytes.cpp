#include <algorithm>
#include <filesystem>
#include <sma/base/error.hpp>
#include <sma/base/text.hpp>
#include <string_view>
#include <tasks/data/bytes.hpp>
#include <tasks/data/dataset.hpp>
#include <tasks/data/gzip.hpp>
#include <tasks/data/text.hpp>
#include <utility>

namespace tasks {

namespace {

constexpr std::size_t kEnwik8 = 100'000'000;

constexpr const char* kExpected =
    "a text file: enwik8, 100,000,000 bytes (mattmahoney.net/dc/enwik8.zip, unpacked), or another of at "
    "least "
    "100 bytes";

}  // namespace

ByteText::ByteText(std::vector<std::uint8_t> bytes) : bytes_(std::move(bytes)) {
  if (bytes_.size() < least)
    throw sma::Error("text: found " + std::to_string(bytes_.size()) + " bytes, expected at least " +
                     std::to_string(least));
}

std::string ByteText::fingerprint() const {
  std::uint64_t h = bytes_.size();
  for (const std::uint8_t byte : bytes_) {
    h = (h ^ byte) * 0x9E3779B97F4A7C15U;
    h ^= h >> 29;
  }
  return std::to_string(train().size()) + " + " + std::to_string(held_out()) + " + " +
         std::to_string(held_out()) + " bytes, " + hash_text(h);
}

ByteText read_bytes(const std::string& path) {
  std::vector<std::uint8_t> bytes = read_gzip(path, kExpected);
  const auto fail = [&](const std::string& found) {
    throw sma::Error(sma::one_line(path) + ": found " + found + ", expected " + kExpected);
  };
  std::string start(std::min<std::size_t>(bytes.size(), 8), '\0');
  std::copy_n(bytes.begin(), start.size(), start.begin());
  const std::string mistake = likely_mistake(start);
  if (mistake.find("archive") != std::string::npos || mistake.find("gzip") != std::string::npos)
    fail(excerpt(start, 4) + mistake);
  const std::filesystem::path name = std::filesystem::path(path).filename();
  const bool is_enwik8 = name == "enwik8" || name == "enwik8.gz";
  if (bytes.size() < ByteText::least || (is_enwik8 && bytes.size() != kEnwik8))
    fail(std::to_string(bytes.size()) + " bytes");
  return ByteText(std::move(bytes));
}

}  // namespace tasks
