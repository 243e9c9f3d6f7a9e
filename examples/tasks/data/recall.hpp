#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tasks {

/// Marked recall: a text of random small letters, in which a few steps are worth remembering. A mark is a capital letter with a number
/// and stands twice in a text, with two numbers; where it stands for the second time, its first number is to be said:
///
///     qzmB2fhaC1bxwhB3...        at B3: B2
///
/// All else is noise.
struct RecallText {
  static constexpr std::int32_t small = 16, capitals = 12, numbers = 8;
  static constexpr std::int32_t vocabulary = 1 + small + capitals * numbers;  // 0 is padding
  static constexpr std::int32_t none = -1;

  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> answers;  // of each token: the mark that it asks for, or `none`

  [[nodiscard]] std::vector<std::string> characters() const;
};

/// Text `number`, a function of (seed, number) alone; `length` at least 16.
RecallText draw_recall(std::size_t length, std::uint64_t seed, std::uint64_t number);

}  // namespace tasks
