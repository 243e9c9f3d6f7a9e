#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <sma/base/config.hpp>
#include <string>

namespace sma::detail {

/// What a run says on stderr. On a terminal the progress line overwrites itself; elsewhere it is a line every ten seconds, so that
/// files hold no carriage returns. Whoever writes next finds the cursor at the beginning of a line once `end` has been called.
class Progress {
 public:
  explicit Progress(bool quiet) : quiet_(quiet), terminal_(::isatty(STDERR_FILENO) == 1) {}
  ~Progress() { end(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// A line that the next one replaces; nothing when quiet. `last` ones are never left out.
  [[gnu::cold]] void show(const std::string& text, bool last) {
    if (quiet_) return;
    if (terminal_) {
      // Spaces cover what is left of a longer line.
      const std::size_t width = std::max(width_, text.size());
      std::fprintf(stderr, "\r%-*s", static_cast<int>(width), text.c_str());
      std::fflush(stderr);
      width_ = text.size();
      return;
    }
    const auto now = std::chrono::steady_clock::now();
    if (!last && shown_ && now - when_ < std::chrono::seconds(10)) return;
    shown_ = true;
    when_ = now;
    std::fprintf(stderr, "%s\n", text.c_str());
  }

  /// A line that stays; nothing when quiet.
  [[gnu::cold]] void say(const std::string& text) {
    if (!quiet_) tell(text);
  }

  /// A line that stays, also when quiet.
  [[gnu::cold]] void tell(const std::string& text) {
    end();
    std::fprintf(stderr, "%s\n", text.c_str());
  }

  /// Ends a line that is under way.
  [[gnu::cold]] void end() {
    if (width_ == 0) return;
    std::fputc('\n', stderr);
    width_ = 0;
  }

 private:
  bool quiet_;
  bool terminal_;
  bool shown_ = false;
  std::size_t width_ = 0;  // of the line under way
  std::chrono::steady_clock::time_point when_;
};

}  // namespace sma::detail
