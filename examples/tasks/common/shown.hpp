#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <sma/base/sequences.hpp>
#include <sma/train/trainer_options.hpp>
#include <span>
#include <string>
#include <tasks/common/training_data.hpp>
#include <vector>

/// Where routers opened in a few examples: what scripts/plot.py draws (the paper's Figure 4). One router a layer, each of one branch.
namespace tasks {

/// Of each layer the routers' confidence at each step, 0 where it is skipped.
using Confidences = std::vector<std::vector<double>>;

struct ShownPicture {
  std::int32_t label;
  sma::Index predicted, width, height;
  std::vector<int> pixels;
  Confidences layers;
};

/// A text as a network reads it, and as a person does.
struct ShownText {
  std::vector<std::int32_t> tokens;
  std::vector<std::string> characters;  // of each token
  std::vector<std::int32_t> targets;    // of each token; below 0: none
};
/// What became of it.
struct AnsweredText {
  std::vector<std::string> characters;
  std::vector<sma::Index> right, wrong;  // tokens whose targets were met, or not
  Confidences layers;
};

/// Rows begin .. end - 1 of what `infer` traced, (rows, layers), to four digits.
[[nodiscard]] Confidences confidences_of(std::span<const Real> trace, sma::Index layers, sma::Index begin,
                                         sma::Index end);
/// As JSON.
void write_shown(const std::vector<ShownPicture>& pictures, const std::string& path);
void write_shown(const std::vector<AnsweredText>& texts, const std::string& path);

/// Writes the first `pictures` test pictures. One that is no square is written as one row.
template <class Net, class Data>
void write_activations(Net& net, Data& data, const std::string& path, sma::Index pictures = 6) {
  typename Data::Input x;
  std::vector<std::int32_t> labels;
  const sma::Index count = std::min(pictures, data.size(sma::Split::test));
  for (sma::Index i = 0; i < count; ++i) data.example(sma::Split::test, i, x, labels);
  std::vector<Real> trace(static_cast<std::size_t>(x.rows() * Net::trace_width));
  const auto y = net.infer(x, trace);
  const sma::Sequences s = x.sequences();

  std::vector<ShownPicture> shown;
  for (sma::Index i = 0; i < count; ++i) {
    const auto side = static_cast<sma::Index>(std::lround(std::sqrt(static_cast<double>(s.length(i)))));
    const bool is_square = side * side == s.length(i);
    const auto pixels = data.splits().test.sequence(static_cast<std::size_t>(i));
    const auto* logits = y.host().row(i);
    shown.push_back(
        {labels[static_cast<std::size_t>(i)], std::max_element(logits, logits + Net::output_width) - logits,
         is_square ? side : s.length(i), is_square ? side : 1, std::vector<int>(pixels.begin(), pixels.end()),
         confidences_of(trace, Net::trace_width, s.begin(i), s.end(i))});
  }
  write_shown(shown, path);
}

/// Writes texts.
template <class Net>
void write_texts(Net& net, const std::vector<ShownText>& texts, const std::string& path) {
  sma::Batch<sma::Token, 1> x;
  for (const ShownText& text : texts) x.append(text.tokens);
  std::vector<Real> trace(static_cast<std::size_t>(x.rows() * Net::trace_width));
  const auto y = net.infer(x, trace);
  const sma::Sequences s = x.sequences();

  std::vector<AnsweredText> answered;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const sma::Index begin = s.begin(static_cast<sma::Index>(i));
    AnsweredText text{texts[i].characters,
                      {},
                      {},
                      confidences_of(trace, Net::trace_width, begin,
                                     begin + static_cast<sma::Index>(texts[i].tokens.size()))};
    for (std::size_t t = 0; t < texts[i].targets.size(); ++t) {
      if (texts[i].targets[t] < 0) continue;
      const auto* logits = y.host().row(begin + static_cast<sma::Index>(t));
      const auto predicted = std::max_element(logits, logits + Net::output_width) - logits;
      (predicted == texts[i].targets[t] ? text.right : text.wrong).push_back(static_cast<sma::Index>(t));
    }
    answered.push_back(std::move(text));
  }
  write_shown(answered, path);
}

}  // namespace tasks
