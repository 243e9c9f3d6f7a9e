#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <sma/base/error.hpp>
#include <sma/base/text.hpp>
#include <sma/io/safetensors.hpp>
#include <sma/network/network.hpp>
#include <span>
#include <string>
#include <vector>

/// Files of a stream's state.
namespace sma {

namespace detail {

/// Tells numbers apart: FNV-1a over 64 bits at a time.
[[gnu::cold]] inline std::string text_of_hash(std::span<const std::byte> bytes) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (std::size_t i = 0; i < bytes.size(); i += sizeof(hash)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, std::min(sizeof(word), bytes.size() - i));
    hash = (hash ^ word) * 0x100000001B3U;
    hash ^= hash >> 32;
  }
  return hash_text(hash);
}

/// The description's parameters, and the weights: what a stream's state belongs to.
template <class Net>
[[gnu::cold]] std::map<std::string, std::string> owner_of_stream(const Net& net) {
  std::string model =
      std::to_string(Net::Stream::state_bytes) + ":" + std::to_string(sizeof(typename Net::Scalar));
  for (const TensorEntry& entry : parameter_entries<typename Net::description>())
    model += "," + entry.name + ":" + std::to_string(entry.size);
  return {{"model", text_of_hash(std::as_bytes(std::span(model)))},
          {"weights", text_of_hash(std::as_bytes(net.parameters()))}};
}

inline constexpr const char* kStreamTensor = "stream";
inline constexpr const char* kStreamChecksum = "state";  // of the tensor

}  // namespace detail

/// Writes the state of a stream of `net` as a safetensors file, aside and renamed: one tensor "stream" of bytes, and in the metadata
/// what model and which weights it belongs to, and a checksum.
template <class Net>
void save_stream(const Net& net, const typename Net::Stream& stream, const std::string& path) {
  std::vector<std::uint8_t> bytes(Net::Stream::state_bytes);
  stream.save(std::as_writable_bytes(std::span(bytes)).template first<Net::Stream::state_bytes>());
  SafetensorsWriter writer;
  for (const auto& [key, value] : detail::owner_of_stream(net)) writer.metadata(key, value);
  writer.metadata(detail::kStreamChecksum, detail::text_of_hash(std::as_bytes(std::span(bytes))));
  writer.add(detail::kStreamTensor, {static_cast<std::int64_t>(bytes.size())}, bytes.data());
  writer.write(path);
}

/// Lets `stream` go on from what `save_stream` wrote. Throws `Error` where the file is damaged, or of another model or other weights;
/// the stream is then as it was.
template <class Net>
void load_stream(const Net& net, typename Net::Stream& stream, const std::string& path) {
  const auto file = SafetensorsFile::open(path);
  for (const auto& [key, value] : detail::owner_of_stream(net)) {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end() || found->second != value)
      throw Error(one_line(path) + ": found the state of a stream of " +
                  (key == "model" ? "another model" : "other weights") + ", expected one of this network's");
  }
  constexpr std::size_t size = Net::Stream::state_bytes;
  if (file.info(detail::kStreamTensor).count() != size || file.bytes(detail::kStreamTensor).size() != size)
    throw Error(one_line(path) + ": found " + std::to_string(file.bytes(detail::kStreamTensor).size()) +
                " bytes, expected " + std::to_string(size));
  const auto bytes = file.bytes(detail::kStreamTensor).template first<size>();
  const auto checksum = file.metadata().find(detail::kStreamChecksum);
  if (checksum == file.metadata().end() || checksum->second != detail::text_of_hash(bytes))
    throw Error(one_line(path) + ": tensor 'stream': found bytes of checksum " + detail::text_of_hash(bytes) +
                ", expected " +
                (checksum == file.metadata().end() ? "one in the metadata" : quoted_name(checksum->second)) +
                " (is the file damaged?)");
  auto read = net.stream();
  try {
    read.restore(bytes);
  } catch (const Error& error) {
    throw Error(one_line(path) + ": tensor 'stream': " + error.what());
  }
  stream = read;
}

}  // namespace sma
