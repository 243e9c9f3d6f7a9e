#pragma once

#include <concepts>
#include <sma/module/parameters.hpp>
#include <tuple>
#include <type_traits>

/// What a module is. A *description* is an empty type with static members; `Network` gives it data.
///
///     struct Scale {                                              // y = w * x, one weight a channel
///       static constexpr sma::Index input_width = 64, output_width = 64;
///       static constexpr sma::Reach reach = sma::Reach::row;      // a row of y depends on that row of x alone
///       using Parameters = sma::Parameters<sma::Param<"weight", sma::Shape<64>, sma::init::Ones>>;
///       template <class C, class S> static void forward(C&, const sma::Sequences&, sma::Rows<const S, 64> x,
///                      sma::Rows<S, 64> y, sma::Weights<Scale, S> w, sma::NoState&);
///       template <class C, class S> static void backward(C&, const sma::Sequences&, sma::Rows<const S, 64> x,
///                      sma::Rows<const S, 64> dy, sma::Rows<S, 64> dx, sma::Weights<Scale, S> w,
///                      sma::Gradients<Scale, S> g, sma::NoState&);
///     };
///
/// forward writes y. backward writes dx (unless dx is null: nobody asked) and adds to g. Memory that backward needs comes
/// from `ctx.keep`, memory for the call alone from `ctx.scratch`. What backward needs beside x is `template <class S> struct Saved`.
/// What else a module can do is what its functions take (call.hpp): backward without x does not read it, so that nobody keeps it;
/// a `Target` for y or dx adds to a base in the pass that writes; `apply` writes y once more, so that nobody keeps it; `step` streams.
/// Facts, each with its default: `reach`, `Parameters`, `Buffers`, `Metrics`, `Children`, `Saved`, `Stream`, `layout` (when the output's
/// rows are not the input's) and `sequences_per_output`, `takes_tokens`, `couples_batch`, `trace_width`, `valid` (a compile-time check of
/// its own).
namespace sma {

namespace detail {
template <class M>
struct Canonical {
  using type = M;
};
template <class M>
  requires requires { typename M::module_type; }
struct Canonical<M> {
  using type = typename M::module_type;
};
}  // namespace detail

/// The composition behind a named type: `Router<...>` for `struct Mixture : Router<...> {}`, otherwise M itself.
template <class M>
using canonical = typename detail::Canonical<M>::type;

/// A sub-module inside a composition. `Count` instances stand one after another; their paths are `Name.0`, `Name.1`, ...
template <FixedString Name, class M, Index Count = 1>
struct Child {
  static constexpr auto name = Name;
  using declared = M;
  using module = canonical<M>;
  static constexpr Index count = Count;
};

template <class... Cs>
struct Children {
  static constexpr std::size_t size = sizeof...(Cs);
  template <std::size_t N>
  using at = std::tuple_element_t<N, std::tuple<Cs...>>;
};

/// Saved state or stream state of a module that has none.
struct NoState {};

namespace detail {

template <class M>
struct ParametersOf {
  using type = Parameters<>;
};
template <class M>
  requires requires { typename M::Parameters; }
struct ParametersOf<M> {
  using type = typename M::Parameters;
};
template <class M>
struct BuffersOf {
  using type = Parameters<>;
};
template <class M>
  requires requires { typename M::Buffers; }
struct BuffersOf<M> {
  using type = typename M::Buffers;
};
template <class M>
struct MetricsOf {
  using type = Parameters<>;
};
template <class M>
  requires requires { typename M::Metrics; }
struct MetricsOf<M> {
  using type = typename M::Metrics;
};
template <class M>
struct ChildrenOf {
  using type = Children<>;
};
template <class M>
  requires requires { typename M::Children; }
struct ChildrenOf<M> {
  using type = typename M::Children;
};
template <class M, class S>
struct SavedOf {
  using type = NoState;
};
template <class M, class S>
  requires requires { typename M::template Saved<S>; }
struct SavedOf<M, S> {
  using type = typename M::template Saved<S>;
};
template <class M, class S>
struct StreamOf {
  using type = NoState;
};
template <class M, class S>
  requires requires { typename M::template Stream<S>; }
struct StreamOf<M, S> {
  using type = typename M::template Stream<S>;
};

}  // namespace detail

template <class M>
using parameters_of = typename detail::ParametersOf<M>::type;
template <class M>
using buffers_of = typename detail::BuffersOf<M>::type;
template <class M>
using metrics_of = typename detail::MetricsOf<M>::type;
template <class M>
using children_of = typename detail::ChildrenOf<M>::type;
template <class M, class S>
using saved_of = typename detail::SavedOf<M, S>::type;
template <class M, class S>
using stream_of = typename detail::StreamOf<M, S>::type;

namespace detail {

struct ModuleFunctions {
  void forward();
  void backward();
};
template <class M>
struct WithModuleFunctions : M, ModuleFunctions {};

/// A name that M has too is ambiguous here, whatever its parameters.
template <class M>
constexpr bool has_module_functions() {
  if constexpr (std::is_class_v<M> && !std::is_final_v<M>)
    return !requires { &WithModuleFunctions<M>::forward; } &&
           !requires { &WithModuleFunctions<M>::backward; };
  else
    return std::is_class_v<M>;
}

}  // namespace detail

/// True for a type that has what every module must have: both widths, forward and backward.
template <class M>
concept Module = requires {
  { M::input_width } -> std::convertible_to<Index>;
  { M::output_width } -> std::convertible_to<Index>;
} && detail::has_module_functions<M>();

}  // namespace sma
