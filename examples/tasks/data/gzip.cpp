#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <sma/base/error.hpp>
#include <sma/base/text.hpp>
#include <string_view>
#include <system_error>
#include <tasks/data/gzip.hpp>
#include <tasks/data/text.hpp>

namespace tasks {

std::vector<std::uint8_t> read_gzip(const std::string& path, const std::string& expected) {
  open_file(path, expected);
  errno = 0;
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (!file)
    throw sma::Error(sma::one_line(path) + ": cannot be read (" + std::generic_category().message(errno) +
                     "), expected " + expected);
  std::vector<std::uint8_t> content;
  std::error_code ignored;
  const std::uintmax_t stored = std::filesystem::file_size(path, ignored);
  std::size_t size = 0;
  for (;;) {
    // Room for a file that is not packed, at once: none of it is copied.
    content.resize(std::max<std::size_t>(ignored ? 0 : stored, size + size / 2) + 4096);
    while (size < content.size()) {
      const std::size_t block = std::min<std::size_t>(content.size() - size, 1U << 20);
      const int got = gzread(file.get(), content.data() + size, static_cast<unsigned>(block));
      int code = 0;
      std::string_view reason = gzerror(file.get(), &code);
      if (reason.starts_with(path + ": ")) reason.remove_prefix(path.size() + 2);
      if (got < 0 || (code != Z_OK && code != Z_STREAM_END))
        throw sma::Error(
            sma::one_line(path) + ": unpacking failed after " + std::to_string(size) +
            " bytes: " + (code == Z_BUF_ERROR ? "the file is cut short" : sma::one_line(reason)));
      if (got == 0) {
        content.resize(size);
        return content;
      }
      size += static_cast<std::size_t>(got);
    }
  }
}

}  // namespace tasks
