#pragma once

#include <array>
#include <concepts>
#include <sma/core/diagnostics.hpp>
#include <sma/core/hana.hpp>
#include <sma/core/parameters.hpp>
#include <sma/core/sequences.hpp>
#include <sma/kernels/elementwise.hpp>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

/// What a module is. A *description* is an empty type with static members; `Network` gives it data.
///
///     struct Scale {                                              // y = w * x, one weight a channel
///       static constexpr sma::Index input_width = 64, output_width = 64;
///       static constexpr bool rowwise = true;                     // looks at one row at a time: streams by itself
///       using Parameters = sma::Parameters<sma::Param<"weight", sma::Shape<64>, sma::init::Ones>>;
///       template <class S> struct Saved { sma::Rows<const S, 64> x; };    // what backward needs
///       template <class C, class S> static void forward(C&, const sma::Sequences&, sma::Rows<const S, 64> x,
///                      sma::Rows<S, 64> y, sma::Weights<Scale, S> w, Saved<S>& saved);
///       template <class C, class S> static void backward(C&, const sma::Sequences&, sma::Rows<const S, 64> dy,
///                      sma::Rows<S, 64> dx, sma::Weights<Scale, S> w, sma::Gradients<Scale, S> g, Saved<S>& saved);
///     };
///
/// forward writes y. backward writes dx (unless dx is null: nobody asked) and adds to g. Memory that backward needs comes
/// from `ctx.keep`, memory for the call alone from `ctx.scratch`.
/// A composition keeps x for backward, unless
///     static constexpr bool forgets_input = true;                          backward does not read x, or
///     template <class S> static void rebase(Saved<S>&, Rows<const S, 64> x);   it reads x where the last of these said, and
/// the module before makes it again: `recompute` says that it can, cheaply, and `again(ctx, s, x, y, w, saved)` writes the y of the
/// last forward once more, the same bits, at most once. It may use x up where x is not const: nobody else reads it.
/// `forward_onto` and `backward_onto` add to a base in the pass that writes; `backward_with_dots` spares a router keeping y.
/// Optional members: `Children`, `Buffers`, `Metrics`, `trace_width`, `Stream` with `step` (streaming), `layout` (when the
/// output's rows are not the input's), `takes_tokens`, `causal`, `couples_batch`, `sequences_per_output`, `valid` (a
/// compile-time check of its own).
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

// ---- traits: each optional member with its default -------------------------------------------------------------

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

