#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sma/base/text.hpp>
#include <string_view>
#include <system_error>
#include <tasks/data/pathfinder.hpp>
#include <tasks/data/pathfinder_generator.hpp>
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

/// Whether a path below a folder is below it indeed.
bool stays_inside(const fs::path& path) {
  return path.is_relative() && std::find(path.begin(), path.end(), "..") == path.end();
}

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

/// A folder that appears whole or not at all: it is filled under another name, and removed when `commit` was not reached.
class FolderAside {
 public:
  explicit FolderAside(fs::path path) : path_(std::move(path)), aside_(path_.string() + ".tmp") {
    if (fs::exists(path_))
      throw sma::Error(sma::one_line(path_.string()) + ": found it there already, expected to make it");
    attempt("cannot be made", [this](std::error_code& code) {
      fs::remove_all(aside_, code);  // of a process that was killed
      if (!code) fs::create_directories(aside_, code);
    });
  }
  ~FolderAside() {
    std::error_code ignored;
    fs::remove_all(aside_, ignored);
  }
  FolderAside(const FolderAside&) = delete;
  FolderAside& operator=(const FolderAside&) = delete;

  void make(const std::string& folder) const {
    attempt("cannot be made", [&](std::error_code& code) { fs::create_directories(aside_ / folder, code); });
  }
  void write(const std::string& name, const std::string& content) const {
    errno = 0;
    std::ofstream file(aside_ / name, std::ios::binary);
    file.write(content.data(), static_cast<std::streamsize>(content.size()));
    file.close();
    if (!file)
      throw sma::Error(sma::one_line((aside_ / name).string()) + ": cannot be written (" +
                       std::generic_category().message(errno) + ")");
  }
  void commit() const {
    attempt("cannot be renamed from its .tmp",
            [this](std::error_code& code) { fs::rename(aside_, path_, code); });
  }

 private:
  template <class F>
  void attempt(const std::string& what, const F& f) const {
    std::error_code code;
    f(code);
    if (code) throw sma::Error(sma::one_line(path_.string()) + ": " + what + " (" + code.message() + ")");
  }

  fs::path path_, aside_;
};

/// A number of the settings as Python prints a float.
std::string decimal(double value) {
  std::string text = sma::number_text(value);
  return text.find('.') == std::string::npos ? text + ".0" : text;
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
      for (const std::string_view word : {words[0], words[1]})
        if (!stays_inside(word)) file.fail(excerpt(word), "a path inside the data set");
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

void write_pathfinder(const std::string& directory, std::size_t side, std::uint64_t seed, std::uint64_t count,
                      int dashes) {
  constexpr std::uint64_t a_folder = 1000;
  const PathfinderSettings& s = pathfinder_settings(side);
  if (count == 0) throw sma::Error("Pathfinder writer: found a count of 0, expected at least 1");
  const FolderAside folder(fs::path(directory) / ("curv_contour_length_" + std::to_string(dashes)));
  folder.make("metadata");
  std::string lines;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string k = std::to_string(i / a_folder), number = std::to_string(i % a_folder);
    if (i % a_folder == 0) folder.make("imgs/" + k);
    const PathfinderPicture picture = draw_pathfinder(side, seed, i, dashes);
    const std::string file = "sample_" + number + ".png";
    folder.write("imgs/" + k + "/" + file, png_text({side, side, picture.pixels}));
    lines += "imgs/" + k + " " + file + " " + number + " " + std::to_string(picture.label) + " " +
             decimal(s.continuity) + " " + std::to_string(dashes) + " " +
             std::to_string(s.distractor_dashes) + " " + std::to_string(s.dash_length) + " " +
             decimal(s.thickness) + " " + std::to_string(picture.margin) + " 1\n";
    if ((i + 1) % a_folder == 0 || i + 1 == count) {
      folder.write("metadata/" + k + ".npy", lines);
      lines.clear();
    }
  }
  folder.commit();
}

}  // namespace tasks
