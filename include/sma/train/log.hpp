#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <sma/base/config.hpp>
#include <sma/base/error.hpp>
#include <sma/base/text.hpp>
#include <sma/io/atomic_file.hpp>
#include <sma/io/json.hpp>
#include <sma/train/run_lock.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace sma::detail {

/// One line of a log: members in order, the same in every locale.
///
///     JsonLine("eval").add("step", 20).add("loss", 0.5).text()     {"kind":"eval","step":20,"loss":0.5}
class JsonLine {
 public:
  explicit JsonLine(const char* kind) : text_("{\"kind\":" + json_string(kind)) {}
  JsonLine& add(const char* name, std::int64_t value) { return member(name, std::to_string(value)); }
  /// null when `value` is not finite.
  JsonLine& add(const char* name, double value) { return member(name, json_number(value)); }
  /// Text that is not UTF-8 is written with \\xNN for its bytes.
  JsonLine& add(const char* name, std::string_view value) {
    return member(name, json_string(is_utf8(value) ? std::string(value) : ascii_text(value)));
  }
  JsonLine& add(const char* name, const std::vector<double>& values) {
    std::string list = "[";
    for (const double value : values) list += (list.size() > 1 ? "," : "") + json_number(value, 5);
    return member(name, list + "]");
  }
  [[nodiscard]] std::string text() const { return text_ + "}\n"; }

 private:
  [[gnu::cold]] JsonLine& member(const char* name, const std::string& value) {
    text_ += ",\"" + std::string(name) + "\":" + value;
    return *this;
  }
  std::string text_;
};

/// The step that a line of a log begins with and whether a resumed run keeps the line when its checkpoint is of that step: those of
/// training and of validation stand before the checkpoint, all others after it. Nothing for a line that is not whole.
struct LogLine {
  std::int64_t step;
  bool before_checkpoint;
};
inline std::optional<LogLine> log_line(std::string_view line) {
  const auto members = json_members(line);
  if (!members) return {};
  const auto member = [&members](std::string_view name) {
    const auto found = members->find(name);
    return found == members->end() ? std::string() : found->second;
  };
  const bool trains = member("kind") == "train";
  if (!trains && member("kind") != "eval") return {};
  const std::string step = member("step");
  LogLine out{0, trains || member("split") == "validation"};
  const auto [end, code] = std::from_chars(step.data(), step.data() + step.size(), out.step);
  if (code != std::errc{} || end != step.data() + step.size()) return {};
  return out;
}

/// A file of JSON lines that one trainer at a time writes, a whole line a call. Every member throws `Error`: the path, what was
/// found or what failed.
class LogFile {
 public:
  enum class Start {
    fresh,    // the file must be empty, or not there
    replace,  // what is there goes
    go_on,    // lines after a step go, half lines too
    append
  };

  LogFile() = default;
  ~LogFile() { close(); }
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  [[nodiscard]] bool is_open() const { return file_ >= 0; }

  void open(const std::string& path, Start start, std::int64_t step = 0);

  [[gnu::cold]] void write(const JsonLine& line) {
    const std::string text = line.text();
    write_all(file_, text.data(), text.size(), path_);
  }
  /// After it, the lines survive a crash.
  void sync() {
    if (is_regular_) sync_file(file_, path_);
  }
  void close() noexcept {
    if (file_ >= 0) ::close(std::exchange(file_, -1));
  }

 private:
  [[nodiscard]] std::int64_t end_of_step(std::int64_t step) const;

  std::string path_;
  int file_ = -1;
  bool is_regular_ = false;
};

[[gnu::cold]] inline void LogFile::open(const std::string& path, Start start, std::int64_t step) {
  close();
  path_ = path;
  const auto parent = std::filesystem::path(path).parent_path();
  std::error_code ignored;
  if (!parent.empty()) std::filesystem::create_directories(parent, ignored);
  do {
    file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  } while (file_ < 0 && errno == EINTR);
  if (file_ < 0) throw_system_error(path, "cannot open the log", errno);
  struct stat status {};
  is_regular_ = ::fstat(file_, &status) == 0 && S_ISREG(status.st_mode);
  if (!is_regular_) return;
  try {
    if (!lock_file(file_))
      throw Error(one_line(path) +
                  ": found a log that another run is writing, expected one of this run's own");
    if (start == Start::append) return;
    if (::fstat(file_, &status) != 0) throw_system_error(path, "fstat failed", errno);
    if (start == Start::fresh && status.st_size > 0)
      throw Error(one_line(path) + ": found the log of another run (" + std::to_string(status.st_size) +
                  " bytes), expected none: resume that run, choose another file, or overwrite it "
                  "(TrainerOptions::overwrite, --overwrite)");
    const std::int64_t kept = start == Start::go_on ? end_of_step(step) : 0;
    // What goes is a tail, so that one truncation is all of it, whenever the process dies.
    if (kept < status.st_size && ::ftruncate(file_, kept) != 0)
      throw_system_error(path, "cannot cut the log's last lines", errno);
  } catch (...) {
    close();
    throw;
  }
}

/// Bytes of the lines up to `step`.
[[gnu::cold]] inline std::int64_t LogFile::end_of_step(std::int64_t step) const {
  const Descriptor from(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (from.get() < 0) throw_system_error(path_, "cannot read the log", errno);
  std::array<char, 1 << 16> block{};
  std::string line;
  std::int64_t at = 0;
  std::int64_t kept = 0;
  for (;;) {
    const ssize_t size = ::read(from.get(), block.data(), block.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) throw_system_error(path_, "cannot read the log", errno);
    if (size == 0) return kept;
    for (ssize_t i = 0; i < size; ++i) {
      ++at;
      const char c = block[static_cast<std::size_t>(i)];
      if (c != '\n') {
        line += c;
        continue;
      }
      const auto found = log_line(line);
      line.clear();
      if (!found) continue;
      if (found->step > step) return kept;
      if (found->before_checkpoint) kept = at;
    }
  }
}

}  // namespace sma::detail
