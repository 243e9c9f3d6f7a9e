#pragma once

#include <stdexcept>
#include <string>

namespace sma {

/// What every run-time failure of the library throws. `what()` is one line: where (file, line or tensor name),
/// what was found and what was expected. Programs print it and exit with a code that is not 0.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message) : std::runtime_error(message) {}
};

/// NaN or infinity where numbers should be: in a network's input, or the first module whose output holds it and the row. A stream that
/// has thrown it for a module throws it at each further step, until it is reset.
class NotFinite : public Error {
 public:
  using Error::Error;
};

}  // namespace sma
