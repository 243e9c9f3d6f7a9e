#pragma once

#include <sma/module/contract.hpp>

/// What is known of a module: each fact with its default.
namespace sma {

/// A module that looks at one row at a time, so that a row's output does not depend on its neighbours.
template <class M>
constexpr bool is_rowwise() {
  if constexpr (requires { M::rowwise; })
    return M::rowwise;
  else
    return false;
}

/// Output t depends on inputs 0..t only.
template <class M>
constexpr bool is_causal() {
  if constexpr (requires { M::causal; })
    return M::causal;
  else
    return is_rowwise<M>();
}

/// Has an O(1) `step`, so that it can stream in constant memory.
template <class M>
constexpr bool is_streamable() {
  if constexpr (requires { M::streamable; })
    return M::streamable;
  else if constexpr (requires { typename M::template Stream<float>; })
    return true;
  else
    return is_rowwise<M>();
}

/// Training statistics run over the whole batch (batch norm), so that shards must meet.
template <class M>
constexpr bool couples_batch() {
  if constexpr (requires { M::couples_batch; }) {
    return M::couples_batch;
  } else {
    return []<class... Cs>(Children<Cs...>) {
      return (couples_batch<typename Cs::module>() || ... || false);
    }(children_of<M>{});
  }
}

/// Whether a module makes its output again in backward, for much less than forward costs: `again` reads the input, or does without
/// because of what forward has kept.
enum class Recompute { never, from_input, from_kept };

template <class M>
constexpr Recompute recompute_of() {
  if constexpr (requires { M::recompute; })
    return M::recompute;
  else
    return Recompute::never;
}

/// Backward reads the input where `rebase` says.
template <class M>
constexpr bool rebases() {
  if constexpr (M::input_width > 0)
    return requires(saved_of<M, float>& saved, Rows<const float, M::input_width> x) { M::rebase(saved, x); };
  else
    return false;
}

/// Nothing in backward reads the input, `again` included.
template <class M>
constexpr bool forgets_input() {
  if constexpr (requires { M::forgets_input; })
    return M::forgets_input && recompute_of<M>() != Recompute::from_input;
  else
    return false;
}

/// `backward_with_dots` gives backward's dy . y, a number a row, without that anybody keeps y.
template <class M>
constexpr bool dots_output() {
  if constexpr (requires { M::dots_output; })
    return M::dots_output;
  else
    return false;
}

/// Elements of the output are those of the input times numbers that do not depend on it, so that dy . y = dx . x.
template <class M>
constexpr bool scales_elements() {
  if constexpr (requires { M::scales_elements; })
    return M::scales_elements;
  else
    return false;
}

/// Input elements are `Token`s rather than the network's scalar.
template <class M>
constexpr bool takes_tokens() {
  if constexpr (requires { M::takes_tokens; })
    return M::takes_tokens;
  else
    return false;
}

/// How many input sequences make one output row: 0 when output rows are input rows, 1 for pooling, 2 for pairs.
template <class M>
constexpr Index sequences_per_output() {
  if constexpr (requires { M::sequences_per_output; })
    return M::sequences_per_output;
  else
    return 0;
}

template <class M, class S>
using input_element = std::conditional_t<takes_tokens<M>(), Token, S>;

namespace detail {

/// The innermost module that keeps M from streaming, or from being causal.
template <class M, std::size_t N = 0>
constexpr auto find_not_streaming() {
  if constexpr (N == children_of<M>::size)
    return std::type_identity<M>{};
  else if constexpr (is_streamable<typename children_of<M>::template at<N>::module>())
    return find_not_streaming<M, N + 1>();
  else
    return find_not_streaming<typename children_of<M>::template at<N>::module>();
}
template <class M, std::size_t N = 0>
constexpr auto find_not_causal() {
  if constexpr (N == children_of<M>::size)
    return std::type_identity<M>{};
  else if constexpr (is_causal<typename children_of<M>::template at<N>::module>())
    return find_not_causal<M, N + 1>();
  else
    return find_not_causal<typename children_of<M>::template at<N>::module>();
}

}  // namespace detail

/// The innermost module inside M that keeps it from streaming (M itself when each part alone would stream).
template <class M>
using not_streaming_part = typename decltype(detail::find_not_streaming<M>())::type;
/// The same for being causal.
template <class M>
using not_causal_part = typename decltype(detail::find_not_causal<M>())::type;

}  // namespace sma
