#pragma once

#include <cstdio>
#include <cstdlib>

/// Prints what a program claims, and ends it with exit code 1 where that is not so.
inline void claim(const char* what, bool holds) {
  std::printf("%s %s\n", holds ? "yes:" : "NO: ", what);
  if (!holds) std::exit(1);
}
