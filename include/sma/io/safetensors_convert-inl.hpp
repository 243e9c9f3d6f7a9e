#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

#include <sma/base/config.hpp>
#include <sma/base/error.hpp>
#include <sma/base/text.hpp>
#include <sma/io/safetensors_types.hpp>

/// What `SafetensorsFile::read` and `read_into` do with a tensor's bytes.
namespace sma::detail::safetensors {

/// How a dtype lies in memory: `Value load(const std::byte*)`, from any alignment.
template <class T>
struct Stored {
  using Value = T;
  static Value load(const std::byte* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
  }
};
struct StoredBool : Stored<std::uint8_t> {};
struct StoredF16 {
  using Value = float;
  static Value load(const std::byte* from) {
    const std::uint32_t bits = Stored<std::uint16_t>::load(from);
    const std::uint32_t sign = (bits & 0x8000U) << 16;
    const std::uint32_t exponent = (bits >> 10) & 0x1FU;
    const std::uint32_t fraction = bits & 0x3FFU;
    if (exponent == 0) {
      const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
      return sign != 0 ? -magnitude : magnitude;
    }
    const std::uint32_t widened = exponent == 0x1FU ? 0xFFU : exponent + 127U - 15U;
    return std::bit_cast<float>(sign | (widened << 23) | (fraction << 13));
  }
};
struct StoredBF16 {
  using Value = float;
  static Value load(const std::byte* from) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(Stored<std::uint16_t>::load(from)) << 16);
  }
};

/// Calls visit with the storage of a dtype that converts.
template <class Visitor>
void visit_dtype(DType dtype, Visitor&& visit) {
  switch (dtype) {
    case DType::Bool:
      return visit(StoredBool{});
    case DType::U8:
      return visit(Stored<std::uint8_t>{});
    case DType::I8:
      return visit(Stored<std::int8_t>{});
    case DType::I16:
      return visit(Stored<std::int16_t>{});
    case DType::U16:
      return visit(Stored<std::uint16_t>{});
    case DType::F16:
      return visit(StoredF16{});
    case DType::BF16:
      return visit(StoredBF16{});
    case DType::I32:
      return visit(Stored<std::int32_t>{});
    case DType::U32:
      return visit(Stored<std::uint32_t>{});
    case DType::F32:
      return visit(Stored<float>{});
    case DType::I64:
      return visit(Stored<std::int64_t>{});
    case DType::U64:
      return visit(Stored<std::uint64_t>{});
    case DType::F64:
      return visit(Stored<double>{});
    default:
      return;
  }
}

/// Whether T takes the value: always when T is floating-point (it rounds), otherwise when it holds it exactly.
template <class T, class Value>
bool take(Value value, T& to) {
  if constexpr (std::floating_point<T>) {
    to = static_cast<T>(value);
    return true;
  } else if constexpr (std::same_as<T, bool>) {
    to = same_number(value, Value{1});
    return to || same_number(value, Value{0});
  } else if constexpr (std::floating_point<Value>) {
    const Value bound = std::ldexp(Value{1}, std::numeric_limits<T>::digits);
    const Value lowest = std::is_signed_v<T> ? -bound : Value{0};
    if (!(value >= lowest && value < bound) || !same_number(std::trunc(value), value)) return false;
    to = static_cast<T>(value);
    return true;
  } else {
    if (!std::in_range<T>(value)) return false;
    to = static_cast<T>(value);
    return true;
  }
}

template <class Value>
std::string text_of_value(Value value) {
  if constexpr (std::integral<Value>) {
    return std::to_string(value);
  } else {
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), "%.17g", static_cast<double>(value));
    return text.data();
  }
}

[[noreturn]] inline void refuse_dtype(const std::string& path, const TensorInfo& tensor, DType wanted) {
  throw Error(one_line(path) + ": tensor " + quoted_name(tensor.name) + ": found dtype " +
              std::string(entry_of(tensor.dtype).name) + ", expected one that converts to " +
              std::string(entry_of(wanted).name) + " (this one is read as bytes alone)");
}

/// Of element `i`, which lies at `at`.
[[noreturn]] inline void refuse_value(const std::string& path, const TensorInfo& tensor, std::size_t i,
                                      const std::byte* at, const char* expected, DType wanted) {
  std::string found;
  visit_dtype(tensor.dtype, [&]<class Storage>(Storage) { found = text_of_value(Storage::load(at)); });
  throw Error(one_line(path) + ": tensor " + quoted_name(tensor.name) + ": found " + found + " at element " +
              std::to_string(i) + " of " + std::string(entry_of(tensor.dtype).name) + ", expected " +
              expected + std::string(entry_of(wanted).name) + " holds exactly");
}

template <TensorElement T>
void convert(const std::string& path, const TensorInfo& tensor, const std::byte* from, T* to) {
  if (!converts(tensor.dtype)) refuse_dtype(path, tensor, dtype_of<T>());
  const std::size_t count = tensor.count();
  if (count == 0) return;
  if (!std::same_as<T, bool> && tensor.dtype == dtype_of<T>()) {
    std::memcpy(to, from, count * sizeof(T));
    return;
  }
  visit_dtype(tensor.dtype, [&]<class Storage>(Storage) {
    const std::size_t size = entry_of(tensor.dtype).bits / 8;
    for (std::size_t i = 0; i < count; ++i) {
      const std::byte* const at = from + i * size;
      const typename Storage::Value value = Storage::load(at);
      if constexpr (std::same_as<Storage, StoredBool>)
        if (value > 1) refuse_value(path, tensor, i, at, "0 or 1, which ", dtype_of<T>());
      if (!take(value, to[i])) refuse_value(path, tensor, i, at, "a value that ", dtype_of<T>());
    }
  });
}

}  // namespace sma::detail::safetensors
