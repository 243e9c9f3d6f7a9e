#pragma once

#include <sma/base/diagnostics.hpp>
#include <sma/base/sequences.hpp>
#include <sma/module/call.hpp>
#include <sma/module/layout.hpp>

/// Compile-time checks of a module and of what is inside it.
namespace sma {

/// False for a composition whose parts do not fit, and for whatever holds one. A composition says what is wrong when its
/// `valid` is read; everybody else keeps silent about it then.
template <class M>
constexpr bool is_valid() {
  constexpr bool own = [] {
    if constexpr (requires { M::valid; })
      return M::valid;
    else
      return true;
  }();
  return own && []<class... Cs>(Children<Cs...>) {
    return (is_valid<typename Cs::module>() && ... && true);
  }(children_of<M>{});
}

namespace detail {

/// Widths of what may turn out not to be a module.
template <class M>
constexpr Index input_width_of() {
  if constexpr (Module<M>)
    return M::input_width;
  else
    return 0;
}
template <class M>
constexpr Index output_width_of() {
  if constexpr (Module<M>)
    return M::output_width;
  else
    return 0;
}

template <class M, class C>
constexpr bool check_own_calls() {
  using A = Arguments<M, C>;
  if constexpr (!ForwardTo<M, C, typename A::Y> && !ForwardTo<M, C, target_of<M, C>>) {
    static_assert(cannot_be_called<M>,
                  "sma::Network requires every module's forward to be callable as "
                  "M::forward(ctx, sequences, x, y, weights, saved)");
    return false;
  } else if constexpr (!reads_input<M, C> && !BackwardAlone<M, C, typename A::DX> &&
                       !BackwardAlone<M, C, input_target_of<M, C>>) {
    static_assert(cannot_be_called<M>,
                  "sma::Network requires every module's backward to be callable as "
                  "M::backward(ctx, sequences, x, dy, dx, weights, gradients, saved), or without x");
    return false;
  } else {
    return true;
  }
}

/// Whether forward and backward of M and of everything inside it take what a network in context C gives them.
template <class M, class C>
constexpr bool check_calls() {
  constexpr bool children = []<class... Cs>(Children<Cs...>) {
    return (check_calls<typename Cs::module, C>() && ... && true);
  }(children_of<M>{});
  if constexpr (!children)
    return false;
  else if constexpr (!Module<M> || requires { M::configures; })
    return true;  // Skip, a configurator
  else
    return check_own_calls<M, C>();
}

/// Stands where a module should: `Network` has said so.
struct NoModule {
  static constexpr Index input_width = 0;
  static constexpr Index output_width = 0;
  static constexpr bool valid = false;
};

template <class M, class C>
constexpr bool check_description() {
  if constexpr (!Module<M>) {
    static_assert(is_not_a_module<M>,
                  "sma::Network<Description, Backend> requires 'Description' to be a Module: input_width, "
                  "output_width, forward, backward");
    return false;
  } else if constexpr (!is_valid<M>()) {
    return false;
  } else {
    return check_calls<canonical<M>, C>();
  }
}

}  // namespace detail

}  // namespace sma
