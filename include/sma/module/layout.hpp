#pragma once

#include <sma/base/precision.hpp>
#include <sma/module/facts.hpp>
#include <utility>

/// Where a module's tensors lie: four contiguous regions and two counters, all offsets known at compile time.
namespace sma {

/// Sizes of everything a module instance owns, its children included.
struct Extent {
  Index weights = 0;    // parameters
  Index buffers = 0;    // state that is not trained (running statistics)
  Index metrics = 0;    // statistics returned after a step
  Index trace = 0;      // columns of the per-row trace
  Index instances = 0;  // module instances

  constexpr Extent operator+(const Extent& o) const {
    return {weights + o.weights, buffers + o.buffers, metrics + o.metrics, trace + o.trace,
            instances + o.instances};
  }
  constexpr Extent operator*(Index n) const {
    return {weights * n, buffers * n, metrics * n, trace * n, instances * n};
  }
};

template <class M>
constexpr Index own_trace_width() {
  if constexpr (requires { M::trace_width; })
    return M::trace_width;
  else
    return 0;
}

/// What the module owns without its children.
template <class M>
inline constexpr Extent own_extent{parameters_of<M>::size, buffers_of<M>::size, metrics_of<M>::size,
                                   own_trace_width<M>(), 1};

namespace detail {
template <class M>
constexpr Extent compute_extent();
}

template <class M>
inline constexpr Extent extent_of = detail::compute_extent<M>();

template <class M>
inline constexpr Index parameter_count = extent_of<M>.weights;

namespace detail {
template <class M>
constexpr Extent compute_extent() {
  return []<class... Cs>(Children<Cs...>) {
    return (own_extent<M> + ... + (extent_of<typename Cs::module> * Cs::count));
  }(children_of<M>{});
}

/// Everything of M that stands before child N.
template <class M, std::size_t N>
constexpr Extent child_offset() {
  return []<std::size_t... J>(std::index_sequence<J...>) {
    return (
        own_extent<M> + ... +
        (extent_of<typename children_of<M>::template at<J>::module> * children_of<M>::template at<J>::count));
  }(std::make_index_sequence<N>{});
}
}  // namespace detail

/// A module instance's parameters (read only), running buffers and metric slots.
template <class M, class S>
struct Weights {
  const compute_of<S>* data = nullptr;
  compute_of<S>* buffer_data = nullptr;
  double* metric_data = nullptr;  // null while streaming
  Index trace = 0;                // first column of this instance in the trace
  Index instance = 0;             // unique number of this instance in the network

  /// The parameter of that name: `w["bias"_p]`.
  template <class Name>
  [[nodiscard]] auto operator[](Name) const {
    return parameters_of<M>::template tensor<Name, const compute_of<S>>(data);
  }
  /// Its numbers, or null where the module has none of that name.
  template <class Name>
  [[nodiscard]] const compute_of<S>* or_null(Name name) const {
    if constexpr (parameters_of<M>::template has<Name>)
      return (*this)[name].data;
    else
      return nullptr;
  }
  [[nodiscard]] auto tensors() const { return parameters_of<M>::template tensors<const compute_of<S>>(data); }
  [[nodiscard]] auto buffers() const { return buffers_of<M>::template tensors<compute_of<S>>(buffer_data); }
};

/// A module instance's parameter gradients; backward adds to them.
template <class M, class S>
struct Gradients {
  compute_of<S>* data = nullptr;

  template <class Name>
  [[nodiscard]] auto operator[](Name) const {
    return parameters_of<M>::template tensor<Name, compute_of<S>>(data);
  }
  template <class Name>
  [[nodiscard]] compute_of<S>* or_null(Name name) const {
    if constexpr (parameters_of<M>::template has<Name>)
      return (*this)[name].data;
    else
      return nullptr;
  }
  [[nodiscard]] auto tensors() const { return parameters_of<M>::template tensors<compute_of<S>>(data); }
};

template <class M, std::size_t N>
using child_module = typename children_of<M>::template at<N>::module;

/// Weights of child N (instance `k` of a repeated child).
template <std::size_t N, class M, class S>
Weights<child_module<M, N>, S> child(const Weights<M, S>& w, Index k = 0) {
  constexpr Extent offset = detail::child_offset<M, N>();
  constexpr Extent each = extent_of<child_module<M, N>>;
  return {w.data + offset.weights + k * each.weights, w.buffer_data + offset.buffers + k * each.buffers,
          w.metric_data == nullptr ? nullptr : w.metric_data + offset.metrics + k * each.metrics,
          w.trace + offset.trace + k * each.trace, w.instance + offset.instances + k * each.instances};
}
template <std::size_t N, class M, class S>
Gradients<child_module<M, N>, S> child(const Gradients<M, S>& g, Index k = 0) {
  return {g.data + detail::child_offset<M, N>().weights + k * parameter_count<child_module<M, N>>};
}

namespace detail {
/// The place of the child called Name among M's; their number where there is none.
template <class M, FixedString Name>
consteval std::size_t child_place() {
  return []<class... Cs>(Children<Cs...>) {
    std::size_t place = 0;
    (void)((Cs::name == Name ? false : (++place, true)) && ...);
    return place;
  }(children_of<M>{});
}
}  // namespace detail

/// The same for the child called Name: `sma::child<"gate">(w)`. `Owner` is Weights or Gradients.
template <FixedString Name, template <class, class> class Owner, class M, class S>
auto child(const Owner<M, S>& owner, Index k = 0) {
  constexpr std::size_t place = detail::child_place<M, Name>();
  if constexpr (place < children_of<M>::size) {
    return child<place>(owner, k);
  } else {
    static_assert(no_child_of_this_name<M, ParameterName<Name>>,
                  "sma::child<Name>(w) requires the Name of one of the module's Children");
    return owner;
  }
}

}  // namespace sma
