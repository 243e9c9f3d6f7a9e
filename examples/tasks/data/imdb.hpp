#pragma once

#include <cstdint>
#include <string>
#include <tasks/data/dataset.hpp>

namespace tasks {

/// Reviews as their owners publish them (Maas et al., 2011; ai.stanford.edu/~amaas/data/sentiment, 84 MB): {train,test}/{pos,neg}/*.txt
/// of a directory, aclImdb. The first `longest` bytes of each; label 1 is positive. Every tenth training review of each label, by file
/// name, validates. Throws `Error` naming the file or directory, what was found and what was expected.
Splits<std::uint8_t> read_imdb(const std::string& directory, std::size_t longest = 4000);

}  // namespace tasks
