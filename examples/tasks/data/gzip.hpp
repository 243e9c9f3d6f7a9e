#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tasks {

/// The whole content of a file, unpacked when it is gzip. Throws `Error` naming the file and `expected`, what it should be, when it
/// cannot be read, or with the reason when unpacking fails.
std::vector<std::uint8_t> read_gzip(const std::string& path, const std::string& expected);

}  // namespace tasks
