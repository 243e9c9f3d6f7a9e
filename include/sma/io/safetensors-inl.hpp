#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sma/base/config.hpp>
#include <sma/base/error.hpp>
#include <sma/base/text.hpp>
#include <sma/io/atomic_file.hpp>
#include <sma/io/json.hpp>
#include <sma/io/safetensors.hpp>
#include <sma/io/safetensors_convert-inl.hpp>
#include <sma/io/safetensors_header-inl.hpp>

namespace sma {

namespace detail::safetensors {

inline constexpr std::uint64_t length_bytes = 8;
inline constexpr std::uint64_t largest_header = 100'000'000;

/// The whole file, read-only; unmapped with the last owner.
struct Mapping {
  std::shared_ptr<const std::byte> bytes;
  std::uint64_t size = 0;
};

inline Mapping map_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // a pipe must not block
  if (file.get() < 0) throw_system_error(path, "open failed", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_system_error(path, "fstat failed", errno);
  if (!S_ISREG(status.st_mode))
    throw Error(one_line(path) + ": found a directory or device, expected a safetensors file");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size < length_bytes)
    throw Error(one_line(path) + ": found a file of " + std::to_string(size) + " bytes, expected at least " +
                std::to_string(length_bytes) + ", the header's length");
  void* const address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) throw_system_error(path, "mmap failed", errno);
  return {std::shared_ptr<const std::byte>(static_cast<const std::byte*>(address),
                                           [address, size](const std::byte*) { ::munmap(address, size); }),
          size};
}

}  // namespace detail::safetensors

SMA_IO_INLINE SafetensorsFile SafetensorsFile::open(const std::string& path) {
  namespace st = detail::safetensors;
  const st::Mapping mapping = st::map_file(path);
  const std::uint64_t header = st::Stored<std::uint64_t>::load(mapping.bytes.get());
  const std::uint64_t rest = mapping.size - st::length_bytes;
  if (header > st::largest_header || header > rest)
    throw Error(one_line(path) + ": found a header length of " + std::to_string(header) +
                " bytes, expected at most " +
                (header > st::largest_header
                     ? std::to_string(st::largest_header)
                     : "the " + std::to_string(rest) + " bytes that the file holds after it (truncated?)"));
  const std::byte* const text = mapping.bytes.get() + st::length_bytes;
  st::Header found = st::read_header(
      path, {reinterpret_cast<const char*>(text), static_cast<std::size_t>(header)}, rest - header);

  SafetensorsFile file;
  file.path_ = path;
  file.mapping_ = mapping.bytes;
  file.data_ = text + header;
  file.tensors_ = std::move(found.tensors);
  file.index_ = std::move(found.index);
  file.metadata_ = std::move(found.metadata);
  return file;
}

SMA_IO_INLINE std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const TensorInfo& tensor : tensors_) names.push_back(tensor.name);
  return names;
}

SMA_IO_INLINE const TensorInfo& SafetensorsFile::info(std::string_view name) const {
  const auto at = index_.find(name);
  if (at == index_.end())
    throw Error(one_line(path_) + ": tensor " + quoted_name(name) +
                ": found no tensor of this name, expected it among the file's " +
                std::to_string(tensors_.size()));
  return tensors_[at->second];
}

SMA_IO_INLINE std::span<const std::byte> SafetensorsFile::bytes(std::string_view name) const {
  const TensorInfo& tensor = info(name);
  return {data_ + tensor.begin, tensor.end - tensor.begin};
}

SMA_IO_INLINE const TensorInfo& SafetensorsFile::info_of_shape(
    std::string_view name, const std::vector<std::int64_t>& expected) const {
  namespace st = detail::safetensors;
  const TensorInfo& tensor = info(name);
  if (tensor.shape != expected)
    throw Error(one_line(path_) + ": tensor " + quoted_name(name) + ": found shape " +
                st::text_of(tensor.shape) + " of " + std::string(st::entry_of(tensor.dtype).name) +
                ", expected shape " + st::text_of(expected));
  return tensor;
}

