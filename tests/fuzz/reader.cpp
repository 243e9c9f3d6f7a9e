#include <fcntl.h>
#include <stdlib.h>  // mkdtemp
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <fuzz/program.hpp>
#include <fuzz/reader.hpp>
#include <iterator>
#include <sma/base/error.hpp>
#include <sma/base/text.hpp>

namespace fuzz {

namespace fs = std::filesystem;

namespace {
constexpr std::string_view separator = "\n%%\n";
}

std::vector<const Reader*>& readers() {
  static std::vector<const Reader*> all;
  return all;
}

Reader::Reader(std::string its_name, decltype(seeds) its_seeds, decltype(read) its_read)
    : name(std::move(its_name)), seeds(its_seeds), read(its_read) {
  readers().push_back(this);
}

void require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: %s\n", what.c_str());
  std::abort();
}

Folder::Folder() {
  const bool in_memory = std::getenv("TMPDIR") == nullptr && ::access("/dev/shm", W_OK) == 0;
  const fs::path root = in_memory ? fs::path("/dev/shm") : fs::temp_directory_path();
  path_ = (root / "seqboat_fuzz\nXXXXXX").string();
  require(::mkdtemp(path_.data()) != nullptr, "no folder could be made in " + root.string());
}

Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void Folder::remove(const std::string& name) const {
  std::error_code ignored;
  fs::remove_all(path(name), ignored);
}

std::string Folder::put(const std::string& name, std::string_view content) const {
  std::string at = path(name);
  if (content == no_file || content == a_folder) {
    remove(name);
    if (content == a_folder) fs::create_directories(at);
    return at;
  }
  const auto open = [&] { return ::open(at.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600); };
  int file = open();
  if (file < 0 && (errno == EISDIR || errno == ENOENT)) {
    remove(name);
    fs::create_directories(fs::path(at).parent_path());
    file = open();
  }
  const bool is_written =
      file >= 0 && ::write(file, content.data(), content.size()) == static_cast<ssize_t>(content.size());
  require(file >= 0 && ::close(file) == 0 && is_written, sma::one_line(at) + " could not be written");
  return at;
}

void Folder::keep(const std::string& name, std::string_view content) const {
  if (!fs::exists(path(name))) put(name, content);
}

std::vector<std::string_view> parts(std::string_view input, std::size_t count) {
  std::vector<std::string_view> all(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t end = i + 1 < count ? std::min(input.find(separator), input.size()) : input.size();
    all[i] = input.substr(0, end);
    input.remove_prefix(std::min(end + separator.size(), input.size()));
  }
  return all;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string all;
  for (std::size_t i = 0; i < parts.size(); ++i) all += (i > 0 ? std::string(separator) : "") + parts[i];
  return all;
}

std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

bool run(const Reader& reader, const Folder& folder, std::string_view input) {
  try {
    reader.read(folder, input);
    return true;
  } catch (const sma::Error& error) {
    const std::string_view message = error.what();
    require(!message.empty() && message == sma::one_line(message),
            reader.name + ": found the message '" + sma::one_line(message) + "', expected one line");
    require(
        message.find(sma::one_line(folder.path())) != std::string_view::npos,
        reader.name + ": found the message '" + std::string(message) + "', expected one that names the file");
    return false;
  }
}

}  // namespace fuzz
