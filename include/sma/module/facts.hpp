#pragma once

#include <sma/base/precision.hpp>
#include <sma/module/contract.hpp>
#include <utility>

/// What is known of a module: each fact with its default.
namespace sma {

/// What row t of the output depends on: row t of the input, rows 0..t of its sequence, or the whole sequence.
enum class Reach { row, past, sequence };

template <class M>
constexpr Reach reach_of() {
  if constexpr (requires { M::reach; })
    return M::reach;
  else
    return Reach::sequence;
}

template <class M>
constexpr bool is_rowwise() {
  return reach_of<M>() == Reach::row;
}
template <class M>
constexpr bool is_causal() {
  return reach_of<M>() <= Reach::past;
}
/// Runs a step at a time in constant memory: it has a `Stream`, or needs none.
template <class M>
constexpr bool is_streamable() {
  return is_rowwise<M>() || requires { typename M::template Stream<float>; };
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
/// What backward gets for the output: rows, or of a configurator a number for each of its weights.
template <class M, class S>
using output_gradient =
    std::conditional_t<requires { M::configures; }, const compute_of<S>*, Rows<const S, M::output_width>>;

/// What a network is given, for `flops`: rows of a sequence, and the share of them that a router's branch sees.
struct Load {
  double length = 1024;
  double active = 1;
};

/// What part `n` of M is given, where M is given that.
template <class M>
constexpr Load load_of_part(std::size_t n, const Load& at) {
  if constexpr (requires { M::load_of_part(n, at); })
    return M::load_of_part(n, at);
  else
    return at;
}

/// Floating-point operations of forward that the formulas cannot do without, a row of the input: products and sums of matrices, attention,
/// recurrences; not norms, activations, biases, dropout. Of a module that does not say, those of its parts. Training takes three times as
/// many.
template <class M>
constexpr double flops_of(const Load& at) {
  if constexpr (requires { M::flops(at); }) {
    return M::flops(at);
  } else {
    return []<class... Cs, std::size_t... N>(Children<Cs...>, std::index_sequence<N...>, const Load& load) {
      return (0.0 + ... +
              (static_cast<double>(Cs::count) * flops_of<typename Cs::module>(load_of_part<M>(N, load))));
    }(children_of<M>{}, std::make_index_sequence<children_of<M>::size>{}, at);
  }
}

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
