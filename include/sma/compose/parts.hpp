#pragma once

#include <algorithm>
#include <cstddef>
#include <sma/module/facts.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

namespace sma {

/// Gives a part of a Chain or Sum a name of its own in parameter paths: `Named<"classifier", Linear<80, 10>>`.
template <FixedString Name, class M>
struct Named : M {
  static constexpr auto child_name = Name;
  using Unnamed = M;
  using named_type = Named;
};

namespace detail {

/// Names of children by their place: "0", "1", ... up to three digits.
template <std::size_t N>
consteval auto index_name() {
  if constexpr (N < 10) {
    const char text[2] = {static_cast<char>('0' + N), 0};
    return FixedString<2>(text);
  } else if constexpr (N < 100) {
    const char text[3] = {static_cast<char>('0' + N / 10), static_cast<char>('0' + N % 10), 0};
    return FixedString<3>(text);
  } else {
    const char text[4] = {static_cast<char>('0' + N / 100), static_cast<char>('0' + N / 10 % 10),
                          static_cast<char>('0' + N % 10), 0};
    return FixedString<4>(text);
  }
}

template <std::size_t N, class M>
struct ChainChild {
  using type = Child<index_name<N>(), M>;
};
// nvcc matches no partial specialisation for Named<Name, M>, because of Name's deduced type.
template <std::size_t N, class M>
  requires std::is_same_v<typename M::named_type, M>
struct ChainChild<N, M> {
  using type = Child<M::child_name, typename M::Unnamed>;
};

template <class Sequence, class... Ms>
struct IndexedChildren;
template <std::size_t... N, class... Ms>
struct IndexedChildren<std::index_sequence<N...>, Ms...> {
  using type = Children<typename ChainChild<N, Ms>::type...>;
};
template <class... Ms>
using indexed_children = typename IndexedChildren<std::index_sequence_for<Ms...>, Ms...>::type;

template <class... Ms>
using first_of = std::tuple_element_t<0, std::tuple<Ms...>>;
template <class... Ms>
using last_of = std::tuple_element_t<sizeof...(Ms) - 1, std::tuple<Ms...>>;

/// The module of a part, without its name.
template <class M>
using part_module = typename ChainChild<0, M>::type::module;

/// A composition looks as far as the part that looks farthest.
template <class... Ms>
constexpr Reach farthest_reach() {
  return std::max({Reach::row, reach_of<Ms>()...});
}

}  // namespace detail

}  // namespace sma
