#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <sma/base/error.hpp>
#include <sma/io/atomic_file.hpp>
#include <support/files.hpp>

namespace {

/// The calls by which a file comes to its place, in order, while somebody listens.
std::vector<std::string>* heard = nullptr;

bool is_directory(int file) {
  struct stat status {};
  return ::fstat(file, &status) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace

/// Stand before the C library's: the same system calls, noted.
extern "C" ssize_t write(int file, const void* data, size_t size) {
  if (heard != nullptr) heard->emplace_back("write");
  return ::syscall(SYS_write, file, data, size);
}
extern "C" int fsync(int file) {
  if (heard != nullptr) heard->emplace_back(is_directory(file) ? "fsync directory" : "fsync file");
  return static_cast<int>(::syscall(SYS_fsync, file));
}
extern "C" int rename(const char* from, const char* to) noexcept {
  if (heard != nullptr) heard->emplace_back("rename");
  return static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

namespace {

using files::content_of;
using files::Directory;
using files::message_of;
using files::put;
namespace fs = std::filesystem;

/// Files cannot grow beyond `bytes`: writes first come back short, then fail.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    ::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit old_{};
  sighandler_t handler_;
};

bool has(const std::string& text, const std::string& part) {
  INFO(text);
  const bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found && text.find('\n') == std::string::npos;
}

}  // namespace

TEST_CASE("a committed file holds what was written, and no temporary stays") {
  const Directory directory;
  const std::string path = directory.file("a.bin");
  {
    sma::AtomicFile file(path);
    CHECK(file.temporary() == path + ".tmp." + std::to_string(::getpid()));
    file.write("one ", 4);
    file.write(nullptr, 0);
    file.write("two", 3);
    CHECK(!fs::exists(path));
    file.commit();
  }
  CHECK(content_of(path) == "one two");
  sma::write_file_atomically(path, "three");
  CHECK(content_of(path) == "three");
  sma::write_file_atomically(path, "");
  CHECK(content_of(path).empty());
  CHECK(directory.names() == std::vector<std::string>{"a.bin"});
}

TEST_CASE("a commit syncs the bytes, renames, and syncs the directory, in this order") {
  const Directory directory;
  const std::string path = directory.file("a.bin");
  std::vector<std::string> calls;
  sma::AtomicFile file(path);
  heard = &calls;
  file.write("one", 3);
  file.write("two", 3);
  file.commit();
  heard = nullptr;
  CHECK(calls == std::vector<std::string>{"write", "write", "fsync file", "rename", "fsync directory"});
  calls.clear();
  heard = &calls;
  sma::write_file_atomically(path, "three");
  heard = nullptr;
  CHECK(calls == std::vector<std::string>{"write", "fsync file", "rename", "fsync directory"});
  CHECK(content_of(path) == "three");
}

TEST_CASE("a file without a directory in its path is written into the current directory") {
  const Directory directory;
  const fs::path before = fs::current_path();
  fs::current_path(directory.file("."));
  sma::write_file_atomically("plain", "text");
  put("plain.tmp.1", "");
  CHECK(sma::remove_stale_temporaries("plain") == 1);
  fs::current_path(before);
  CHECK(directory.names() == std::vector<std::string>{"plain"});
}

TEST_CASE("a file that is not committed leaves the old target and no temporary") {
  const Directory directory;
  const std::string path = directory.file("a.bin");
  put(path, "old");
  {
    sma::AtomicFile file(path);
    file.write("new", 3);
    CHECK(directory.names().size() == 2);
  }
  CHECK(content_of(path) == "old");
  CHECK(directory.names() == std::vector<std::string>{"a.bin"});
}

TEST_CASE("a full disk is an error that names the file, the bytes and the reason") {
  const sma::detail::Descriptor full(::open("/dev/full", O_WRONLY));
  if (full.get() < 0) return;
  const std::string message =
      message_of([&] { sma::detail::write_all(full.get(), "0123456789", 10, "model.bin"); });
  CHECK(message == "model.bin: write failed after 0 of 10 bytes: No space left on device");
}

TEST_CASE("a write that comes back short and then fails leaves the old target and no temporary") {
  const Directory directory;
  const std::string path = directory.file("a.bin");
  put(path, "old");
  const std::string content(10000, 'x');
  sma::AtomicFile file(path);
  std::string message;
  {
    const FileSizeLimit limit(4096);
    message = message_of([&] { file.write(content.data(), content.size()); });
  }
  CHECK(has(message, path + ": write failed after 4096 of 10000 bytes: "));
  CHECK(directory.names() == std::vector<std::string>{"a.bin"});
  CHECK(has(message_of([&] { file.commit(); }),
            path + ": commit failed: found a file that is committed or has failed"));
  CHECK(content_of(path) == "old");
}

TEST_CASE("writing or committing after the commit is an error") {
  const Directory directory;
  const std::string path = directory.file("a.bin");
  sma::AtomicFile file(path);
  file.commit();
  CHECK(has(message_of([&] { file.write("x", 1); }), "write failed: found a file that is committed"));
  CHECK(has(message_of([&] { file.commit(); }), "commit failed: found a file that is committed"));
  CHECK(fs::exists(path));
}

TEST_CASE("an open that fails names the file and the reason") {
  const Directory directory;
  const std::string path = directory.file("absent/a.bin");
  const std::string message = message_of([&] { const sma::AtomicFile file(path); });
  CHECK(has(message, path + ": open of '" + path + ".tmp."));
  CHECK(has(message, "failed: No such file or directory"));
}

TEST_CASE("a target that is a directory or a device is refused") {
  const Directory directory;
  CHECK(has(message_of([&] { const sma::AtomicFile file(directory.file(".")); }),
            "expected a regular file or none"));
  CHECK(has(message_of([&] { const sma::AtomicFile file("/dev/null"); }),
            "/dev/null: found a directory or device, expected a regular file or none"));
}

TEST_CASE("a rename that fails is an error and leaves no temporary") {
  const Directory directory;
  const std::string path = directory.file("a.bin");
  sma::AtomicFile file(path);
  file.write("x", 1);
  fs::create_directory(path);
  const std::string message = message_of([&] { file.commit(); });
  CHECK(has(message, path + ": rename of '" + file.temporary() + "' failed: Is a directory"));
  CHECK(directory.names() == std::vector<std::string>{"a.bin"});
}

TEST_CASE("an fsync that fails is an error") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const sma::detail::Descriptor reader(ends[0]);
  const sma::detail::Descriptor writer(ends[1]);
  CHECK(message_of([&] { sma::detail::sync_file(writer.get(), "a\nb"); }) ==
        "a\\x0ab: fsync failed: Invalid argument");
}

TEST_CASE("two writers of one target do not mix, and the last commit wins") {
  const Directory directory;
  const std::string path = directory.file("a.bin");
  sma::AtomicFile first(path);
  sma::AtomicFile second(path);
  CHECK(first.temporary() != second.temporary());
  first.write("first", 5);
  second.write("second", 6);
  second.commit();
  CHECK(content_of(path) == "second");
  first.commit();
  CHECK(content_of(path) == "first");
  CHECK(directory.names() == std::vector<std::string>{"a.bin"});
}

TEST_CASE("stale temporaries are removed, other files and living writers are not") {
  const Directory directory;
  const std::string path = directory.file("a.bin");
  const std::vector<std::string> others = {"a.bin.tmp.", "a.bin.tmp.12x", "a.bin.tmp.1.2.3", "a.bin.tmp.old",
                                           "a.bin.tmp1", "aa.bin.tmp.1",  "b.bin.tmp.1"};
  for (const std::string& name : others) put(directory.file(name), "keep");
  fs::create_directory(directory.file("a.bin.tmp.77"));
  fs::create_symlink("b.bin.tmp.1", directory.file("a.bin.tmp.78"));
  for (const char* name : {"a.bin.tmp.1", "a.bin.tmp.99999999", "a.bin.tmp.12.3"})
    put(directory.file(name), "stale");
  {
    sma::AtomicFile living(path);
    CHECK(sma::remove_stale_temporaries(path) == 3);
    CHECK(sma::remove_stale_temporaries(path) == 0);
    living.write("x", 1);
    living.commit();
  }
  std::vector<std::string> expected = others;
  expected.insert(expected.end(), {"a.bin", "a.bin.tmp.77", "a.bin.tmp.78"});
  std::sort(expected.begin(), expected.end());
  CHECK(directory.names() == expected);
  CHECK(sma::remove_stale_temporaries(directory.file("absent/a.bin")) == 0);
}

TEST_CASE("a killed process leaves a temporary that is removed, and the old target") {
  const Directory directory;
  const std::string path = directory.file("a.bin");
  put(path, "old");
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    sma::AtomicFile file(path);
    file.write("half", 4);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(directory.names() == std::vector<std::string>{"a.bin", "a.bin.tmp." + std::to_string(child)});
  CHECK(sma::remove_stale_temporaries(path) == 1);
  CHECK(content_of(path) == "old");
  CHECK(directory.names() == std::vector<std::string>{"a.bin"});
}

TEST_CASE("a concurrent removal of stale temporaries takes none from a living writer") {
  const Directory directory;
  const std::string path = directory.file("a.bin");
  std::atomic<bool> is_done = false;
  std::string failure;
  std::thread writer([&] {
    for (int i = 0; i < 5000 && failure.empty(); ++i) {
      failure = message_of([&] {
        sma::AtomicFile file(path);
        file.write("content", 7);
        if (!fs::exists(file.temporary())) throw sma::Error("the temporary is gone");
        if (i % 100 == 0) file.commit();
      });
    }
    is_done = true;
  });
  std::size_t removed = 0;
  while (!is_done) removed += sma::remove_stale_temporaries(path);
  writer.join();
  INFO("taken between open and lock: ", removed);
  CHECK(failure == "");
  CHECK(content_of(path) == "content");
  CHECK(directory.names() == std::vector<std::string>{"a.bin"});
}
