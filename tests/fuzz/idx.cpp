#include <zlib.h>

#include <fuzz/reader.hpp>
#include <tasks/data/idx.hpp>

namespace {

using namespace std::string_literals;

std::string gzip(const fuzz::Folder& folder, const std::string& content) {
  const std::string path = folder.path("packed");
  const gzFile out = gzopen(path.c_str(), "wb");
  gzwrite(out, content.data(), static_cast<unsigned>(content.size()));
  gzclose(out);
  return fuzz::content_of(path);
}

/// zlib reads what is not packed as it stands.
const fuzz::Reader idx{"idx",
                       [](const fuzz::Folder& folder) -> std::vector<std::string> {
                         const std::string pictures =
                             "\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x02"s + "abcdefgh";
                         const std::string labels = "\0\0\x08\x01\0\0\0\x02\x09\0"s;
                         return {fuzz::joined({pictures, labels, pictures}),
                                 fuzz::joined({gzip(folder, pictures), gzip(folder, labels), pictures}),
                                 fuzz::joined({gzip(folder, gzip(folder, pictures)), labels, pictures})};
                       },
                       [](const fuzz::Folder& folder, std::string_view input) {
                         const auto files = fuzz::parts(input, 3);
                         folder.put("train-images-idx3-ubyte.gz", files[0]);
                         folder.put("train-labels-idx1-ubyte.gz", files[1]);
                         folder.put("t10k-images-idx3-ubyte", files[2]);
                         folder.keep("t10k-labels-idx1-ubyte", "\0\0\x08\x01\0\0\0\x02\x01\x02"s);
                         tasks::read_idx_pictures(folder.path());
                       }};

}  // namespace
