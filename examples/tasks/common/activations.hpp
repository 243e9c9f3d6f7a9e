#pragma once

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sma/io/atomic_file.hpp>
#include <string>
#include <tasks/common/training_data.hpp>
#include <vector>

namespace tasks {

/// Writes the routers' confidences on the first `pictures` test pictures as JSON, 0 where a step is skipped: what scripts/plot.py
/// draws (the paper's Figure 4). One router a layer, each of one branch. A picture that is no square is written as one row.
template <class Net, class Data>
void write_activations(Net& net, Data& data, const std::string& path, sma::Index pictures = 6) {
  typename Data::Input x;
  std::vector<std::int32_t> labels;
  const sma::Index count = std::min(pictures, data.size(sma::Split::test));
  for (sma::Index i = 0; i < count; ++i) data.example(sma::Split::test, i, x, labels);
  std::vector<typename Net::Compute> trace(
      static_cast<std::size_t>(x.rows() * Net::trace_width));  // (rows, layers)
  const auto y = net.infer(x, trace);
  const sma::Sequences s = x.sequences();

  auto images = nlohmann::ordered_json::array();
  for (sma::Index i = 0; i < count; ++i) {
    const auto side = static_cast<sma::Index>(std::lround(std::sqrt(static_cast<double>(s.length(i)))));
    const bool is_square = side * side == s.length(i);
    auto layers = nlohmann::ordered_json::array();
    for (sma::Index layer = 0; layer < Net::trace_width; ++layer) {
      std::vector<double> confidences;
      for (sma::Index t = s.begin(i); t < s.end(i); ++t) {
        const auto c = trace[static_cast<std::size_t>(t * Net::trace_width + layer)];
        confidences.push_back(std::round(1e4 * static_cast<double>(c)) / 1e4);
      }
      layers.push_back(confidences);
    }
    const auto pixels = data.splits().test.sequence(static_cast<std::size_t>(i));
    const auto* logits = y.host().row(i);
    images.push_back({{"label", labels[static_cast<std::size_t>(i)]},
                      {"predicted", std::max_element(logits, logits + Net::output_width) - logits},
                      {"width", is_square ? side : s.length(i)},
                      {"height", is_square ? side : 1},
                      {"pixels", std::vector<int>(pixels.begin(), pixels.end())},
                      {"layers", layers}});
  }
  sma::write_file_atomically(path, nlohmann::ordered_json{{"images", images}}.dump() + "\n");
}

}  // namespace tasks
