#pragma once

#include <sma/module/module.hpp>
#include <string_view>
#include <type_traits>
#include <utility>

/// Compile-time checks of a whole description, before a network takes it: tensors have paths of their own, and a named composition
/// runs as what it derives from.
namespace sma {

namespace detail {

// Paths.

/// Paths that checkpoints keep for themselves, with all that stands below them.
inline constexpr std::string_view reserved_paths[] = {"optimizer.first_moment", "optimizer.second_moment",
                                                      "training.counters", "training.numbers",
                                                      "__metadata__"};

/// A path that grows and shrinks by names.
struct PathText {
  char text[512]{};
  std::size_t size = 0;

  [[nodiscard]] constexpr std::string_view view() const { return {text, size}; }
  /// Appends a name; nothing for an empty one.
  constexpr void append(std::string_view name) {
    if (name.empty()) return;
    if (size > 0) text[size++] = '.';
    for (const char c : name)
      if (size + 1 < sizeof(text)) text[size++] = c;
  }
};

/// Calls visit(path) for the tensors below a module, of repeated children only the first, until one call returns true. `path` is
/// the module's, and is so again at the end.
template <class Visit>
constexpr bool any_path(const ModuleTable& module, bool metrics, PathText& path, const Visit& visit) {
  const std::size_t size = path.size;
  const auto any_tensor = [&](std::span<const TensorRow> list) {
    for (const TensorRow& tensor : list) {
      path.append(tensor.name);
      const bool found = visit(path.view());
      path.size = size;
      if (found) return true;
    }
    return false;
  };
  if (metrics ? any_tensor(module.metrics) : any_tensor(module.parameters) || any_tensor(module.buffers))
    return true;
  for (const ChildRow& child : module.children) {
    path.append(child.name);
    if (child.count > 1) path.append("0");
    const bool found = any_path(*child.table, metrics, path, visit);
    path.size = size;
    if (found) return true;
  }
  return false;
}

/// Takes `name` and a dot from the front of a path.
constexpr bool take_name(std::string_view& path, std::string_view name) {
  if (name.empty()) return true;
  if (path.size() <= name.size() || path[name.size()] != '.' || path.substr(0, name.size()) != name)
    return false;
  path.remove_prefix(name.size() + 1);
  return true;
}
/// Takes a number below `count` and a dot from the front of a path.
constexpr bool take_number(std::string_view& path, Index count) {
  Index number = 0;
  std::size_t digits = 0;
  while (digits < path.size() && digits < 9 && path[digits] >= '0' && path[digits] <= '9')
    number = 10 * number + (path[digits++] - '0');
  if (digits == 0 || number >= count || digits == path.size() || path[digits] != '.') return false;
  path.remove_prefix(digits + 1);
  return true;
}

/// Whether a path below one name can be a path below the other.
constexpr bool can_meet(std::string_view a, std::string_view b) {
  std::string_view rest_of_a = a, rest_of_b = b;
  return a == b || take_name(rest_of_b, a) || take_name(rest_of_a, b);
}

constexpr bool has_path(const ModuleTable& module, bool metrics, std::string_view path);

constexpr bool has_path(const ChildRow& child, bool metrics, std::string_view path) {
  if (!take_name(path, child.name) || (child.count > 1 && !take_number(path, child.count))) return false;
  return has_path(*child.table, metrics, path);
}
/// Whether one of the tensors below a module has this path.
constexpr bool has_path(const ModuleTable& module, bool metrics, std::string_view path) {
  const auto is_here = [path](std::span<const TensorRow> list) {
    for (const TensorRow& tensor : list)
      if (tensor.name == path) return true;
    return false;
  };
  if (metrics ? is_here(module.metrics) : is_here(module.parameters) || is_here(module.buffers)) return true;
  for (const ChildRow& child : module.children)
    if (has_path(child, metrics, path)) return true;
  return false;
}

/// What a module owns, numbered: its parameters, then its buffers, metrics, children.
struct Entries {
  const ModuleTable& module;

  [[nodiscard]] constexpr std::size_t tensors() const {
    return module.parameters.size() + module.buffers.size() + module.metrics.size();
  }
  [[nodiscard]] constexpr std::size_t size() const { return tensors() + module.children.size(); }
  [[nodiscard]] constexpr bool is_metric(std::size_t i) const {
    return i >= module.parameters.size() + module.buffers.size() && i < tensors();
  }
  [[nodiscard]] constexpr std::string_view name(std::size_t i) const {
    const std::size_t parameters = module.parameters.size();
    const std::size_t buffers = parameters + module.buffers.size();
    if (i < parameters) return module.parameters[i].name;
    if (i < buffers) return module.buffers[i - parameters].name;
    if (i < tensors()) return module.metrics[i - buffers].name;
    return module.children[i - tensors()].name;
  }
  [[nodiscard]] constexpr const ChildRow* child(std::size_t i) const {
    return i < tensors() ? nullptr : &module.children[i - tensors()];
  }