/// Memory for the call of M: what shards use in turn, unless M meets other shards.
template <class M, class C>
auto scope_of(C& ctx) {
  if constexpr (couples_batch<M>())
    return ctx.scope();
  else
    return ctx.scope_alone();
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

// ---- compile-time checks ---------------------------------------------------------------------------------------

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

template <class M, class S>
struct Weights;
template <class M, class S>
struct Gradients;

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
  using S = typename C::Scalar;
  using Element = input_element<M, S>;
  if constexpr (!requires(C& ctx, const Sequences& s, Rows<const Element, M::input_width> x,
                          Rows<S, M::output_width> y, Weights<M, S> w,
                          saved_of<M, S>& saved) { M::forward(ctx, s, x, y, w, saved); }) {
    static_assert(cannot_be_called<M>,
                  "sma::Network requires every module's forward to be callable as "
                  "M::forward(ctx, sequences, x, y, weights, saved)");
    return false;
  } else if constexpr (!requires(C& ctx, const Sequences& s, Rows<const S, M::output_width> dy,
                                 Rows<Element, M::input_width> dx, Weights<M, S> w, Gradients<M, S> g,
                                 saved_of<M, S>& saved) { M::backward(ctx, s, dy, dx, w, g, saved); }) {
    static_assert(cannot_be_called<M>,
                  "sma::Network requires every module's backward to be callable as "
                  "M::backward(ctx, sequences, dy, dx, weights, gradients, saved)");
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

// ---- layout: four contiguous regions and two counters, all offsets known at compile time ------------------------

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
  const S* data = nullptr;
  S* buffer_data = nullptr;
  double* metric_data = nullptr;  // null while streaming
  Index trace = 0;                // first column of this instance in the trace
  Index instance = 0;             // unique number of this instance in the network

  [[nodiscard]] auto tensors() const { return parameters_of<M>::template tensors<const S>(data); }
  [[nodiscard]] auto buffers() const { return buffers_of<M>::template tensors<S>(buffer_data); }
};

/// A module instance's parameter gradients; backward adds to them.
template <class M, class S>
struct Gradients {
  S* data = nullptr;

  [[nodiscard]] auto tensors() const { return parameters_of<M>::template tensors<S>(data); }
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

// ---- the table of tensors --------------------------------------------------------------------------------------

namespace detail {

struct ModuleTable;

/// A child of a module: `count` instances that each take `each`, the first after `before` of the module's own extent.
struct ChildRow {
  std::string_view name;
  Index count;
  Extent before;
  Extent each;
  const ModuleTable* table;
};

/// A description's tensors and children as data: what is done by name is compiled once for all networks.
struct ModuleTable {
  std::span<const TensorRow> parameters;
  std::span<const TensorRow> buffers;
  std::span<const TensorRow> metrics;
  std::span<const ChildRow> children;
};

template <class M>
constexpr auto make_child_rows();

template <class M>
inline constexpr std::array<ChildRow, children_of<M>::size> child_rows = make_child_rows<M>();

template <class M>
inline constexpr ModuleTable module_table{parameters_of<M>::table, buffers_of<M>::table, metrics_of<M>::table,
                                          child_rows<M>};

template <class M, std::size_t N>
constexpr ChildRow make_child_row() {
  using Entry = typename children_of<M>::template at<N>;
  return {Entry::name.view(), Entry::count, child_offset<M, N>(), extent_of<typename Entry::module>,
          &module_table<typename Entry::module>};
}

template <class M>
constexpr auto make_child_rows() {
  return boost::hana::unpack(
      boost::hana::make_range(boost::hana::size_c<0>, boost::hana::size_c<children_of<M>::size>),
      [](auto... i) {
        return std::array<ChildRow, sizeof...(i)>{make_child_row<M, decltype(i)::value>()...};
      });
}

/// Calls visit(table, path, offsets) for a module and, in order, for everything inside it.
template <class Visitor>
SMA_RARE void visit_modules(const ModuleTable& table, const std::string& path, const Extent& at,
                            Visitor& visit) {
  visit(table, path, at);
  for (const ChildRow& child : table.children) {
    const std::string name = join_path(path, child.name);
    for (Index k = 0; k < child.count; ++k)
      visit_modules(*child.table, child.count == 1 ? name : join_path(name, std::to_string(k)),
                    at + child.before + child.each * k, visit);
  }
}

/// The tensors of one list of every module, in one region of the layout.
SMA_RARE inline std::vector<TensorEntry> tensor_entries(const ModuleTable& network,
                                                        std::span<const TensorRow> ModuleTable::*list,
                                                        Index Extent::*region) {
  std::vector<TensorEntry> out;
  const auto visit = [&](const ModuleTable& module, const std::string& path, const Extent& at) {
    Index offset = at.*region;
    for (const TensorRow& tensor : module.*list) {
      out.push_back({join_path(path, tensor.name),
                     offset,
                     {tensor.extents.begin(), tensor.extents.end()},
                     tensor.size});
      offset += tensor.size;
    }
  };
  visit_modules(network, "", Extent{}, visit);
  return out;
}

}  // namespace detail

/// Names, offsets and shapes of all parameters of M, in storage order.
template <class M>
std::vector<TensorEntry> parameter_entries() {
  return detail::tensor_entries(detail::module_table<M>, &detail::ModuleTable::parameters, &Extent::weights);
}

/// The same for buffers (running statistics).
template <class M>
std::vector<TensorEntry> buffer_entries() {
  return detail::tensor_entries(detail::module_table<M>, &detail::ModuleTable::buffers, &Extent::buffers);
}

/// The same for metrics.
template <class M>
std::vector<TensorEntry> metric_entries() {
  return detail::tensor_entries(detail::module_table<M>, &detail::ModuleTable::metrics, &Extent::metrics);
}

namespace detail {
/// Initial values of a tensor list at `data`; each tensor draws from a stream of its own, keyed by its offset.
template <class S>
void initialize_list(std::span<const TensorRow> list, S* data, std::uint64_t seed, Index offset) {
  for (const TensorRow& tensor : list) {
    RandomSequence random(seed, static_cast<std::uint64_t>(offset));
    for (Index i = 0; i < tensor.size; ++i) data[offset + i] = static_cast<S>(tensor.initial(random, i));
    offset += tensor.size;
  }
}

template <class S>
SMA_RARE void initialize_tensors(const ModuleTable& network, S* weights, S* buffers, std::uint64_t seed) {
  const auto visit = [&](const ModuleTable& module, const std::string&, const Extent& at) {
    initialize_list(module.parameters, weights, seed, at.weights);
    initialize_list(module.buffers, buffers, seed, at.buffers);
  };
  visit_modules(network, "", Extent{}, visit);
}
}  // namespace detail

/// Fills parameters and buffers of M with their initial values. The values depend on the seed alone.
template <class M, class S>
void initialize(S* weights, S* buffers, std::uint64_t seed) {
  detail::initialize_tensors(detail::module_table<M>, weights, buffers, seed);
}

// ---- observing -------------------------------------------------------------------------------------------------

/// Shows a module's output to the context's watch, where there is one. Whoever calls a child's forward does so after it.
template <class C, class M, class S, class Out, Index Width>
void observe(C& ctx, const Weights<M, S>& w, const Sequences& s, const Rows<Out, Width>& y) {
  if (ctx.watch != nullptr) [[unlikely]]
    ctx.watch->template look<typename C::Backend>(w.instance, s, y.data, y.rows, Width, y.stride);
}

// ---- adding ----------------------------------------------------------------------------------------------------

/// y = base + M(x), in one pass where M can: base may be null (y = M(x)) or y itself (y += M(x)).
template <class M, class C, class In, class S, Index Width>
void forward_onto(C& ctx, const Sequences& s, In x, Rows<const S, Width> base, Rows<S, Width> y,
                  Weights<M, S> w, saved_of<M, S>& saved) {
  if constexpr (requires { M::forward_onto(ctx, s, x, base, y, w, saved); }) {
    M::forward_onto(ctx, s, x, base, y, w, saved);
  } else {
    const bool adds = base.data == y.data;
    auto scope = ctx.scope();
    const Rows<S, Width> out = adds ? ctx.template scratch_rows<Width>(s.rows) : y;
    M::forward(ctx, s, x, out, w, saved);
    if (base) ctx.launch(kernels::AddRows<S, Width>{adds ? Rows<const S, Width>(out) : base, y});
  }
  if constexpr (sequences_per_output<M>() == 0) observe(ctx, w, s, y);
}

/// dx = base + what M's backward gives for it (nothing where dx is null), in one pass where M can; base as in forward_onto.
template <class M, class C, class DY, class S, Index In>
void backward_onto(C& ctx, const Sequences& s, DY dy, Rows<const S, In> base, Rows<S, In> dx, Weights<M, S> w,
                   Gradients<M, S> g, saved_of<M, S>& saved) {
  if constexpr (requires { M::backward_onto(ctx, s, dy, base, dx, w, g, saved); }) {
    M::backward_onto(ctx, s, dy, base, dx, w, g, saved);
  } else {
    const bool adds = dx && base.data == dx.data;
    auto scope = ctx.scope();
    const Rows<S, In> out = adds ? ctx.template scratch_rows<In>(s.rows) : dx;
    M::backward(ctx, s, dy, out, w, g, saved);
    if (dx && base) ctx.launch(kernels::AddRows<S, In>{adds ? Rows<const S, In>(out) : base, dx});
  }
}

// ---- the shape of the output -----------------------------------------------------------------------------------

/// The sequences of M's output for an input with sequences `s`; the same unless M says otherwise (pooling).
template <class M, class C>
Sequences output_sequences(C& ctx, const Sequences& s) {
  if constexpr (requires { M::layout(ctx, s); })
    return M::layout(ctx, s);
  else
    return s;
}

/// One streaming step: row x at time `s.positions[0]` to row y. Row-wise modules need no state and run forward on it.
template <class M, class C, class In, class Out, class S>
void step_module(C& ctx, const Sequences& s, In x, Out y, Weights<M, S> w, stream_of<M, S>& stream) {
  auto scope = ctx.scope();
  if constexpr (requires { M::step(ctx, s, x, y, w, stream); }) {
    M::step(ctx, s, x, y, w, stream);
  } else if constexpr (!is_rowwise<M>()) {
    static_assert(cannot_be_called<M>,
                  "sma::Network::step(stream, x, y) requires every module's step to be callable as "
                  "M::step(ctx, sequences, x, y, weights, stream)");
  } else {
    saved_of<M, S> saved{};
    M::forward(ctx, s, x, y, w, saved);
  }
  observe(ctx, w, s, y);
}

}  // namespace sma
