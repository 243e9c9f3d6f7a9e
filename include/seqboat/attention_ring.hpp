#pragma once

#include <algorithm>
#include <cstddef>
#include <sma/base/sequences.hpp>
#include <sma/base/views.hpp>

namespace seqboat {
namespace detail {

using sma::Index;

/// What a stream's attention remembers: the last Window + 1 elements' keys, values and positions; element n stands in slot
/// n % (Window + 1). Plain data; all zero is empty.
template <class S, Index QueryWidth, Index ValueWidth, Index Window>
struct AttentionRing {
  static constexpr Index slots = Window + 1;

  S keys[static_cast<std::size_t>(slots * QueryWidth)];
  S values[static_cast<std::size_t>(slots * ValueWidth)];
  sma::Position positions[static_cast<std::size_t>(slots)];
  Index steps;  // elements so far

  void remember(const S* key, const S* value, sma::Position position) {
    const Index slot = steps++ % slots;
    std::copy_n(key, QueryWidth, keys + slot * QueryWidth);
    std::copy_n(value, ValueWidth, values + slot * ValueWidth);
    positions[slot] = position;
  }

  /// Whether steps may have left this: the positions listed increase. They need not be the stream's times: a module may have moved them.
  [[nodiscard]] bool is_sound(sma::Position) const {
    if (steps < 0 || steps > sma::latest_position) return false;
    sma::Position last = -sma::latest_position - 1;
    for (Index n = steps - std::min<Index>(steps, slots); n < steps; ++n) {
      if (positions[n % slots] <= last) return false;
      last = positions[n % slots];
    }
    return true;
  }

  /// Elements that the next one sees beside itself.
  [[nodiscard]] Index past() const { return std::min<Index>(steps, Window); }
  /// Writes those, oldest first, to rows 0, 1, ... of k and v and to `at`.
  void list(sma::Rows<S, QueryWidth> k, sma::Rows<S, ValueWidth> v, sma::Position* at) const {
    const Index count = past();
    for (Index i = 0; i < count; ++i) {
      const Index slot = (steps - count + i) % slots;
      std::copy_n(keys + slot * QueryWidth, QueryWidth, k.row(i));
      std::copy_n(values + slot * ValueWidth, ValueWidth, v.row(i));
      at[i] = positions[slot];
    }
  }
};

}  // namespace detail
}  // namespace seqboat
