#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <tasks/data/dataset.hpp>
#include <tasks/data/pathfinder_generator.hpp>

namespace tasks {

/// Pathfinder as its owners publish it (Linsley et al., 2018; lra_release of github.com/google-research/long-range-arena): a directory
/// curv_contour_length_14, or the one it stands in, with PNG pictures of side x side pixels, imgs/K/sample_I.png, and text files
/// metadata/K.npy, one picture a line: folder, file, number, label, more. Label 1: the two dots are ends of one path. In the order of
/// the text files, of ten pictures the ninth validates and the tenth tests. Throws `Error` naming file and line, what was found and what
/// was expected.
Splits<std::uint8_t> read_pathfinder(const std::string& directory, std::size_t side);

/// Writes curv_contour_length_14, or of another number of `dashes`, with pictures 0 to `count` - 1 of a seed into a directory, a thousand a
/// folder, as `read_pathfinder` reads them; metadata lines go on, as the owners', with continuity, dashes of a contour and of a distractor,
/// length and thickness of a dash, margin and the number of contrasts. All is written aside and renamed at the end. Throws `Error`
/// when it is there already, for a side other than 32 or 128, for a count of 0, and when a file cannot be written.
void write_pathfinder(const std::string& directory, std::size_t side, std::uint64_t seed, std::uint64_t count,
                      int dashes = benchmark_dashes);

}  // namespace tasks
