#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sma/base/text.hpp>
#include <string_view>
#include <tasks/data/pathfinder.hpp>
#include <tasks/data/png.hpp>
#include <tasks/data/text.hpp>
#include <utility>
#include <vector>

namespace tasks {

namespace {

namespace fs = std::filesystem;

constexpr const char* kLayout =
    "curv_contour_length_14 with metadata/K.npy and imgs/K/sample_I.png, or MEGA's text form (input/, "
    "label/)";

/// metadata/*.npy in the order of their numbers.
std::vector<fs::path> metadata_of(const fs::path& root) {
  std::vector<std::pair<long, fs::path>> files;
  std::error_code code;
  for (fs::directory_iterator at(root / "metadata", code), end; !code && at != end; at.increment(code))
    if (at->path().extension() == ".npy")
      files.emplace_back(std::strtol(at->path().stem().c_str(), nullptr, 10), at->path());
  if (code || files.empty())
    throw sma::Error(sma::one_line((root / "metadata").string()) + ": " +
                     (code ? "cannot be read (" + code.message() + ")" : "found no K.npy") + ", expected " +
                     kLayout);
  std::sort(files.begin(), files.end());
  std::vector<fs::path> paths;
  for (auto& [number, path] : files) paths.push_back(std::move(path));
  return paths;
}

}  // namespace

Splits<std::uint8_t> read_pathfinder(const std::string& directory, std::size_t side) {
  const fs::path inner = fs::path(directory) / "curv_contour_length_14";
  const fs::path root = fs::exists(inner) ? inner : fs::path(directory);
  Splits<std::uint8_t> out;
  std::size_t number = 0;
  std::string line;
  for (const fs::path& metadata : metadata_of(root)) {
    TextFile file(metadata.string(), "a text file, one picture a line");
    while (file.next(line)) {
      std::vector<std::string_view> words;
      for_each_word(line, " \t", [&](std::string_view word) { words.push_back(word); });
      if (words.empty()) continue;
      if (words.size() < 4) file.fail(excerpt(line), "folder, file, number and label");
      if (words[3] != "0" && words[3] != "1") file.fail("label " + excerpt(words[3]), "0 or 1");
      const GreyPicture picture = read_png((root / words[0] / words[1]).string());
      if (picture.width != side || picture.height != side)
        file.fail("a picture of " + std::to_string(picture.width) + " x " + std::to_string(picture.height) +
                      " pixels",
                  std::to_string(side) + " x " + std::to_string(side));
      const std::size_t of_ten = number++ % 10;
      (of_ten < 8    ? out.train
       : of_ten == 8 ? out.validation
                     : out.test)
          .append(picture.pixels, words[3][0] - '0');
    }
  }
  if (number < 10)
    throw sma::Error(sma::one_line(root.string()) + ": found " + std::to_string(number) +
                     " pictures, expected at least 10, of which one validates and one tests");
  return out;
}

}  // namespace tasks
