#pragma once

#include <cstdint>
#include <string>
#include <tasks/data/dataset.hpp>

namespace tasks {

/// MEGA's processed form of LRA's pictures: input/{train,valid,test}.src and label/{train,valid,test}.label.
/// Throws `Error` naming file and line, what was found and what was expected.
Splits<std::uint8_t> read_mega_pictures(const std::string& directory, int classes = 10);

}  // namespace tasks
