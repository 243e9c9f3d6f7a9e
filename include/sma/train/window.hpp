#pragma once

#include <algorithm>
#include <cmath>
#include <sma/base/error.hpp>
#include <sma/base/text.hpp>
#include <sma/train/activation_rates.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sma::detail {

/// Sums over the updates since the last line of the log.
struct Window {
  Index updates = 0;
  double loss = 0;     // of the rows that count
  double correct = 0;  // of them
  double counted = 0;
  double learning_rate = 0;
  double gradient_norm = 0;
  ActivationSums activation;
  double tokens = 0;
  double seconds = 0;

  void add(const Window& o) {
    updates += o.updates;
    loss += o.loss;
    correct += o.correct;
    counted += o.counted;
    learning_rate += o.learning_rate;
    gradient_norm += o.gradient_norm;
    activation.add(o.activation);
    tokens += o.tokens;
    seconds += o.seconds;
  }
  void clear() {
    ActivationSums none = std::move(activation);
    none.clear();
    *this = Window{};
    activation = std::move(none);
  }

  /// All but the time and the tokens, which are those of this process: a resumed run's lines are then those of one that was not
  /// interrupted.
  [[nodiscard]] [[gnu::cold]] std::string text() {
    std::string out = std::to_string(updates);
    for (const double* number : numbers()) out += " " + number_text(*number);
    return out;
  }
  /// Throws `Error` for what `text` has not written.
  [[gnu::cold]] void restore(std::string_view text, const std::string& path) {
    const std::string whole(text);
    const auto next = [&]() -> double {
      const std::size_t size = std::min(text.find(' '), text.size());
      const auto value = number_of(text.substr(0, size));
      if (!value || !std::isfinite(*value))
        throw Error(one_line(path) + ": metadata 'log.window': found '" + one_line(whole) + "', expected " +
                    std::to_string(1 + numbers().size()) + " numbers");
      text.remove_prefix(std::min(size + 1, text.size()));
      return *value;
    };
    updates = static_cast<Index>(std::clamp(next(), 0.0, 1e15));
    for (double* number : numbers()) *number = next();
  }

 private:
  std::vector<double*> numbers() {
    std::vector<double*> out{&loss, &correct, &counted, &learning_rate, &gradient_norm};
    for (double& x : activation.active()) out.push_back(&x);
    for (double& x : activation.steps()) out.push_back(&x);
    return out;
  }
};

}  // namespace sma::detail
