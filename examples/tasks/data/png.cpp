#include <png.h>

#include <sma/base/error.hpp>
#include <sma/base/text.hpp>
#include <sma/io/atomic_file.hpp>
#include <tasks/data/png.hpp>

namespace tasks {

GreyPicture read_png(const std::string& path) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  const auto check = [&](bool fine) {
    if (fine) return;
    const std::string message = image.message;
    png_image_free(&image);
    throw sma::Error(sma::one_line(path) + ": found no picture (" + sma::one_line(message) +
                     "), expected a PNG file");
  };
  check(png_image_begin_read_from_file(&image, path.c_str()) != 0);
  GreyPicture out{image.width, image.height, {}};
  if (out.width * out.height > (1U << 24)) {
    png_image_free(&image);
    throw sma::Error(sma::one_line(path) + ": found " + std::to_string(out.width) + " x " +
                     std::to_string(out.height) + " pixels, expected at most 2^24");
  }
  image.format = PNG_FORMAT_GRAY;
  out.pixels.resize(PNG_IMAGE_SIZE(image));
  const png_color black{0, 0, 0};  // behind what is transparent
  check(png_image_finish_read(&image, &black, out.pixels.data(), 0, nullptr) != 0);
  return out;
}

std::string png_text(const GreyPicture& picture) {
  if (picture.pixels.empty() || picture.pixels.size() != picture.width * picture.height)
    throw sma::Error("PNG writer: found " + std::to_string(picture.pixels.size()) + " pixels, expected " +
                     std::to_string(picture.width) + " x " + std::to_string(picture.height));
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(picture.width);
  image.height = static_cast<png_uint_32>(picture.height);
  image.format = PNG_FORMAT_GRAY;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string text(size, '\0');
  if (png_image_write_to_memory(&image, text.data(), &size, 0, picture.pixels.data(), 0, nullptr) == 0)
    throw sma::Error("PNG writer: " + sma::one_line(image.message));
  text.resize(size);
  return text;
}

void write_png(const std::string& path, const GreyPicture& picture) {
  sma::write_file_atomically(path, png_text(picture));
}

}  // namespace tasks
