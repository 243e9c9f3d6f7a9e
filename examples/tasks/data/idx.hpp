#pragma once

#include <cstdint>
#include <string>
#include <tasks/data/dataset.hpp>

namespace tasks {

/// MNIST-like data: {train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz]. The last 5,000 (at most a sixth) training images validate.
/// Throws `Error` naming the file, what was found and what was expected.
Splits<std::uint8_t> read_idx_pictures(const std::string& directory);

}  // namespace tasks
