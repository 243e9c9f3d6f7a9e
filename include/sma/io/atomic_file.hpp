#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sma {

/// A file that appears whole or not at all: bytes go to `<path>.tmp.<pid>` beside the target, and `commit` renames it.
///
///     sma::AtomicFile file("model.safetensors");
///     file.write(bytes.data(), bytes.size());
///     file.commit();
///
/// Until `commit` has renamed, the target is untouched; without `commit`, or after a failure, the temporary is removed.
/// The target must be a regular file or not exist; a symbolic link is replaced, not followed.
/// Every member throws `Error`: path, what failed, the system's reason.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends `size` bytes, unbuffered. A failure removes the temporary; the file cannot be committed any more.
  void write(const void* data, std::size_t size);

  /// Syncs the bytes, renames the temporary to the target, syncs the directory: after it, the file survives a crash.
  void commit();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::string& temporary() const { return temporary_; }

 private:
  void open_temporary();
  void require_open(const char* action) const;
  void discard() noexcept;

  std::string path_;
  std::string temporary_;
  int file_ = -1;
};

/// Replaces the file at `path` by `content` through `AtomicFile`. Throws what it throws.
void write_file_atomically(const std::string& path, std::string_view content);

/// Deletes the temporaries of `path` (`<path>.tmp.<digits>`) that killed processes left behind, and returns how many.
/// Those that a living `AtomicFile` still writes are left alone. A directory that does not exist holds none.
/// Throws `Error` when the directory cannot be read or a file cannot be deleted.
std::size_t remove_stale_temporaries(const std::string& path);

namespace detail {

/// Throws `Error`: the path, `what` failed, the system's reason for `code`.
[[noreturn]] void throw_system_error(std::string_view path, const std::string& what, int code);

/// Writes all bytes to the descriptor; `path` names the file in errors.
void write_all(int file, const void* data, std::size_t size, std::string_view path);

/// After it, what was written to the descriptor survives a crash; `path` names the file in errors.
void sync_file(int file, std::string_view path);

/// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int file) : file_(file) {}
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return file_; }

 private:
  int file_;
};

}  // namespace detail

}  // namespace sma

#if !defined(SMA_IO_COMPILED)
#include <sma/io/atomic_file-inl.hpp>
#endif
