#pragma once

#include <cstddef>
#include <sma/module/module.hpp>
#include <tuple>
#include <utility>

/// Whether a chain's parts fit.
namespace sma::detail {

template <std::size_t N, class M>
constexpr bool check_part() {
  if constexpr (Module<M>) {
    return true;
  } else {
    static_assert(is_not_a_module<At<N, M>>,
                  "sma::Chain<A, B, ...> requires every part to be a Module: input_width, output_width, "
                  "forward, backward");
    return false;
  }
}

template <std::size_t N, class Before, class After>
constexpr bool check_pair() {
  if constexpr (!is_valid<Before>() || !is_valid<After>() || Before::output_width == After::input_width) {
    return true;
  } else {
    static_assert(width_mismatch<At<N, Before>, Produces<Before::output_width>, At<N + 1, After>,
                                 Expects<After::input_width>>,
                  "sma::Chain<A, B, ...> requires each module's input_width to equal the output_width of the "
                  "module before it");
    return false;
  }
}

template <class... Ms>
constexpr bool check_chain() {
  return []<std::size_t... N>(std::index_sequence<N...>) {
    using Tuple = std::tuple<Ms...>;
    if constexpr ((check_part<N, std::tuple_element_t<N, Tuple>>() && ...)) {
      return []<std::size_t... J>(std::index_sequence<J...>) {
        return (check_pair<J, std::tuple_element_t<J, Tuple>, std::tuple_element_t<J + 1, Tuple>>() && ...);
      }(std::make_index_sequence<sizeof...(Ms) - 1>{});
    } else {
      return false;
    }
  }(std::index_sequence_for<Ms...>{});
}

}  // namespace sma::detail
