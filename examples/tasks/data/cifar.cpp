#include <algorithm>
#include <array>
#include <filesystem>
#include <sma/base/text.hpp>
#include <string>
#include <tasks/data/cifar.hpp>
#include <tasks/data/text.hpp>

namespace tasks {

namespace {

/// Appends one CIFAR-10 batch file: records of a label and 32 x 32 red, green and blue bytes, to grey by ITU-R 601 luma
/// (0.299 R + 0.587 G + 0.114 B in 16-bit fixed point, rounded, as the common image libraries do).
void append_cifar(const std::string& path, SequenceDataset<std::uint8_t>& out) {
  constexpr std::size_t kPixels = 1024;
  constexpr std::size_t kRecord = 1 + 3 * kPixels;
  const std::string name = sma::one_line(path);
  const std::string content = read_file(path, "a CIFAR-10 binary batch");
  const bool is_compressed = content.size() > 1 && content[0] == '\x1f' && content[1] == '\x8b';
  if (content.empty() || content.size() % kRecord != 0)
    throw sma::Error(name + ": found " + std::to_string(content.size()) + " bytes, expected a multiple of " +
                     std::to_string(kRecord) + (is_compressed ? " (is the file gzip-compressed?)" : ""));
  std::array<std::uint8_t, kPixels> grey{};
  for (std::size_t r = 0; r < content.size() / kRecord; ++r) {
    const auto byte = [&](std::size_t i) {
      return static_cast<std::uint32_t>(static_cast<std::uint8_t>(content[r * kRecord + i]));
    };
    if (byte(0) > 9)
      throw sma::Error(name + ": record " + std::to_string(r) + ": found label " + std::to_string(byte(0)) +
                       ", expected 0 to 9");
    for (std::size_t p = 0; p < kPixels; ++p)
      grey[p] = static_cast<std::uint8_t>((19595U * byte(1 + p) + 38470U * byte(1 + kPixels + p) +
                                           7471U * byte(1 + 2 * kPixels + p) + 0x8000U) >>
                                          16);
    out.append(grey, static_cast<std::int32_t>(byte(0)));
  }
}

}  // namespace

Splits<std::uint8_t> read_cifar(const std::string& directory) {
  const std::filesystem::path root(directory);
  SequenceDataset<std::uint8_t> all;
  for (int b = 1; b <= 5; ++b)
    append_cifar((root / ("data_batch_" + std::to_string(b) + ".bin")).string(), all);
  Splits<std::uint8_t> out;
  const std::size_t kept = all.size() - std::min<std::size_t>(5000, all.size() / 10);
  for (std::size_t i = 0; i < all.size(); ++i)
    (i < kept ? out.train : out.validation).append(all.sequence(i), all.label(i));
  append_cifar((root / "test_batch.bin").string(), out.test);
  return out;
}

}  // namespace tasks
