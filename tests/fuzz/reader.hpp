#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Readers of files, and what is fed to them.
///
///     const fuzz::Reader words{"words",
///                              [](const fuzz::Folder&) -> std::vector<std::string> { return {"a word\n", "two words\n"}; },
///                              [](const fuzz::Folder& folder, std::string_view input) {
///                                read_words(folder.put("words.txt", input));
///                              }};
///
/// in a file of its own, NAME.cpp, is a fuzz target: CMakeLists.txt finds it. A reader may throw `sma::Error` with one line that names
/// a file of the folder, and nothing else.
namespace fuzz {

/// A private folder, under TMPDIR or, where that is not set, in memory. Its name holds a line's end, which a message must not.
class Folder {
 public:
  Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder();

  [[nodiscard]] std::string path(const std::string& name = "") const {
    return name.empty() ? path_ : path_ + "/" + name;
  }
  /// Writes a file, and the folders that it stands in; returns its path. The contents `no_file` and `a_folder` are what they say.
  std::string put(const std::string& name, std::string_view content) const;
  /// As `put`, the first time.
  void keep(const std::string& name, std::string_view content) const;
  void remove(const std::string& name) const;

 private:
  std::string path_;
};

inline constexpr std::string_view no_file = "%no file%";
inline constexpr std::string_view a_folder = "%a folder%";

/// A reader under test, known by its name to the program that it is linked with.
struct Reader {
  std::string name;
  /// Inputs that are read without an error, the first of them at least.
  std::vector<std::string> (*seeds)(const Folder&);
  void (*read)(const Folder&, std::string_view input);

  Reader(std::string name, decltype(seeds) seeds, decltype(read) read);
};

/// An input of several files: its parts, `count` of them, between lines of "%%". Those that it does not have are empty.
std::vector<std::string_view> parts(std::string_view input, std::size_t count);
std::string joined(const std::vector<std::string>& parts);

std::string content_of(const std::string& path);

/// What must hold of a reader's work, whatever its input is; ends the program where it does not.
void require(bool holds, const std::string& what);

}  // namespace fuzz
