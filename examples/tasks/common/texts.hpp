#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <sma/base/sequences.hpp>
#include <sma/io/atomic_file.hpp>
#include <string>
#include <vector>

namespace tasks {

/// A text as a network reads it, and as a person does.
struct ShownText {
  std::vector<std::int32_t> tokens;
  std::vector<std::string> characters;  // of each token
  std::vector<std::int32_t> targets;    // of each token; below 0: none
};

/// Writes the routers' confidences at each character as JSON, 0 where a step is skipped, and which targets were met: what
/// scripts/plot.py draws (the paper's Figure 4, of text). One router a layer, each of one branch.
template <class Net>
void write_texts(Net& net, const std::vector<ShownText>& texts, const std::string& path) {
  sma::Batch<sma::Token, 1> x;
  for (const ShownText& text : texts) x.append(text.tokens);
  std::vector<typename Net::Compute> trace(
      static_cast<std::size_t>(x.rows() * Net::trace_width));  // (rows, layers)
  const auto y = net.infer(x, trace);
  const sma::Sequences s = x.sequences();

  auto out = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const sma::Index begin = s.begin(static_cast<sma::Index>(i));
    auto layers = nlohmann::ordered_json::array();
    for (sma::Index layer = 0; layer < Net::trace_width; ++layer) {
      std::vector<double> confidences;
      for (std::size_t t = 0; t < texts[i].tokens.size(); ++t) {
        const auto c =
            trace[(static_cast<std::size_t>(begin) + t) * static_cast<std::size_t>(Net::trace_width) +
                  static_cast<std::size_t>(layer)];
        confidences.push_back(std::round(1e4 * static_cast<double>(c)) / 1e4);
      }
      layers.push_back(confidences);
    }
    std::vector<int> right, wrong;
    for (std::size_t t = 0; t < texts[i].targets.size(); ++t) {
      if (texts[i].targets[t] < 0) continue;
      const auto* logits = y.host().row(begin + static_cast<sma::Index>(t));
      const auto predicted = std::max_element(logits, logits + Net::output_width) - logits;
      (predicted == texts[i].targets[t] ? right : wrong).push_back(static_cast<int>(t));
    }
    out.push_back(
        {{"characters", texts[i].characters}, {"right", right}, {"wrong", wrong}, {"layers", layers}});
  }
  sma::write_file_atomically(path, nlohmann::ordered_json{{"texts", out}}.dump() + "\n");
}

}  // namespace tasks