SMA_IO_INLINE void SafetensorsWriter::add(std::string name, DType dtype, std::vector<std::int64_t> shape,
                                          const void* data) {
  namespace st = detail::safetensors;
  const auto require = [&name](bool holds, const std::string& found, const char* expected) {
    if (!holds)
      throw Error("sma::SafetensorsWriter::add: tensor " + quoted_name(name) + ": found " + found +
                  ", expected " + expected);
  };
  require(detail::is_utf8(name), "a name that is not UTF-8", "UTF-8");
  require(name != st::metadata_key, "the reserved name", "another");
  require(!names_.contains(name), "a second tensor of this name", "one");
  const std::optional<std::uint64_t> bytes = st::byte_count(shape, dtype);
  require(bytes.has_value(), "shape " + st::text_of(shape) + " of " + std::string(st::entry_of(dtype).name),
          "no negative extent, and whole bytes, less than 2^63");
  require(data != nullptr || *bytes == 0, "a null pointer", "data");
  require(*bytes <= std::numeric_limits<std::int64_t>::max() - bytes_, "a tensor that ends after 2^63 bytes",
          "less than 2^63 bytes in the file");
  bytes_ += *bytes;
  names_.insert(name);
  data_.push_back(data);
  tensors_.push_back({std::move(name), dtype, std::move(shape), 0, *bytes});
}

SMA_IO_INLINE void SafetensorsWriter::metadata(std::string key, std::string value) {
  namespace st = detail::safetensors;
  if (!detail::is_utf8(key) || !detail::is_utf8(value))
    throw Error("sma::SafetensorsWriter::metadata: key " + quoted_name(key) +
                ": found text that is not UTF-8, expected UTF-8");
  metadata_.insert_or_assign(std::move(key), std::move(value));
}

/// Which tensor is the first in the file, the second, ...
SMA_IO_INLINE std::vector<std::size_t> SafetensorsWriter::order() const {
  const auto bits = [this](std::size_t i) { return detail::safetensors::entry_of(tensors_[i].dtype).bits; };
  std::vector<std::size_t> order(tensors_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&bits](std::size_t a, std::size_t b) { return bits(a) > bits(b); });
  return order;
}

/// The 8 bytes of length and the padded JSON.
SMA_IO_INLINE std::string SafetensorsWriter::header(const std::vector<std::size_t>& order) const {
  namespace st = detail::safetensors;
  std::string json(st::length_bytes, '\0');
  json += '{';
  const char* separator = "";
  if (!metadata_.empty()) {
    json += detail::json_string(st::metadata_key) + ":{";
    for (const auto& [key, value] : metadata_) {
      json += separator + detail::json_string(key) + ":" + detail::json_string(value);
      separator = ",";
    }
    json += '}';
    separator = ",";
  }
  std::uint64_t begin = 0;
  for (const std::size_t which : order) {
    const TensorInfo& tensor = tensors_[which];
    json += separator + detail::json_string(tensor.name) + ":{\"dtype\":\"" +
            std::string(st::entry_of(tensor.dtype).name) + "\",\"shape\":[";
    for (std::size_t i = 0; i < tensor.shape.size(); ++i)
      json += (i > 0 ? "," : "") + std::to_string(tensor.shape[i]);
    json += "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(begin + tensor.end) + "]}";
    begin += tensor.end;
    separator = ",";
  }
  json += '}';
  json.append((8 - json.size() % 8) % 8, ' ');
  const std::uint64_t length = json.size() - st::length_bytes;
  std::memcpy(json.data(), &length, sizeof length);
  return json;
}

SMA_IO_INLINE void SafetensorsWriter::write(const std::string& path) const {
  namespace st = detail::safetensors;
  const std::vector<std::size_t> which = order();
  const std::string head = header(which);
  if (head.size() - st::length_bytes > st::largest_header)
    throw Error(one_line(path) + ": found a header of " + std::to_string(head.size() - st::length_bytes) +
                " bytes to write, expected at most " + std::to_string(st::largest_header));
  AtomicFile file(path);
  file.write(head.data(), head.size());
  for (const std::size_t i : which) file.write(data_[i], tensors_[i].end);
  file.commit();
}

}  // namespace sma
