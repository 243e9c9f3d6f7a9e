#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <sma/base/text.hpp>
#include <system_error>
#include <tasks/data/imdb.hpp>
#include <tasks/data/text.hpp>
#include <utility>
#include <vector>

namespace tasks {

namespace {

namespace fs = std::filesystem;

constexpr const char* kLayout =
    "aclImdb, a directory with train/pos, train/neg, test/pos and test/neg, 12,500 text files each";

/// The text files of a directory, by name.
std::vector<fs::path> texts_of(const fs::path& directory) {
  std::vector<fs::path> files;
  std::error_code code;
  for (fs::directory_iterator at(directory, code), end; !code && at != end; at.increment(code))
    if (at->path().extension() == ".txt") files.push_back(at->path());
  if (code)
    throw sma::Error(sma::one_line(directory.string()) + ": cannot be read (" + code.message() +
                     "), expected " + kLayout);
  if (files.empty())
    throw sma::Error(sma::one_line(directory.string()) + ": found no text file, expected " + kLayout);
  std::sort(files.begin(), files.end());
  return files;
}

/// The first `longest` bytes of a file.
std::vector<std::uint8_t> read_bytes(const fs::path& path, std::size_t longest) {
  const std::string expected = "a review's text";
  const auto fail = [&](const std::string& what) {
    throw sma::Error(sma::one_line(path.string()) + ": " + what + ", expected " + expected);
  };
  std::ifstream file = open_file(path.string(), expected);
  std::string bytes(longest, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(longest));
  if (file.bad()) fail("reading failed");
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  if (bytes.empty()) fail("found an empty file");
  if (const std::string mistake = likely_mistake(std::string_view(bytes).substr(0, 64)); !mistake.empty())
    fail("found " + excerpt(bytes, 8) + mistake);
  return bytes_of(bytes);
}

}  // namespace

Splits<std::uint8_t> read_imdb(const std::string& directory, std::size_t longest) {
  Splits<std::uint8_t> out;
  const std::array<std::pair<const char*, std::int32_t>, 2> labels{{{"neg", 0}, {"pos", 1}}};
  for (const auto& [name, label] : labels) {
    const std::vector<fs::path> train = texts_of(fs::path(directory) / "train" / name);
    for (std::size_t i = 0; i < train.size(); ++i)
      (i % 10 == 9 ? out.validation : out.train).append(read_bytes(train[i], longest), label);
    for (const fs::path& path : texts_of(fs::path(directory) / "test" / name))
      out.test.append(read_bytes(path, longest), label);
  }
  if (out.validation.size() == 0)
    throw sma::Error(sma::one_line(directory) + ": found " + std::to_string(out.train.size()) +
                     " training reviews, expected at least 10 of a label, of which a tenth validates");
  return out;
}

}  // namespace tasks
