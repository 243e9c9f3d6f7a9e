#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <sma/base/config.hpp>
#include <sma/base/error.hpp>
#include <sma/base/text.hpp>
#include <sma/io/safetensors_types.hpp>

/// How many bytes tensors take, and how they share a file's.
namespace sma::detail::safetensors {

inline constexpr std::size_t shown_extents = 64;

/// Bytes of a tensor, 0 where an extent is 0; none when an extent is negative, the elements end inside a byte, or they or
/// their bytes are more than 2^63 - 1.
inline std::optional<std::uint64_t> byte_count(const std::vector<std::int64_t>& shape, DType dtype) {
  constexpr std::uint64_t largest = std::numeric_limits<std::int64_t>::max();
  if (std::any_of(shape.begin(), shape.end(), [](std::int64_t extent) { return extent < 0; }))
    return std::nullopt;
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  std::uint64_t count = 1;
  for (const std::int64_t extent : shape) {
    if (count > largest / static_cast<std::uint64_t>(extent)) return std::nullopt;
    count *= static_cast<std::uint64_t>(extent);
  }
  const std::uint64_t bits = entry_of(dtype).bits;
  const std::uint64_t rest = count % 8 * bits;  // eight elements are `bits` bytes
  if (rest % 8 != 0 || count / 8 > (largest - rest / 8) / bits) return std::nullopt;
  return count / 8 * bits + rest / 8;
}

/// "[2, 3]"; a shape of hostile rank is cut.
inline std::string text_of(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    if (i == shown_extents) return text + "...]";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

/// The tensors must cover `size` bytes of data, without holes, overlaps or rest.
inline void check_layout(const std::string& path, const std::vector<TensorInfo>& tensors,
                         std::uint64_t size) {
  const auto fail = [&path](const TensorInfo* tensor, const std::string& found, const std::string& expected) {
    throw Error(one_line(path) + (tensor ? ": tensor " + quoted_name(tensor->name) : "") + ": found " +
                found + ", expected " + expected);
  };
  std::vector<const TensorInfo*> order;
  order.reserve(tensors.size());
  for (const TensorInfo& tensor : tensors) {
    if (tensor.end > size)
      fail(&tensor, "data up to byte " + std::to_string(tensor.end),
           "at most the " + std::to_string(size) + " bytes of data that the file holds (truncated?)");
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const TensorInfo* a, const TensorInfo* b) {
    return a->begin != b->begin ? a->begin < b->begin : a->end < b->end;
  });
  std::uint64_t end = 0;
  const TensorInfo* previous = nullptr;
  for (const TensorInfo* tensor : order) {
    if (tensor->begin != end)
      fail(tensor,
           "data from byte " + std::to_string(tensor->begin) +
               (tensor->begin > end ? std::string(", a hole before it")
                                    : ", overlapping tensor " + quoted_name(previous->name)),
           "data from byte " + std::to_string(end));
    end = tensor->end;
    previous = tensor;
  }
  if (end != size)
    fail(nullptr, std::to_string(size) + " bytes of data",
         std::to_string(end) + " bytes, the end of the last tensor");
}

}  // namespace sma::detail::safetensors
