#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <sma/base/sequences.hpp>
#include <sma/io/atomic_file.hpp>
#include <sma/train/trainer_options.hpp>
#include <string>
#include <vector>

namespace tasks {

/// How far a layer's working memory reaches: distances in steps between an element and those that it sees, counted in octaves.
class Spans {
 public:
  /// The elements of one sequence stand at `active`, ascending. Each sees the `window` (0: all) before it and, unless causal, after it.
  void add(const std::vector<sma::Index>& active, sma::Index window, bool causal) {
    const auto count = static_cast<sma::Index>(active.size());
    for (sma::Index i = 0; i < count; ++i) {
      const sma::Index first = window == 0 ? 0 : std::max<sma::Index>(i - window, 0);
      const sma::Index last = causal ? i : window == 0 ? count - 1 : std::min(i + window, count - 1);
      for (sma::Index j = first; j <= last; ++j)
        if (j != i) count_distance(std::abs(at(active, j) - at(active, i)));
      if (count > 1) {
        const sma::Index reach =
            std::max(at(active, i) - at(active, first), at(active, last) - at(active, i));
        reach_ += static_cast<double>(reach);
        ++elements_;
      }
    }
  }
  [[nodiscard]] nlohmann::ordered_json json() const {
    return {{"mean", pairs_ > 0 ? sum_ / static_cast<double>(pairs_) : 0.0},
            {"mean_reach", elements_ > 0 ? reach_ / static_cast<double>(elements_) : 0.0},
            {"octaves", octaves_}};
  }

 private:
  static sma::Index at(const std::vector<sma::Index>& active, sma::Index i) {
    return active[static_cast<std::size_t>(i)];
  }
  void count_distance(sma::Index distance) {
    ++octaves_[static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(distance)) - 1)];
    sum_ += static_cast<double>(distance);
    ++pairs_;
  }

  std::array<std::int64_t, 24> octaves_{};  // [k]: distances from 2^k to 2^(k+1) - 1
  double sum_ = 0;
  double reach_ = 0;
  std::int64_t pairs_ = 0;
  std::int64_t elements_ = 0;
};

/// Writes of up to `most` test examples, as JSON, each layer's activation in each sequence and how far its memory reaches: what
/// scripts/figures draws (the paper's Figure 3). One router a layer, each of one branch.
template <class Model, class Net, class Data>
void write_statistics(Net& net, Data& data, const std::string& path, sma::Index most = 200) {
  using Layer = typename Model::layer;
  constexpr sma::Index kLayers = Net::trace_width;
  std::vector<std::vector<double>> rates(static_cast<std::size_t>(kLayers));
  std::vector<Spans> spans(static_cast<std::size_t>(kLayers));
  const sma::Index examples = std::min(most, data.size(sma::Split::test));
  double rows = 0;
  sma::Index sequences = 0;
  for (sma::Index i = 0; i < examples; ++i) {
    sma::Batch<typename Net::Element, Net::input_width> x;
    std::vector<std::int32_t> targets;
    data.example(sma::Split::test, i, x, targets);
    std::vector<typename Net::Compute> trace(static_cast<std::size_t>(x.rows() * kLayers));
    net.infer(x, trace);
    const sma::Sequences s = x.sequences();
    for (sma::Index q = 0; q < s.count; ++q) {
      if (s.length(q) == 0) continue;
      ++sequences;
      rows += static_cast<double>(s.length(q));
      for (sma::Index layer = 0; layer < kLayers; ++layer) {
        std::vector<sma::Index> active;
        for (sma::Index t = s.begin(q); t < s.end(q); ++t)
          if (trace[static_cast<std::size_t>(t * kLayers + layer)] > 0) active.push_back(t - s.begin(q));
        const auto place = static_cast<std::size_t>(layer);
        rates[place].push_back(static_cast<double>(active.size()) / static_cast<double>(s.length(q)));
        spans[place].add(active, Layer::span::size, Layer::causal);
      }
    }
  }
  auto layers = nlohmann::ordered_json::array();
  for (std::size_t layer = 0; layer < rates.size(); ++layer)
    layers.push_back({{"activation", rates[layer]}, {"span", spans[layer].json()}});
  sma::write_file_atomically(
      path, nlohmann::ordered_json{{"window", Layer::span::size},
                                   {"causal", Layer::causal},
                                   {"sequences", sequences},
                                   {"mean_length", rows / std::max(1.0, static_cast<double>(sequences))},
                                   {"layers", layers}}
                    .dump() +
                "\n");
}

}  // namespace tasks
