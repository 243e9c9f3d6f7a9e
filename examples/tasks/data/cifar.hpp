#pragma once

#include <cstdint>
#include <string>
#include <tasks/data/dataset.hpp>

namespace tasks {

/// CIFAR-10 binary batches (data_batch_1..5.bin, test_batch.bin) as grey pictures of 1,024 pixels; the last 5,000 (at most a
/// tenth) training pictures validate. Throws `Error` naming the file, what was found and what was expected.
Splits<std::uint8_t> read_cifar(const std::string& directory);

}  // namespace tasks
