#pragma once

#include <cstdint>
#include <string>
#include <tasks/data/dataset.hpp>

namespace tasks {

/// Pairs of papers of the ACL Anthology Network as the Long Range Arena publishes them (github.com/google-research/long-range-arena,
/// lra_release, `tsv_data`): new_aan_pairs.{train,eval,test}.tsv of a directory, one pair a line: label (0 or 1: does one cite the other),
/// two names, two texts. Sequences 2i and 2i + 1 are a pair, the first `longest` bytes of each text, both with the pair's label. Throws
/// `Error` with file and line, what was found and what was expected.
Splits<std::uint8_t> read_aan(const std::string& directory, std::size_t longest = 4000);

}  // namespace tasks
