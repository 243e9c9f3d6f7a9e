#pragma once

#include <sma/module/layout.hpp>
#include <utility>
#include <vector>

namespace sma::detail {

/// Parameters begin .. end - 1.
struct ParameterRange {
  Index begin, end;
};

/// Appends the parameters of M, the first of which is `at`, whose gradients M does not sum over meeting shards itself (`Repeat`).
template <class M>
void append_unsummed(Index at, std::vector<ParameterRange>& out) {
  constexpr bool sums = [] {
    if constexpr (requires { M::sums_gradients; })
      return M::sums_gradients;
    else
      return false;
  }();
  if constexpr (!sums) {
    const auto append = [&](Index begin, Index count) {
      if (count == 0) return;
      if (!out.empty() && out.back().end == begin)
        out.back().end += count;
      else
        out.push_back({begin, begin + count});
    };
    append(at, own_extent<M>.weights);
    [&]<std::size_t... N>(std::index_sequence<N...>) {
      (
          [&] {
            using Entry = typename children_of<M>::template at<N>;
            for (Index k = 0; k < Entry::count; ++k)
              append_unsummed<typename Entry::module>(
                  at + child_offset<M, N>().weights + k * parameter_count<typename Entry::module>, out);
          }(),
          ...);
    }(std::make_index_sequence<children_of<M>::size>{});
  }
}

}  // namespace sma::detail
