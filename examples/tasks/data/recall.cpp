#include <algorithm>
#include <array>
#include <sma/base/error.hpp>
#include <tasks/data/dataset.hpp>
#include <tasks/data/recall.hpp>

namespace tasks {

namespace {

/// `count` places in begin .. end - 1, ascending, each with `room` places to itself.
std::vector<std::size_t> places(SplitMix& random, std::size_t begin, std::size_t end, std::size_t count,
                                std::size_t room) {
  // As many of the places that are left when each has given up its room.
  std::vector<std::size_t> at(count);
  for (std::size_t& place : at) place = random.below(end - begin - count * room + 1);
  std::sort(at.begin(), at.end());
  for (std::size_t i = 0; i < count; ++i) at[i] += begin + i * room;
  return at;
}

}  // namespace

std::string RecallText::characters() const {
  std::string text;
  for (const std::int32_t token : tokens)
    text += token == mark ? '*' : token == question ? '?' : static_cast<char>('a' + token - 1);
  return text;
}

RecallText draw_recall(std::size_t length, std::uint64_t seed, std::uint64_t number) {
  if (length < 64)
    throw sma::Error("recall: found a length of " + std::to_string(length) + ", expected at least 64");
  SplitMix random((seed + 1) * 0xD1B54A32D192ED03U + number);
  const auto letter = [&] { return static_cast<std::int32_t>(1 + random.below(RecallText::letters)); };
  RecallText text;
  text.tokens.resize(length);
  text.answers.assign(length, RecallText::none);
  for (std::int32_t& token : text.tokens) token = letter();

  std::array<std::int32_t, RecallText::letters> keys{};
  for (std::int32_t i = 0; i < RecallText::letters; ++i) keys[static_cast<std::size_t>(i)] = i + 1;
  for (std::size_t i = keys.size(); i > 1; --i) std::swap(keys[i - 1], keys[random.below(i)]);
  std::array<std::int32_t, RecallText::facts> values{};
  for (std::int32_t& value : values) value = letter();

  const auto facts = places(random, 0, length / 2, RecallText::facts, 3);
  for (std::size_t i = 0; i < facts.size(); ++i) {
    text.tokens[facts[i]] = RecallText::mark;
    text.tokens[facts[i] + 1] = keys[i];
    text.tokens[facts[i] + 2] = values[i];
  }
  for (const std::size_t at : places(random, length / 2, length, RecallText::questions, 3)) {
    const std::size_t asked = random.below(RecallText::facts);
    text.tokens[at] = RecallText::question;
    text.tokens[at + 1] = keys[asked];
    text.tokens[at + 2] = values[asked];
    text.answers[at + 1] = values[asked];
  }
  return text;
}

}  // namespace tasks
