#include <algorithm>
#include <filesystem>
#include <sma/base/text.hpp>
#include <tasks/data/gzip.hpp>
#include <tasks/data/idx.hpp>
#include <tasks/data/text.hpp>
#include <vector>

namespace tasks {

namespace {

struct Idx {
  std::vector<std::uint32_t> extents;
  std::vector<std::uint8_t> values;
};

/// Reads an IDX file of unsigned bytes with `rank` dimensions.
Idx read_idx(const std::string& path, std::size_t rank) {
  const std::vector<std::uint8_t> content = read_gzip(path, "an IDX file");
  const auto fail = [&](const std::string& found, const std::string& expected) {
    const std::size_t size = std::min<std::size_t>(content.size(), 64);
    std::string start(size, '\0');
    std::copy_n(content.begin(), size, start.begin());
    std::string mistake = content.size() > 1 && content[0] == 0 ? "" : likely_mistake(start);
    if (start.starts_with("\x1f\x8b")) mistake = " (is the file compressed twice?)";
    if (content.size() > 4 && content[0] == rank && content[1] == 8 && content[2] == 0 && content[3] == 0)
      mistake = " (are the bytes in reverse order?)";
    throw sma::Error(sma::one_line(path) + ": found " + found + ", expected " + expected + mistake);
  };
  const std::size_t header = 4 + 4 * rank;
  if (content.size() < header)
    fail(std::to_string(content.size()) + " bytes", "an IDX header of " + std::to_string(header));
  if (content[0] != 0 || content[1] != 0 || content[2] != 8 || content[3] != rank)
    fail("magic " + std::to_string(content[0]) + "," + std::to_string(content[1]) + "," +
             std::to_string(content[2]) + "," + std::to_string(content[3]),
         "0,0,8," + std::to_string(rank) + " (unsigned bytes, " + std::to_string(rank) + " dimensions)");
  Idx out;
  std::uint64_t size = 1;
  for (std::size_t d = 0; d < rank; ++d) {
    std::uint32_t extent = 0;
    for (std::size_t b = 0; b < 4; ++b) extent = (extent << 8) | content[4 + 4 * d + b];
    if (extent == 0) fail("extent 0 in dimension " + std::to_string(d), "at least 1");
    out.extents.push_back(extent);
    size = size > (std::uint64_t{1} << 40) / extent ? std::uint64_t{1} << 41 : size * extent;
  }
  if (content.size() - header != size)
    fail(std::to_string(content.size() - header) + " bytes of data", std::to_string(size));
  out.values.assign(content.begin() + static_cast<std::ptrdiff_t>(header), content.end());
  return out;
}

std::string find_idx(const std::filesystem::path& root, const std::string& name) {
  for (const std::string& candidate : {name, name + ".gz"})
    if (std::filesystem::exists(root / candidate)) return (root / candidate).string();
  throw sma::Error(sma::one_line((root / name).string()) +
                   "[.gz]: not found, expected IDX files (train-images-idx3-ubyte and so on), CIFAR-10 "
                   "batches or MEGA's text form");
}

/// Images [first, last) of an IDX pair as sequences of pixels.
void append_idx(const Idx& images, const Idx& labels, std::size_t first, std::size_t last,
                SequenceDataset<std::uint8_t>& out) {
  const std::size_t pixels = static_cast<std::size_t>(images.extents[1]) * images.extents[2];
  out.reserve(last - first, (last - first) * pixels);
  for (std::size_t i = first; i < last; ++i)
    out.append(std::span<const std::uint8_t>(images.values).subspan(i * pixels, pixels), labels.values[i]);
}

std::string idx_size(const Idx& images) {
  return std::to_string(images.extents[1]) + " x " + std::to_string(images.extents[2]);
}

struct IdxPair {
  std::string image_path;
  Idx images;
  Idx labels;
};
IdxPair read_idx_pair(const std::string& directory, const std::string& prefix) {
  const std::string image_path = find_idx(directory, prefix + "-images-idx3-ubyte");
  const std::string label_path = find_idx(directory, prefix + "-labels-idx1-ubyte");
  IdxPair pair{image_path, read_idx(image_path, 3), read_idx(label_path, 1)};
  if (pair.images.extents[0] != pair.labels.extents[0])
    throw sma::Error(sma::one_line(label_path) + ": found " + std::to_string(pair.labels.extents[0]) +
                     " labels, expected " + std::to_string(pair.images.extents[0]) +
                     ", one for each image of " + sma::one_line(image_path));
  for (std::size_t i = 0; i < pair.labels.values.size(); ++i)
    if (pair.labels.values[i] > 9)
      throw sma::Error(sma::one_line(label_path) + ": label " + std::to_string(i) + ": found " +
                       std::to_string(pair.labels.values[i]) + ", expected 0 to 9");
  return pair;
}

}  // namespace

Splits<std::uint8_t> read_idx_pictures(const std::string& directory) {
  Splits<std::uint8_t> out;
  const auto train = read_idx_pair(directory, "train");
  const auto test = read_idx_pair(directory, "t10k");
  if (idx_size(train.images) != idx_size(test.images))
    throw sma::Error(sma::one_line(test.image_path) + ": found images of " + idx_size(test.images) +
                     ", expected " + idx_size(train.images) + " as in " + sma::one_line(train.image_path));
  const std::size_t count = train.images.extents[0];
  const std::size_t kept = count - std::min<std::size_t>(5000, count / 6);
  append_idx(train.images, train.labels, 0, kept, out.train);
  append_idx(train.images, train.labels, kept, count, out.validation);
  append_idx(test.images, test.labels, 0, test.images.extents[0], out.test);
  return out;
}

}  // namespace tasks
