#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <tasks/data/listops.hpp>
#include <vector>

namespace {

/// What an expression's text says, by the rules of the benchmark: words, parentheses dropped, a tree of operators.
class Reading {
 public:
  explicit Reading(const std::string& text) : rest_(text) { value_ = expression(1); }
  [[nodiscard]] int value() const { return value_; }
  [[nodiscard]] int deepest() const { return deepest_; }  // operator, the first one at depth 1
  [[nodiscard]] int length() const { return length_; }    // words that are no parentheses
  [[nodiscard]] bool ended() { return word().empty(); }

 private:
  std::string_view word() {
    for (;;) {
      const std::size_t end = std::min(rest_.find(' '), rest_.size());
      const std::string_view found = rest_.substr(0, end);
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      if (found == "(" || found == ")") continue;
      length_ += found.empty() ? 0 : 1;
      return found;
    }
  }
  int expression(int depth) { return expression(word(), depth); }
  int expression(std::string_view head, int depth) {
    if (head[0] != '[') return head[0] - '0';
    deepest_ = std::max(deepest_, depth);
    std::vector<int> values;
    for (std::string_view next = word(); next != "]"; next = word())
      values.push_back(expression(next, depth + 1));
    std::sort(values.begin(), values.end());
    const std::size_t n = values.size();
    if (head == "[MIN") return values.front();
    if (head == "[MAX") return values.back();
    if (head == "[MED") return (values[(n - 1) / 2] + values[n / 2]) / 2;
    int sum = 0;
    for (const int value : values) sum += value;
    return sum % 10;
  }

  std::string_view rest_;
  int value_ = 0, deepest_ = 0, length_ = 0;
};

}  // namespace

TEST_CASE(
    "generated expressions have the value that their text has, and the benchmark's lengths, labels and "
    "depth") {
  constexpr std::size_t count = 20000;
  tasks::ListOpsOptions options;
  options.train = count;
  options.validation = options.test = 0;
  const auto part = tasks::generate_listops(17, options).train;
  double sum = 0, squares = 0;
  int deepest = 0;
  std::array<double, 10> classes{};
  for (std::size_t i = 0; i < count; ++i) {
    const std::string text = tasks::detail::source_text(part.sequence(i));
    Reading reading(text);
    REQUIRE(reading.value() == part.label(i));
    REQUIRE(reading.ended());
    REQUIRE(reading.length() == static_cast<int>(part.sequence(i).size()));
    deepest = std::max(deepest, reading.deepest());
    sum += reading.length();
    squares += static_cast<double>(reading.length()) * reading.length();
    classes[static_cast<std::size_t>(part.label(i))] += 1.0 / count;
  }
  // Of the benchmark's own generator; within four standard errors.
  const double mean = sum / count, root = std::sqrt(double(count));
  CHECK(std::abs(mean - 1035.5) < 4 * 394 / root);
  CHECK(std::abs(std::sqrt(squares / count - mean * mean) - 394) < 4 * 394 / (1.4 * root));
  CHECK(deepest == 9);
  for (std::size_t c = 0; c < 10; ++c) {
    const double error = 4 * std::sqrt(0.17 * 0.83) / root;
    if (c == 0 || c == 9)
      CHECK(std::abs(classes[c] - 0.17) < error);
    else
      CHECK((classes[c] > 0.07 - error && classes[c] < 0.09 + error));
  }
}

TEST_CASE("of 20,000 drawn expressions as many are kept as the benchmark's generator keeps, 8.28 %") {
  const tasks::ListOpsOptions options;
  tasks::SplitMix random(5);
  constexpr int drawn = 20000;
  int kept = 0;
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < drawn; ++i) {
    tokens.clear();
    tasks::detail::draw_tree(random, options, 1, tokens);
    kept += tokens.size() > options.shortest && tokens.size() < options.longest ? 1 : 0;
  }
  CHECK(std::abs(static_cast<double>(kept) / drawn - 0.0828) < 4 * std::sqrt(0.0828 * 0.9172 / drawn));
}
