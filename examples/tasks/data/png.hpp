#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tasks {

/// A picture of grey values, row by row.
struct GreyPicture {
  std::size_t width = 0, height = 0;
  std::vector<std::uint8_t> pixels;
};

/// Reads a PNG file, by libpng; colours become grey. Throws `Error` naming the file when it cannot be read, or is no PNG of at most
/// 2^24 pixels.
GreyPicture read_png(const std::string& path);

/// The bytes of a PNG file of the picture, by libpng. Throws `Error` when the picture has no pixels, or not width * height of them.
std::string png_text(const GreyPicture& picture);

/// Writes it, aside first: the file appears whole or not at all. Throws `Error` naming the file.
void write_png(const std::string& path, const GreyPicture& picture);

}  // namespace tasks
