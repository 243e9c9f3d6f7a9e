#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tasks {

/// Marked recall: a text of random letters in which a few are worth remembering. `*` marks a fact, a key and its value; `?` asks for a
/// key's value, which follows it:
///
///     qz*bxmfha?bxw...        b's value is x
///
/// All else is noise, of the same letters. A key has one value in a text; facts stand in the first half, questions in the second.
struct RecallText {
  static constexpr std::int32_t letters = 8;                  // a, b, ..., as keys, values and noise
  static constexpr std::int32_t mark = letters + 1, question = letters + 2;
  static constexpr std::int32_t vocabulary = letters + 3;     // 0 is padding; letters from 1 on
  static constexpr std::int32_t facts = 3, questions = 5;

  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> answers;  // what follows each token: the value after a question's key, elsewhere `none`
  static constexpr std::int32_t none = -1;

  [[nodiscard]] std::string characters() const;
};

/// Text `number`, a function of (seed, number) alone; `length` at least 64.
RecallText draw_recall(std::size_t length, std::uint64_t seed, std::uint64_t number);

}  // namespace tasks
