#include <png.h>

#include <sma/base/error.hpp>
#include <sma/base/text.hpp>
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

}  // namespace tasks
