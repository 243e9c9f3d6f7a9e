#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>  // mkdtemp

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <sma/base/error.hpp>
#include <string>
#include <system_error>
#include <vector>

/// Files of tests, and what is said of them.
namespace files {

/// A new directory that is gone at the end of the test.
class Directory {
 public:
  Directory() {
    path_ = (std::filesystem::temp_directory_path() / "seqboat_test.XXXXXX").string();
    REQUIRE(::mkdtemp(path_.data()) != nullptr);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }
  /// What is in it, sorted.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      found.push_back(entry.path().filename().string());
    std::sort(found.begin(), found.end());
    return found;
  }

 private:
  std::string path_;
};

inline std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline void put(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

/// The message of the error that `action` throws, "" when it throws none.
template <class Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const sma::Error& error) {
    return error.what();
  }
  return "";
}

/// Whether a message is one line that holds all of these; shows it when it is not.
inline bool says(const std::string& message, std::initializer_list<std::string> words) {
  bool all = message.find('\n') == std::string::npos;
  for (const std::string& word : words) all = all && message.find(word) != std::string::npos;
  if (!all) MESSAGE(message);
  return all;
}

}  // namespace files
