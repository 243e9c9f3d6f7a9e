#pragma once

#include <algorithm>
#include <numeric>
#include <sma/base/config.hpp>
#include <sma/base/sequences.hpp>
#include <vector>

namespace sma::detail {

/// How a batch is cut into lanes: contiguous groups of sequences, each about rows / lanes long. A function of the lengths and the
/// number of lanes alone.
class LaneCut {
 public:
  /// Cuts s into at most `lanes` lanes; `group` sequences at a time stay together.
  SMA_NOINLINE void cut(const Sequences& s, Index lanes, Index group) {
    cuts_.assign(1, 0);
    const auto middle_row = [&](Index sequence) {
      return (s.begin(sequence) + s.end(std::min(sequence + group, s.count) - 1) + 1) / 2;
    };
    Index sequence = 0;
    for (Index lane = 0; lane < lanes && sequence < s.count; ++lane) {
      const Index wanted = s.rows * (lane + 1) / lanes;
      Index last = sequence + group;
      while (last < s.count && (lane + 1 == lanes || middle_row(last) < wanted)) last += group;
      cuts_.push_back(last);
      sequence = last;
    }
    if (cuts_.size() == 1) cuts_.push_back(0);
    longest_first_.resize(cuts_.size() - 1);
    std::iota(longest_first_.begin(), longest_first_.end(), Index{0});
    const auto rows = [&](Index lane) { return s.begin(end(lane)) - s.begin(begin(lane)); };
    std::sort(longest_first_.begin(), longest_first_.end(),
              [&](Index a, Index b) { return rows(a) != rows(b) ? rows(a) > rows(b) : a < b; });
  }

  /// Their number: one at least, which may be empty.
  [[nodiscard]] Index lanes() const { return static_cast<Index>(longest_first_.size()); }
  /// A lane's first sequence and the one behind its last.
  [[nodiscard]] Index begin(Index lane) const { return cuts_[static_cast<std::size_t>(lane)]; }
  [[nodiscard]] Index end(Index lane) const { return begin(lane + 1); }
  /// The lanes, longest first.
  [[nodiscard]] Index by_length(Index turn) const { return longest_first_[static_cast<std::size_t>(turn)]; }

 private:
  std::vector<Index> cuts_{0, 0};  // (lanes + 1)
  std::vector<Index> longest_first_{0};
};

}  // namespace sma::detail
