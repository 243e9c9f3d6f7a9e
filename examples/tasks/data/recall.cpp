#include <algorithm>
#include <array>
#include <numeric>
#include <sma/base/error.hpp>
#include <tasks/data/dataset.hpp>
#include <tasks/data/recall.hpp>

namespace tasks {

namespace {

template <class Values>
void shuffle(SplitMix& random, Values& values) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random.below(i)]);
}

std::int32_t mark(std::int32_t capital, std::int32_t number) {
  return 1 + RecallText::small + capital * RecallText::numbers + number;
}

}  // namespace

std::vector<std::string> RecallText::characters() const {
  std::vector<std::string> out;
  for (const std::int32_t token : tokens) {
    const std::int32_t of_marks = token - 1 - small;
    out.push_back(of_marks < 0
                      ? std::string(1, static_cast<char>('a' + token - 1))
                      : static_cast<char>('A' + of_marks / numbers) + std::to_string(1 + of_marks % numbers));
  }
  return out;
}

RecallText draw_recall(std::size_t length, std::uint64_t seed, std::uint64_t number) {
  constexpr auto kMarks = static_cast<std::size_t>(2 * RecallText::capitals);
  if (length < kMarks)
    throw sma::Error("recall: found a length of " + std::to_string(length) + ", expected at least " +
                     std::to_string(kMarks));
  SplitMix random((seed + 1) * 0xD1B54A32D192ED03U + number);
  RecallText text;
  text.answers.assign(length, RecallText::none);
  for (std::size_t t = 0; t < length; ++t)
    text.tokens.push_back(static_cast<std::int32_t>(1 + random.below(RecallText::small)));

  std::vector<std::size_t> at(length);
  std::iota(at.begin(), at.end(), std::size_t{0});
  shuffle(random, at);
  at.resize(kMarks);
  std::sort(at.begin(), at.end());
  std::array<std::int32_t, kMarks> capitals{};
  for (std::size_t i = 0; i < kMarks; ++i) capitals[i] = static_cast<std::int32_t>(i / 2);
  shuffle(random, capitals);
  std::array<std::int32_t, RecallText::capitals> first{};  // each capital's first mark
  for (std::size_t i = 0; i < kMarks; ++i) {
    const std::int32_t capital = capitals[i];
    std::int32_t& before = first[static_cast<std::size_t>(capital)];
    const std::int32_t now = mark(capital, static_cast<std::int32_t>(random.below(RecallText::numbers)));
    text.tokens[at[i]] = now;
    if (before == 0)
      before = now;
    else
      text.answers[at[i]] = before;
  }
  return text;
}

}  // namespace tasks
