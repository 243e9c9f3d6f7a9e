#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <sma/base/sequences.hpp>
#include <sma/train/trainer_options.hpp>
#include <span>
#include <string>
#include <tasks/common/training_data.hpp>
#include <vector>

namespace tasks {

/// How far a layer's working memory reaches: distances in steps between an element and those that it sees, counted in octaves.
class Spans {
 public:
  /// The elements of one sequence stand at `active`, ascending. Each sees the `window` (0: all) before it and, unless causal, after it.
  void add(const std::vector<sma::Index>& active, sma::Index window, bool causal);
  /// Of all pairs of elements that see each other, and of the farthest one that each element sees; 0 where there are none.
  [[nodiscard]] double mean() const { return pairs_ > 0 ? sum_ / static_cast<double>(pairs_) : 0.0; }
  [[nodiscard]] double mean_reach() const {
    return elements_ > 0 ? reach_ / static_cast<double>(elements_) : 0.0;
  }
  /// [k]: distances from 2^k to 2^(k+1) - 1.
  [[nodiscard]] const std::array<std::int64_t, 24>& octaves() const { return octaves_; }

 private:
  void count_distance(sma::Index distance);

  std::array<std::int64_t, 24> octaves_{};
  double sum_ = 0;
  double reach_ = 0;
  std::int64_t pairs_ = 0;
  std::int64_t elements_ = 0;
};

/// Each layer's activation in each sequence, and how far its memory reaches. One router a layer, each of one branch.
class Statistics {
 public:
  Statistics(sma::Index layers, sma::Index window, bool causal);
  /// What `infer` traced of some sequences: (rows, layers), 0 where a step is skipped.
  void add(std::span<const Real> trace, const sma::Sequences& s);
  /// As JSON: what scripts/figures draws (the paper's Figure 3).
  void write(const std::string& path) const;

 private:
  struct Layer {
    std::vector<double> activation;  // of each sequence
    Spans spans;
  };
  std::vector<Layer> layers_;
  sma::Index window_;
  bool causal_;
  double rows_ = 0;
  sma::Index sequences_ = 0;
};

/// Writes the statistics of up to `most` test examples.
template <class Model, class Net, class Data>
void write_statistics(Net& net, Data& data, const std::string& path, sma::Index most = 200) {
  using Layer = typename Model::layer;
  Statistics statistics(Net::trace_width, Layer::span::size, Layer::causal);
  const sma::Index examples = std::min(most, data.size(sma::Split::test));
  for (sma::Index i = 0; i < examples; ++i) {
    sma::Batch<typename Net::Element, Net::input_width> x;
    std::vector<std::int32_t> targets;
    data.example(sma::Split::test, i, x, targets);
    std::vector<Real> trace(static_cast<std::size_t>(x.rows() * Net::trace_width));
    net.infer(x, trace);
    statistics.add(trace, x.sequences());
  }
  statistics.write(path);
}

}  // namespace tasks
