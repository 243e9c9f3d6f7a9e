#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <sma/base/config.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace sma {

/// A stored element type of a safetensors file. F16 and BF16 (bfloat16) have no C++ type: they convert when read, and are
/// written already encoded. C64 and all after it are read and written as bytes alone; F6 and F4 take 6 and 4 bits an element.
enum class DType {
  Bool,
  U8,
  I8,
  I16,
  U16,
  F16,
  BF16,
  I32,
  U32,
  F32,
  I64,
  U64,
  F64,
  C64,
  F8_E4M3,
  F8_E5M2,
  F8_E8M0,
  F8_E4M3FNUZ,
  F8_E5M2FNUZ,
  F6_E2M3,
  F6_E3M2,
  F4
};

/// One tensor of a safetensors file: row-major, in bytes [begin, end) of the file's data.
struct TensorInfo {
  std::string name;
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;  // empty: a scalar
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  /// Elements: the product of the shape.
  [[nodiscard]] std::size_t count() const;
};

/// A C++ type that tensors are read to and written from: bool, float, double, or an integer that is not a character.
template <class T>
concept TensorElement =
    std::same_as<T, bool> || std::same_as<T, float> || std::same_as<T, double> ||
    (std::integral<T> && sizeof(T) <= 8 && !std::same_as<T, char> && !std::same_as<T, wchar_t> &&
     !std::same_as<T, char8_t> && !std::same_as<T, char16_t> && !std::same_as<T, char32_t>);

namespace detail::safetensors {

static_assert(std::endian::native == std::endian::little,
              "safetensors files are little-endian, and so must the host be");

struct DTypeEntry {
  DType dtype;
  std::string_view name;
  std::uint64_t bits;  // an element
};

inline constexpr std::array<DTypeEntry, 22> dtypes{{{DType::Bool, "BOOL", 8},
                                                    {DType::U8, "U8", 8},
                                                    {DType::I8, "I8", 8},
                                                    {DType::I16, "I16", 16},
                                                    {DType::U16, "U16", 16},
                                                    {DType::F16, "F16", 16},
                                                    {DType::BF16, "BF16", 16},
                                                    {DType::I32, "I32", 32},
                                                    {DType::U32, "U32", 32},
                                                    {DType::F32, "F32", 32},
                                                    {DType::I64, "I64", 64},
                                                    {DType::U64, "U64", 64},
                                                    {DType::F64, "F64", 64},
                                                    {DType::C64, "C64", 64},
                                                    {DType::F8_E4M3, "F8_E4M3", 8},
                                                    {DType::F8_E5M2, "F8_E5M2", 8},
                                                    {DType::F8_E8M0, "F8_E8M0", 8},
                                                    {DType::F8_E4M3FNUZ, "F8_E4M3FNUZ", 8},
                                                    {DType::F8_E5M2FNUZ, "F8_E5M2FNUZ", 8},
                                                    {DType::F6_E2M3, "F6_E2M3", 6},
                                                    {DType::F6_E3M2, "F6_E3M2", 6},
                                                    {DType::F4, "F4", 4}}};

constexpr const DTypeEntry& entry_of(DType dtype) { return dtypes[static_cast<std::size_t>(dtype)]; }

static_assert([] {
  for (std::size_t i = 0; i < dtypes.size(); ++i)
    if (dtypes[i].dtype != static_cast<DType>(i)) return false;
  return true;
}());

/// Whether the dtype's elements convert to numbers.
constexpr bool converts(DType dtype) { return dtype <= DType::F64; }

/// The dtype that T is written as.
template <TensorElement T>
constexpr DType dtype_of() {
  if constexpr (std::same_as<T, bool>) return DType::Bool;
  if constexpr (std::floating_point<T>) return sizeof(T) == 4 ? DType::F32 : DType::F64;
  constexpr bool is_signed = std::is_signed_v<T>;
  if constexpr (sizeof(T) == 1) return is_signed ? DType::I8 : DType::U8;
  if constexpr (sizeof(T) == 2) return is_signed ? DType::I16 : DType::U16;
  if constexpr (sizeof(T) == 4) return is_signed ? DType::I32 : DType::U32;
  return is_signed ? DType::I64 : DType::U64;
}

/// The tensor's elements, which begin at `from`, as T. `path` names the file in errors.
template <TensorElement T>
void convert(const std::string& path, const TensorInfo& tensor, const std::byte* from, T* to);

}  // namespace detail::safetensors

inline std::size_t TensorInfo::count() const {
  return (end - begin) * 8 / detail::safetensors::entry_of(dtype).bits;
}

}  // namespace sma