  /// Whether a tensor of entry i has the path of one of entry j, j behind i.
  [[nodiscard]] constexpr bool clash(std::size_t i, std::size_t j) const {
    const ChildRow* a = child(i);
    const ChildRow* b = child(j);
    if (b == nullptr) return is_metric(i) == is_metric(j) && name(i) == name(j);
    if (a == nullptr) return has_path(*b, is_metric(i), name(i));
    if (!can_meet(a->name, b->name)) return false;
    if (a->name == b->name && !a->name.empty()) return true;
    return meet(*a, *b, false) || meet(*b, *a, false) || meet(*a, *b, true) || meet(*b, *a, true);
  }

 private:
  static constexpr bool meet(const ChildRow& a, const ChildRow& b, bool metrics) {
    PathText path;
    path.append(a.name);
    if (a.count > 1) path.append("0");
    return any_path(*a.table, metrics, path,
                    [&](std::string_view found) { return has_path(b, metrics, found); });
  }
};

/// The first two entries that clash; both `size()` where none do.
constexpr std::pair<std::size_t, std::size_t> find_clash(const ModuleTable& module) {
  const Entries entries{module};
  for (std::size_t j = 1; j < entries.size(); ++j)
    for (std::size_t i = 0; i < j; ++i)
      if (entries.clash(i, j)) return {i, j};
  return {entries.size(), entries.size()};
}

/// The first entry whose name cannot stand in a path: empty for a tensor, or with control characters; `size()` where all can.
constexpr std::size_t find_unspeakable(const ModuleTable& module) {
  const Entries entries{module};
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries.child(i) == nullptr && entries.name(i).empty()) return i;
    for (const char c : entries.name(i))
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return i;
  }
  return entries.size();
}

constexpr bool is_reserved(std::string_view path) {
  for (const std::string_view reserved : reserved_paths) {
    std::string_view rest = path;
    if (path == reserved || take_name(rest, reserved)) return true;
  }
  return false;
}
constexpr bool has_reserved_path(const ModuleTable& network) {
  PathText path;
  return any_path(network, false, path, is_reserved);
}

template <class Parameters, class Buffers, class Metrics, class Children>
struct EntryTypes;
template <class... Ps, class... Bs, class... Ms, class... Cs>
struct EntryTypes<Parameters<Ps...>, Parameters<Bs...>, Parameters<Ms...>, Children<Cs...>> {
  using type = std::tuple<Ps..., Bs..., Ms..., Cs...>;
};
/// Entry number N of M: a `Param`, or a `Child`.
template <class M, std::size_t N>
using entry_at = std::tuple_element_t<
    N, typename EntryTypes<parameters_of<M>, buffers_of<M>, metrics_of<M>, children_of<M>>::type>;

template <class M>
constexpr bool check_own_names() {
  constexpr auto clash = find_clash(module_table<M>);
  constexpr std::size_t unspeakable = find_unspeakable(module_table<M>);
  constexpr std::size_t size = Entries{module_table<M>}.size();
  if constexpr (unspeakable < size) {
    static_assert(cannot_be_named<M, entry_at<M, unspeakable>>,
                  "sma::Network requires names without control characters, and tensors with a name");
    return false;
  } else if constexpr (clash.first < size) {
    static_assert(have_one_name<M, entry_at<M, clash.first>, entry_at<M, clash.second>>,
                  "sma::Network requires the parameters, buffers, metrics and children of a module to have "
                  "different names, so that no two tensors have one path");
    return false;
  } else {
    return true;
  }
}

/// Whether all paths below M differ. Compiled once a module type.
template <class M>
inline constexpr bool names_differ = [] {
  constexpr bool inside = []<class... Cs>(Children<Cs...>) {
    return (names_differ<typename Cs::module> && ... && true);
  }(children_of<M>{});
  if constexpr (inside)
    return check_own_names<M>();
  else
    return false;
}();

template <class M>
constexpr bool check_names() {
  if constexpr (!names_differ<M>) {
    return false;
  } else if constexpr (has_reserved_path(module_table<M>)) {
    static_assert(cannot_be_named<M>,
                  "sma::Network requires paths that checkpoints do not keep for themselves: "
                  "optimizer.first_moment, optimizer.second_moment, training.counters, training.numbers, "
                  "__metadata__");
    return false;
  } else {
    return true;
  }
}

