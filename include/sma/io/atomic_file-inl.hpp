#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <sma/base/config.hpp>
#include <sma/base/error.hpp>
#include <sma/base/text.hpp>
#include <sma/io/atomic_file.hpp>

namespace sma {

namespace detail {

[[noreturn]] SMA_IO_INLINE void throw_system_error(std::string_view path, const std::string& what, int code) {
  throw Error(one_line(path) + ": " + what + ": " + std::generic_category().message(code));
}

SMA_IO_INLINE void write_all(int file, const void* data, std::size_t size, std::string_view path) {
  constexpr std::size_t largest_call = std::size_t{1} << 30;
  const char* from = static_cast<const char*>(data);
  for (std::size_t done = 0; done < size;) {
    const ssize_t written = ::write(file, from + done, std::min(size - done, largest_call));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0)
      throw_system_error(
          path, "write failed after " + std::to_string(done) + " of " + std::to_string(size) + " bytes",
          written < 0 ? errno : ENOSPC);
    done += static_cast<std::size_t>(written);
  }
}

SMA_IO_INLINE void sync_file(int file, std::string_view path) {
  while (::fsync(file) != 0)
    if (errno != EINTR) throw_system_error(path, "fsync failed", errno);
}

SMA_IO_INLINE Descriptor::~Descriptor() {
  if (file_ >= 0) ::close(file_);
}

struct CloseDirectory {
  void operator()(DIR* stream) const { ::closedir(stream); }
};

/// The directory part, "." when there is none, and the rest.
inline std::pair<std::string, std::string> split_directory(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

inline void sync_directory_of(const std::string& path) {
  const std::string directory = split_directory(path).first;
  const Descriptor file(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.get() < 0)
    throw_system_error(path, "open of directory '" + one_line(directory) + "' failed", errno);
  while (::fsync(file.get()) != 0) {
    if (errno == EINVAL) return;  // a file system without directory sync
    if (errno != EINTR)
      throw_system_error(path, "fsync of directory '" + one_line(directory) + "' failed", errno);
  }
}

/// Whether `name` is `<base>.tmp.<digits>` or `<base>.tmp.<digits>.<digits>`.
inline bool is_temporary_of(std::string_view name, std::string_view base) {
  constexpr std::string_view mark = ".tmp.";
  if (!name.starts_with(base)) return false;
  name.remove_prefix(base.size());
  if (!name.starts_with(mark)) return false;
  name.remove_prefix(mark.size());
  const auto take_digits = [&name] {
    const std::size_t count = std::min(name.find_first_not_of("0123456789"), name.size());
    name.remove_prefix(count);
    return count > 0;
  };
  if (!take_digits()) return false;
  if (name.empty()) return true;
  if (name.front() != '.') return false;
  name.remove_prefix(1);
  return take_digits() && name.empty();
}

/// Deletes the temporary unless somebody holds its lock. Returns whether it is gone by this call.
inline bool remove_if_stale(const std::string& temporary) {
  const Descriptor file(::open(temporary.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (file.get() < 0) {
    if (errno == ENOENT || errno == ELOOP || errno == EISDIR || errno == ENXIO) return false;
    throw_system_error(temporary, "open of a stale temporary failed", errno);
  }
  struct stat opened {};
  struct stat named {};
  if (::fstat(file.get(), &opened) != 0 || !S_ISREG(opened.st_mode)) return false;
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return false;
  // Its writer may have committed, and another may have begun under the same name, before the lock was ours.
  if (::lstat(temporary.c_str(), &named) != 0) return false;
  if (named.st_dev != opened.st_dev || named.st_ino != opened.st_ino) return false;
  if (::unlink(temporary.c_str()) == 0) return true;
  throw_system_error(temporary, "unlink of a stale temporary failed", errno);
}

}  // namespace detail

SMA_IO_INLINE AtomicFile::~AtomicFile() { discard(); }

SMA_IO_INLINE AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  struct stat target {};
  if (::stat(path_.c_str(), &target) == 0 && !S_ISREG(target.st_mode))
    throw Error(one_line(path_) + ": found a directory or device, expected a regular file or none");
  try {
    open_temporary();
  } catch (...) {
    discard();
    throw;
  }
}

/// The lock tells `remove_stale_temporaries` that the writer lives; the number after the pid keeps apart two writers
/// with the same pid (threads, containers on one disk).
SMA_IO_INLINE void AtomicFile::open_temporary() {
  constexpr int attempts = 1000;
  const std::string stem = path_ + ".tmp." + std::to_string(::getpid());
  for (int attempt = 0; attempt < attempts; ++attempt) {
    temporary_ = attempt == 0 ? stem : stem + "." + std::to_string(attempt);
    do {
      file_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    } while (file_ < 0 && errno == EINTR);
    if (file_ < 0 && errno == EEXIST) continue;
    if (file_ < 0) detail::throw_system_error(path_, "open of '" + one_line(temporary_) + "' failed", errno);
    while (::flock(file_, LOCK_EX) != 0 && errno == EINTR) {
    }
    struct stat opened {};
    if (::fstat(file_, &opened) != 0) detail::throw_system_error(path_, "fstat failed", errno);
    if (opened.st_nlink > 0) return;
    ::close(std::exchange(file_, -1));  // taken for stale between open and lock
  }
  detail::throw_system_error(path_, "open of '" + one_line(stem) + "' failed", EEXIST);
}

SMA_IO_INLINE void AtomicFile::require_open(const char* action) const {
  if (file_ < 0)
    throw Error(one_line(path_) + ": " + action +
                " failed: found a file that is committed or has failed, expected an open one");
}

SMA_IO_INLINE void AtomicFile::write(const void* data, std::size_t size) {
  require_open("write");
  try {
    detail::write_all(file_, data, size, path_);
  } catch (...) {
    discard();
    throw;
  }
}

SMA_IO_INLINE void AtomicFile::commit() {
  require_open("commit");
  try {
    detail::sync_file(file_, path_);
    if (::rename(temporary_.c_str(), path_.c_str()) != 0)
      detail::throw_system_error(path_, "rename of '" + one_line(temporary_) + "' failed", errno);
  } catch (...) {
    discard();
    throw;
  }
  ::close(std::exchange(file_, -1));
  detail::sync_directory_of(path_);
}

SMA_IO_INLINE void AtomicFile::discard() noexcept {
  if (file_ < 0) return;
  ::unlink(temporary_.c_str());
  ::close(std::exchange(file_, -1));
}

SMA_IO_INLINE void write_file_atomically(const std::string& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content.data(), content.size());
  file.commit();
}

SMA_IO_INLINE std::size_t remove_stale_temporaries(const std::string& path) {
  const auto [directory, base] = detail::split_directory(path);
  const std::unique_ptr<DIR, detail::CloseDirectory> stream(::opendir(directory.c_str()));
  if (!stream) {
    if (errno == ENOENT) return 0;
    detail::throw_system_error(path, "open of directory '" + one_line(directory) + "' failed", errno);
  }
  std::vector<std::string> found;
  errno = 0;
  while (const dirent* const entry = ::readdir(stream.get())) {
    if (detail::is_temporary_of(entry->d_name, base)) found.push_back(directory + "/" + entry->d_name);
    errno = 0;
  }
  if (errno != 0)
    detail::throw_system_error(path, "read of directory '" + one_line(directory) + "' failed", errno);
  std::size_t removed = 0;
  for (const std::string& temporary : found)
    if (detail::remove_if_stale(temporary)) ++removed;
  return removed;
}

}  // namespace sma
