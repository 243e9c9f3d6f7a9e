#include <doctest/doctest.h>

#include <map>
#include <sma/base/error.hpp>
#include <tasks/data/recall.hpp>

using tasks::draw_recall;
using tasks::RecallText;

TEST_CASE(
    "each capital stands twice in a text of marked recall, and the second time asks for the first mark") {
  for (std::uint64_t number = 0; number < 200; ++number) {
    const RecallText text = draw_recall(64, 7, number);
    REQUIRE(text.tokens.size() == 64);
    REQUIRE(text.answers.size() == 64);
    std::map<std::int32_t, std::int32_t> first;
    std::int32_t second = 0;
    for (std::size_t t = 0; t < text.tokens.size(); ++t) {
      const std::int32_t token = text.tokens[t];
      CHECK(token > 0);
      CHECK(token < RecallText::vocabulary);
      if (token <= RecallText::small) {
        CHECK(text.answers[t] == RecallText::none);
        continue;
      }
      const std::int32_t capital = (token - 1 - RecallText::small) / RecallText::numbers;
      const auto [at, is_first] = first.emplace(capital, token);
      CHECK(text.answers[t] == (is_first ? RecallText::none : at->second));
      second += is_first ? 0 : 1;
    }
    CHECK(first.size() == static_cast<std::size_t>(RecallText::capitals));
    CHECK(second == RecallText::capitals);
  }
}

TEST_CASE(
    "a text of marked recall follows from its seed and number, and is refused where its marks have no room") {
  CHECK(draw_recall(100, 1, 5).tokens == draw_recall(100, 1, 5).tokens);
  CHECK(draw_recall(100, 1, 5).tokens != draw_recall(100, 1, 6).tokens);
  CHECK(draw_recall(100, 1, 5).tokens != draw_recall(100, 2, 5).tokens);
  CHECK_THROWS_WITH_AS(draw_recall(23, 1, 5), "recall: found a length of 23, expected at least 24",
                       sma::Error);
}

TEST_CASE("a text of marked recall is shown as letters and marks") {
  RecallText text;
  text.tokens = {1, 16, 17, 17 + RecallText::numbers + 2};
  CHECK(text.characters() == std::vector<std::string>{"a", "p", "A1", "B3"});
}
