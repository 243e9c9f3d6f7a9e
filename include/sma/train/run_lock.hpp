#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <ctime>
#include <sma/base/config.hpp>
#include <sma/base/error.hpp>
#include <sma/base/text.hpp>
#include <sma/io/atomic_file.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace sma::detail {

/// Whether `path` still names the open file.
inline bool names_file(const std::string& path, int file) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(file, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 && named.st_dev == opened.st_dev &&
         named.st_ino == opened.st_ino;
}

/// Locks an open file for its life, unless somebody has. Returns whether it did; a file system without locks says yes.
inline bool lock_file(int file) {
  while (::flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) return true;
  }
  return true;
}

/// One run a directory: while held, `DIRECTORY/run.lock` is locked and says whose it is. The system frees it when the process
/// dies, however it dies; the file that is left then stops nobody.
class RunLock {
 public:
  RunLock() = default;
  ~RunLock() { release(); }
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  [[nodiscard]] bool held() const { return file_ >= 0; }

  /// Throws `Error` when another run has the directory, or when the file cannot be written.
  void take(const std::string& directory);

  /// Takes it again when the directory has been moved or replaced under the run. Throws what `take` throws.
  void ensure(const std::string& directory) {
    if (held() && names_file(path_, file_)) return;
    release();
    take(directory);
  }

  /// Removes the file.
  void release() noexcept {
    if (file_ < 0) return;
    if (names_file(path_, file_)) ::unlink(path_.c_str());
    ::close(std::exchange(file_, -1));
  }

 private:
  static std::string owner() {
    std::array<char, 256> host{};
    if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '?';
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    ::gmtime_r(&now, &utc);
    std::array<char, 64> since{};
    std::strftime(since.data(), since.size(), "%Y-%m-%d %H:%M:%S UTC", &utc);
    return "process " + std::to_string(::getpid()) + " on " + host.data() + " since " + since.data();
  }

  std::string path_;
  int file_ = -1;
};

[[gnu::cold]] inline void RunLock::take(const std::string& directory) {
  path_ = directory + "/run.lock";
  for (;;) {
    const int file = ::open(path_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (file < 0) {
      if (errno == EINTR) continue;
      throw_system_error(path_, "cannot write into the directory of checkpoints", errno);
    }
    if (!lock_file(file)) {
      std::array<char, 300> text{};
      const ssize_t size = ::pread(file, text.data(), text.size(), 0);
      ::close(file);
      const std::string_view whose(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
      throw Error(one_line(directory) + ": found a run that goes on (" +
                  (whose.empty() ? "of a process unknown" : one_line(whose)) +
                  "), expected a directory without one");
    }
    // Its owner may have removed the file between open and lock.
    if (!names_file(path_, file)) {
      ::close(file);
      continue;
    }
    file_ = file;
    break;
  }
  try {
    const std::string text = owner();
    if (::ftruncate(file_, 0) != 0) throw_system_error(path_, "truncation failed", errno);
    write_all(file_, text.data(), text.size(), path_);
  } catch (...) {
    release();
    throw;
  }
}

}  // namespace sma::detail
