#pragma once

#include <cmath>
#include <cstdio>
#include <sma/base/type_name.hpp>
#include <sma/compose/plan.hpp>
#include <sma/module/module.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace sma {

/// A module of a network, as `describe` lists them: the network first, each module before its parts.
struct DescribedModule {
  int depth = 0;     // of the network 0
  std::string name;  // in its parent; empty where it has none
  std::string type;  // without namespaces, with its numbers
  Index count = 1;   // instances, one after another
  Index input_width = 0, output_width = 0;
  Index parameters = 0;  // of one instance, its parts included
  double flops = 0;      // of a row of its input: forward, useful ones by formula
  Reach reach = Reach::sequence;
  std::string output;  // what becomes of its output where it passes on: kept, remade, forgotten
};

namespace detail {

constexpr const char* text_of(Fate fate) {
  return fate == Fate::kept ? "kept" : fate == Fate::remade ? "remade" : "forgotten";
}

/// What becomes of the output of M's part N for backward, where that is M's to decide.
template <class M, class C, std::size_t N>
constexpr const char* fate_of_part() {
  if constexpr (requires { M::template plan<C>; }) {
    if constexpr (N + 1 < children_of<M>::size) return text_of(M::template plan<C>.fates[N]);
  } else if constexpr (requires { M::template between<C>; }) {
    return text_of(M::template between<C>);
  }
  return "";
}

/// What is known of a module without running anything.
struct ModuleFacts {
  int depth = 0;
  std::string_view name = {}, type = {};
  Index count = 1, input_width = 0, output_width = 0, parameters = 0;
  double flops = 0;
  Reach reach = Reach::sequence;
  const char* output = "";
};

[[gnu::cold]] inline DescribedModule described(const ModuleFacts& m) {
  return {m.depth,
          std::string(m.name),
          shortened_type_name(m.type),
          m.count,
          m.input_width,
          m.output_width,
          m.parameters,
          m.flops,
          m.reach,
          m.output};
}

/// Lists M, of which its parent says `own`, and its parts.
template <class M, class C>
[[gnu::cold]] void describe_module(std::vector<DescribedModule>& out, ModuleFacts own, const Load& at) {
  if constexpr (Module<M>) {
    own.input_width = M::input_width;
    own.output_width = M::output_width;
  }
  own.parameters = parameter_count<M>;
  own.flops = flops_of<M>(at);
  own.reach = reach_of<M>();
  out.push_back(described(own));
  [&]<class... Cs>(Children<Cs...>) {
    [&]<std::size_t... N>(std::index_sequence<N...>) {
      (describe_module<typename Cs::module, C>(out,
                                               {.depth = own.depth + 1,
                                                .name = Cs::name.view(),
                                                .type = type_name<typename Cs::declared>(),
                                                .count = Cs::count,
                                                .output = fate_of_part<M, C, N>()},
                                               load_of_part<M>(N, at)),
       ...);
    }(std::index_sequence_for<Cs...>{});
  }(children_of<M>{});
}

inline std::string with_commas(Index number) {
  std::string text = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3)
    text.insert(static_cast<std::size_t>(at), ",");
  return text;
}

[[gnu::cold]] inline std::string table_of(const std::vector<DescribedModule>& modules) {
  char line[256];
  std::snprintf(line, sizeof line, "%-44s %-34s %11s %12s %14s %s\n", "name", "module", "shape", "parameters",
                "operations/row", "output");
  std::string text = line;
  for (const DescribedModule& m : modules) {
    const std::string name = std::string(static_cast<std::size_t>(2 * m.depth), ' ') +
                             (m.depth == 0     ? "(network)"
                              : m.name.empty() ? "."
                                               : m.name) +
                             (m.count > 1 ? " x " + std::to_string(m.count) : "");
    const std::string shape = std::to_string(m.input_width) + " > " + std::to_string(m.output_width);
    std::snprintf(line, sizeof line, "%-44s %-34s %11s %12s %14s %s\n", name.c_str(), m.type.c_str(),
                  shape.c_str(), with_commas(m.parameters).c_str(),
                  with_commas(static_cast<Index>(std::llround(m.flops))).c_str(), m.output.c_str());
    text += line;
    while (text.size() > 1 && text[text.size() - 2] == ' ') text.erase(text.size() - 2, 1);
  }
  return text;
}

}  // namespace detail

/// The modules of a network type, with rows of sequences of `at.length` rows of which routers' branches see the share `at.active`.
template <class Net>
std::vector<DescribedModule> modules_of(const Load& at = {}) {
  std::vector<DescribedModule> out;
  detail::describe_module<typename Net::description, typename Net::Ctx>(
      out, {.type = type_name<typename Net::description>()}, at);
  return out;
}

/// The same as a table for people: the tree with names, shapes, parameters, operations a row, and what is kept of outputs for backward.
template <class Net>
std::string describe(const Load& at = {}) {
  return detail::table_of(modules_of<Net>(at));
}

}  // namespace sma
