#pragma once

#include <array>
#include <cmath>
#include <ratio>
#include <sma/base/diagnostics.hpp>
#include <sma/base/fixed_string.hpp>
#include <sma/base/random.hpp>
#include <sma/base/views.hpp>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace sma {

/// Static extents of a parameter tensor, row-major: `Shape<Out, In>`.
template <Index... Extents>
struct Shape {
  static constexpr Index size = (Extents * ... * 1);
  static constexpr std::array<Index, sizeof...(Extents)> values{Extents...};
  template <class T>
  using TensorOf = Tensor<T, Extents...>;
};

/// Initial values of a parameter: a type with `static double value(RandomSequence&, Index index)`.
namespace init {
struct Zeros {
  static double value(RandomSequence&, Index) { return 0.0; }
};
struct Ones {
  static double value(RandomSequence&, Index) { return 1.0; }
};
/// Normal with standard deviation `Std` (a std::ratio).
template <class Std>
struct Normal {
  static double value(RandomSequence& random, Index) {
    return random.normal() * static_cast<double>(Std::num) / static_cast<double>(Std::den);
  }
};
/// Normal with standard deviation `Std` (a std::ratio), cut at two standard deviations.
template <class Std>
struct TruncatedNormal {
  static double value(RandomSequence& random, Index) {
    return random.truncated_normal() * static_cast<double>(Std::num) / static_cast<double>(Std::den);
  }
};
/// Normal with standard deviation Width^-1/2.
template <Index Width>
struct InverseRootNormal {
  static double value(RandomSequence& random, Index) {
    return random.normal() / std::sqrt(static_cast<double>(Width));
  }
};
/// Uniform in +-sqrt(6 / (in + out)) (Glorot and Bengio, 2010).
template <Index In, Index Out>
struct XavierUniform {
  static double value(RandomSequence& random, Index) {
    return (2.0 * random.uniform() - 1.0) * std::sqrt(6.0 / static_cast<double>(In + Out));
  }
};
}  // namespace init

/// One named tensor: `Param<"weight", Shape<Out, In>, init::TruncatedNormal<std::ratio<2, 100>>>`.
template <FixedString Name, class ShapeType, class Init = init::Zeros>
struct Param {
  static constexpr auto name = Name;
  using shape = ShapeType;
  using initial = Init;
};

/// The name of a parameter as a value, `"bias"_p`: `w["bias"_p]` is the tensor of that name.
template <FixedString Name>
struct ParameterName {
  static constexpr auto name = Name;
};

inline namespace literals {
template <FixedString Name>
consteval ParameterName<Name> operator""_p() {
  return {};
}
}  // namespace literals

namespace detail {
/// What is known of a tensor at compile time, as data.
struct TensorRow {
  std::string_view name;
  std::span<const Index> extents;
  Index size;
  double (*initial)(RandomSequence&, Index);
};
template <class Init>
double initial_value(RandomSequence& random, Index i) {
  return Init::value(random, i);
}
}  // namespace detail

/// The tensors that a module owns itself, in storage order.
template <class... Params>
struct Parameters {
  static constexpr Index size = (Params::shape::size + ... + 0);
  static constexpr std::array<detail::TensorRow, sizeof...(Params)> table{
      detail::TensorRow{Params::name.view(), Params::shape::values, Params::shape::size,
                        &detail::initial_value<typename Params::initial>}...};

  /// The place of the tensor called `Name::name` in the list; the list's length where there is none.
  template <class Name>
  static consteval std::size_t place_of() {
    std::size_t place = 0;
    for (const detail::TensorRow& tensor : table) {
      if (tensor.name == Name::name.view()) break;
      ++place;
    }
    return place;
  }
  template <class Name>
  static constexpr bool has = place_of<Name>() != sizeof...(Params);

  /// The tensor called `Name::name` of those that start at `data`.
  template <class Name, class T>
  static auto tensor(T* data) {
    if constexpr (has<Name>) {
      constexpr std::size_t place = place_of<Name>();
      constexpr Index before = [] {
        Index sum = 0;
        for (std::size_t i = 0; i != place; ++i) sum += table[i].size;
        return sum;
      }();
      return
          typename std::tuple_element_t<place, std::tuple<typename Params::shape...>>::template TensorOf<T>{
              data + before};
    } else {
      static_assert(no_parameter_of_this_name<Name, Parameters>,
                    "w[Name] requires the Name of one of the module's Parameters");
      return Tensor<T, 1>{data};
    }
  }

  /// Views of the tensors that start at `data`, in order: `const auto [weight, bias] = ...`.
  template <class T>
  static auto tensors(T* data) {
    [[maybe_unused]] T* at = data;
    return std::tuple<typename Params::shape::template TensorOf<T>...>{
        typename Params::shape::template TensorOf<T>{take(at, Params::shape::size)}...};
  }

 private:
  template <class T>
  static T* take(T*& at, Index count) {
    T* here = at;
    at += count;
    return here;
  }
};

/// Where a named tensor lies in a network's contiguous buffer.
struct TensorEntry {
  std::string name;          // path, for example "layers.0.attention.weight"
  Index offset = 0;          // elements from the buffer's start
  std::vector<Index> shape;  // row-major extents
  Index size = 0;            // product of the extents
};

namespace detail {
inline std::string join_path(std::string_view prefix, std::string_view name) {
  if (prefix.empty()) return std::string(name);
  if (name.empty()) return std::string(prefix);
  return std::string(prefix) + "." + std::string(name);
}
}  // namespace detail

}  // namespace sma
