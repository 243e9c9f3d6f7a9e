#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <sma/io/safetensors_types.hpp>

namespace sma {

/// A safetensors file, mapped read-only: 8 bytes of header length, a JSON header, the tensors' bytes.
///
///     const auto file = sma::SafetensorsFile::open("model.safetensors");
///     const std::vector<float> weight = file.read<float>("encoder.weight");
///
/// Opening checks the whole header: every error names the file, the tensor, what was found and what was expected.
/// Copies share the mapping. The file must not be shortened while it is open; `AtomicFile` replaces, it never shortens.
/// Format: https://github.com/huggingface/safetensors. Python equivalent: `safetensors.safe_open`.
class SafetensorsFile {
 public:
  /// Throws `Error` when the file cannot be mapped or is not valid.
  static SafetensorsFile open(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; }

  [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// The tensors' names, in the header's order, which need not be that of their bytes.
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] bool contains(std::string_view name) const { return index_.find(name) != index_.end(); }

  /// Throws `Error` when there is no such tensor, as all functions below do.
  [[nodiscard]] const TensorInfo& info(std::string_view name) const;

  /// The tensor's stored bytes, of any alignment; valid while this file or a copy lives.
  [[nodiscard]] std::span<const std::byte> bytes(std::string_view name) const;

  /// All elements, converted to T. Floating-point targets round; other targets take only values that they hold exactly,
  /// anything else throws `Error`, as does a tensor of a dtype that does not convert (C64 and after).
  template <TensorElement T>
    requires(!std::same_as<T, bool>)
  [[nodiscard]] std::vector<T> read(std::string_view name) const;

  /// As `read`, into `to`, which has room for the product of `expected_shape`. Throws `Error` when the file's shape differs.
  template <TensorElement T>
  void read_into(std::string_view name, T* to, const std::vector<std::int64_t>& expected_shape) const;

 private:
  SafetensorsFile() = default;

  [[nodiscard]] const TensorInfo& info_of_shape(std::string_view name,
                                                const std::vector<std::int64_t>& expected) const;

  std::string path_;
  std::shared_ptr<const std::byte> mapping_;
  const std::byte* data_ = nullptr;  // where the tensors' bytes begin
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::size_t, std::less<>> index_;
  std::map<std::string, std::string> metadata_;
};

/// Writes a safetensors file: tensors by falling element size, those of one size in the order of `add`, so that each lies at a
/// multiple of its element's size; metadata sorted by key; the header padded with spaces to a multiple of 8 bytes. Equal
/// input gives equal bytes.
///
///     sma::SafetensorsWriter writer;
///     writer.metadata("step", "1000");
///     writer.add("encoder.weight", {32, 64}, weight);   // float: F32
///     writer.write("model.safetensors");
///
/// Data is borrowed: it must live until `write`, which streams it through `AtomicFile`.
/// Python equivalent: `safetensors.numpy.save_file`.
class SafetensorsWriter {
 public:
  /// Adds a tensor of T's dtype. Throws `Error` on a name that is taken, reserved or not UTF-8, and on a negative or
  /// overflowing shape.
  template <TensorElement T>
  void add(std::string name, std::vector<std::int64_t> shape, const T* data);

  /// Adds a tensor that is already encoded as `dtype`, little-endian.
  void add(std::string name, DType dtype, std::vector<std::int64_t> shape, const void* data);

  /// Sets a metadata entry. Throws `Error` when a text is not UTF-8.
  void metadata(std::string key, std::string value);

  /// Writes the file aside, syncs and renames it. Throws `Error`; an old file then stays as it was.
  void write(const std::string& path) const;

 private:
  [[nodiscard]] std::vector<std::size_t> order() const;
  [[nodiscard]] std::string header(const std::vector<std::size_t>& order) const;

  std::vector<TensorInfo> tensors_;  // begin is 0: where a tensor lies is known when all are
  std::vector<const void*> data_;
  std::uint64_t bytes_ = 0;  // of all tensors
  std::set<std::string> names_;
  std::map<std::string, std::string> metadata_;
};

template <TensorElement T>
  requires(!std::same_as<T, bool>)
std::vector<T> SafetensorsFile::read(std::string_view name) const {
  const TensorInfo& tensor = info(name);
  std::vector<T> values(tensor.count());
  detail::safetensors::convert(path_, tensor, data_ + tensor.begin, values.data());
  return values;
}

template <TensorElement T>
void SafetensorsFile::read_into(std::string_view name, T* to,
                                const std::vector<std::int64_t>& expected_shape) const {
  const TensorInfo& tensor = info_of_shape(name, expected_shape);
  detail::safetensors::convert(path_, tensor, data_ + tensor.begin, to);
}

template <TensorElement T>
void SafetensorsWriter::add(std::string name, std::vector<std::int64_t> shape, const T* data) {
  add(std::move(name), detail::safetensors::dtype_of<T>(), std::move(shape), static_cast<const void*>(data));
}

}  // namespace sma

#if !defined(SMA_IO_COMPILED)
#include <sma/io/safetensors-inl.hpp>
#endif
