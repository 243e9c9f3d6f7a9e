#pragma once

#include <array>
#include <sma/base/hana.hpp>
#include <sma/module/layout.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The table of a network's tensors.
namespace sma {

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
[[gnu::cold]] void visit_modules(const ModuleTable& table, const std::string& path, const Extent& at,
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
inline std::vector<TensorEntry> tensor_entries(const ModuleTable& network,
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
void initialize_tensors(const ModuleTable& network, S* weights, S* buffers, std::uint64_t seed) {
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

}  // namespace sma