// Named compositions.

template <class T>
struct Apart : T {};
/// A name that M declares anew means two things here; one that it inherits from its composition, one.
template <class M>
struct WithComposition : M, Apart<canonical<M>> {};

/// Whether `Who` has a function that compositions call, asked with D's arguments.
template <class Who, class D, class C>
consteval bool can_call(Member function) {
  using A = Arguments<D, C>;
  using S = typename C::Scalar;
  using Y = target_of<D, C>;
  using DX = input_target_of<D, C>;
  switch (function) {
    case Member::forward:
      return ForwardTo<Who, C, Y, A> || ForwardTo<Who, C, typename A::Y, A>;
    case Member::backward:
      return BackwardOfInput<Who, C, DX, A> || BackwardOfInput<Who, C, typename A::DX, A> ||
             BackwardAlone<Who, C, DX, A> || BackwardAlone<Who, C, typename A::DX, A>;
    case Member::apply:
      return AppliesInput<Who, C, A> || AppliesAlone<Who, C, A>;
    case Member::step:
      return requires(C& ctx, const Sequences& s, typename A::X x, typename A::Y y, typename A::W w,
                      stream_of<D, S>& stream) { Who::step(ctx, s, x, y, w, stream); };
    case Member::layout:
      return requires(C& ctx, const Sequences& s) { Who::layout(ctx, s); };
    default:
      return false;
  }
}

/// The member of M, a named composition, that is not what its composition has, and would not be asked.
template <class M, class C>
consteval Member changed_member() {
  using D = canonical<M>;
  using S = typename C::Scalar;
  constexpr Member functions[] = {Member::forward, Member::backward, Member::apply, Member::step,
                                  Member::layout};
  for (const Member function : functions)
    if (can_call<D, D, C>(function) ? !can_call<WithComposition<M>, D, C>(function)
                                    : can_call<M, D, C>(function))
      return function;
  const std::pair<Member, bool> same[] = {
      {Member::Parameters, std::is_same_v<parameters_of<M>, parameters_of<D>>},
      {Member::Buffers, std::is_same_v<buffers_of<M>, buffers_of<D>>},
      {Member::Metrics, std::is_same_v<metrics_of<M>, metrics_of<D>>},
      {Member::Children, std::is_same_v<children_of<M>, children_of<D>>},
      {Member::Saved, std::is_same_v<saved_of<M, S>, saved_of<D, S>>},
      {Member::Stream, std::is_same_v<stream_of<M, S>, stream_of<D, S>>},
      {Member::input_width, M::input_width == D::input_width},
      {Member::output_width, M::output_width == D::output_width},
      {Member::reach, reach_of<M>() == reach_of<D>()},
      {Member::couples_batch, couples_batch<M>() == couples_batch<D>()},
      {Member::takes_tokens, takes_tokens<M>() == takes_tokens<D>()},
      {Member::sequences_per_output, sequences_per_output<M>() == sequences_per_output<D>()},
      {Member::trace_width, own_trace_width<M>() == own_trace_width<D>()}};
  for (const auto& [member, is_same] : same)
    if (!is_same) return member;
  return Member::none;
}

/// The first member that M, as declared, has changed of the composition that runs in its place.
template <class M, class C>
constexpr Member changed_of_composition() {
  if constexpr (std::is_same_v<M, canonical<M>> || !Module<M>)
    return Member::none;
  else
    return changed_member<M, C>();
}

/// Whether M and what is inside it, as declared, run as the compositions that they derive from.
template <class M, class C>
constexpr bool check_compositions() {
  constexpr bool inside = []<class... Cs>(Children<Cs...>) {
    return (check_compositions<typename Cs::declared, C>() && ... && true);
  }(children_of<M>{});
  if constexpr (!inside) {
    return false;
  } else {
    constexpr Member changed = changed_of_composition<M, C>();
    if constexpr (changed != Member::none)
      static_assert(
          changes_composition<M, Changes<changed>>,
          "struct M : sma::Composition<...> requires M to leave the members of its composition as they "
          "are: what runs is the composition");
    return changed == Member::none;
  }
}

/// All of a network's checks of its description. Each says what is wrong, once.
template <class M, class C>
constexpr bool check_network() {
  if constexpr (check_description<M, C>())
    if constexpr (check_compositions<M, C>()) return check_names<canonical<M>>();
  return false;
}

}  // namespace detail

}  // namespace sma
