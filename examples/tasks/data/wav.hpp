#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tasks {

/// Reads the samples of a WAV file of one channel of 16 bit, by libsndfile. Throws `Error` naming the file when it is no such file, is cut
/// short or says sizes of itself that it does not have; `expected`: what it should be.
std::vector<std::int16_t> read_wav(const std::string& path, int rate, const std::string& expected);

}  // namespace tasks
