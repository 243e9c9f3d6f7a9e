#include <zlib.h>

#include <cstdint>
#include <fuzz/reader.hpp>
#include <tasks/data/png.hpp>

namespace {

std::size_t number_at(std::string_view bytes, std::size_t at) {
  std::size_t number = 0;
  for (std::size_t i = 0; i < 4; ++i) number = number << 8 | static_cast<unsigned char>(bytes[at + i]);
  return number;
}

/// With the checksums that its chunks should have.
std::string mended(std::string_view input) {
  std::string bytes(input);
  for (std::size_t at = 8; at + 12 <= bytes.size();) {
    const std::size_t size = number_at(bytes, at);
    if (size > bytes.size() - at - 12) break;
    const uLong sum =
        crc32(0, reinterpret_cast<const Bytef*>(bytes.data() + at + 4), static_cast<uInt>(size + 4));
    for (std::size_t i = 0; i < 4; ++i) bytes[at + 8 + size + i] = static_cast<char>(sum >> (24 - 8 * i));
    at += 12 + size;
  }
  return bytes;
}

/// Without the checksum.
std::string chunk(const std::string& kind, const std::string& body) {
  std::string size;
  for (int shift = 24; shift >= 0; shift -= 8) size += static_cast<char>(body.size() >> shift);
  return size + kind + body + std::string(4, '\0');
}

/// A picture of 4 x 4 pixels: bits a channel, kind of colour (3: by a palette; 6: red, green, blue, opacity) and interlaced or not.
std::string picture(char depth, char colour, char interlaced, const std::string& chunks, std::size_t row) {
  using namespace std::string_literals;
  const std::string bytes((1 + row) * 4, '\0');
  std::string packed(compressBound(bytes.size()), '\0');
  uLongf size = packed.size();
  compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()),
           bytes.size());
  const std::string header = "\0\0\0\4\0\0\0\4"s + depth + colour + '\0' + '\0' + interlaced;
  return mended("\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + chunks + chunk("IDAT", packed.substr(0, size)) +
                chunk("IEND", ""));
}

const fuzz::Reader png{"png",
                       [](const fuzz::Folder&) -> std::vector<std::string> {
                         using namespace std::string_literals;
                         return {tasks::png_text({4, 4, std::vector<std::uint8_t>(16, 7)}),
                                 tasks::png_text({2, 3, {0, 50, 100, 150, 200, 250}}),
                                 picture(4, 3, 0, chunk("PLTE", "abcdef") + chunk("tRNS", "\x80"), 2),
                                 picture(16, 6, 0, chunk("gAMA", "\0\0\xb1\x8f"s), 32),
                                 picture(8, 2, 1, chunk("bKGD", "\0\1\0\2\0\3"s), 16),
                                 picture(1, 0, 0, chunk("tRNS", "\0\0"s), 1)};
                       },
                       [](const fuzz::Folder& folder, std::string_view input) {
                         const tasks::GreyPicture found =
                             tasks::read_png(folder.put("picture.png", mended(input)));
                         fuzz::require(found.pixels.size() == found.width * found.height,
                                       "found a picture whose pixels are not its width times its height");
                       }};

}  // namespace
