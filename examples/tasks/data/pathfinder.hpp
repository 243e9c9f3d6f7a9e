#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <tasks/data/dataset.hpp>

namespace tasks {

/// Pathfinder as its owners publish it (Linsley et al., 2018; lra_release of github.com/google-research/long-range-arena): a directory
/// curv_contour_length_14, or the one it stands in, with PNG pictures of side x side pixels, imgs/K/sample_I.png, and text files
/// metadata/K.npy, one picture a line: folder, file, number, label, more. Label 1: the two dots are ends of one path. In the order of
/// the text files, of ten pictures the ninth validates and the tenth tests. Throws `Error` naming file and line, what was found and what
/// was expected.
Splits<std::uint8_t> read_pathfinder(const std::string& directory, std::size_t side);

}  // namespace tasks
