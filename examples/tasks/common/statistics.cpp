#include <tasks/common/statistics.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sma/io/atomic_file.hpp>

namespace tasks {

void Spans::count_distance(sma::Index distance) {
  ++octaves_[static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(distance)) - 1)];
  sum_ += static_cast<double>(distance);
  ++pairs_;
}

void Spans::add(const std::vector<sma::Index>& active, sma::Index window, bool causal) {
  const auto at = [&](sma::Index i) { return active[static_cast<std::size_t>(i)]; };
  const auto count = static_cast<sma::Index>(active.size());
  for (sma::Index i = 0; i < count; ++i) {
    const sma::Index first = window == 0 ? 0 : std::max<sma::Index>(i - window, 0);
    const sma::Index last = causal ? i : window == 0 ? count - 1 : std::min(i + window, count - 1);
    for (sma::Index j = first; j <= last; ++j)
      if (j != i) count_distance(std::abs(at(j) - at(i)));
    if (count > 1) {
      reach_ += static_cast<double>(std::max(at(i) - at(first), at(last) - at(i)));
      ++elements_;
    }
  }
}

Statistics::Statistics(sma::Index layers, sma::Index window, bool causal)
    : layers_(static_cast<std::size_t>(layers)), window_(window), causal_(causal) {}

void Statistics::add(std::span<const Real> trace, const sma::Sequences& s) {
  std::vector<sma::Index> active;
  for (sma::Index q = 0; q < s.count; ++q) {
    if (s.length(q) == 0) continue;
    ++sequences_;
    rows_ += static_cast<double>(s.length(q));
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      active.clear();
      for (sma::Index t = s.begin(q); t < s.end(q); ++t)
        if (trace[static_cast<std::size_t>(t) * layers_.size() + layer] > 0) active.push_back(t - s.begin(q));
      layers_[layer].activation.push_back(static_cast<double>(active.size()) /
                                          static_cast<double>(s.length(q)));
      layers_[layer].spans.add(active, window_, causal_);
    }
  }
}

void Statistics::write(const std::string& path) const {
  auto layers = nlohmann::ordered_json::array();
  for (const auto& [activation, spans] : layers_)
    layers.push_back(
        {{"activation", activation},
         {"span",
          {{"mean", spans.mean()}, {"mean_reach", spans.mean_reach()}, {"octaves", spans.octaves()}}}});
  const nlohmann::ordered_json whole{{"window", window_},
                                     {"causal", causal_},
                                     {"sequences", sequences_},
                                     {"mean_length", rows_ / std::max(1.0, static_cast<double>(sequences_))},
                                     {"layers", layers}};
  sma::write_file_atomically(path, whole.dump() + "\n");
}

}  // namespace tasks
