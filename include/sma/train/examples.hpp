#pragma once

#include <algorithm>
#include <sma/base/config.hpp>
#include <sma/base/error.hpp>
#include <sma/train/trainer_options.hpp>
#include <string>

/// What a trainer says of the examples that its data give it.
namespace sma::detail {

inline const char* split_name(Split split) { return split == Split::test ? "test" : "validation"; }

/// The call that gives an example of a split.
[[gnu::cold]] inline std::string example_call(Split split, Index i) {
  return std::string("Data::example(") + split_name(split) + ", " + std::to_string(i) + ")";
}
/// Examples [first, end) of a split.
[[gnu::cold]] inline std::string examples_of(Split split, Index first, Index end) {
  return std::string(split_name(split)) + " examples " + std::to_string(first) + " to " +
         std::to_string(end - 1);
}

[[noreturn]] [[gnu::cold]] inline void throw_wrong_examples(const std::string& where, Index sequences,
                                                            Index expected_sequences, Index targets,
                                                            Index expected_targets) {
  if (sequences < 0 || targets < 0)
    throw Error(where + ": found the batch shorter than before, expected that it is appended to");
  const auto count = [](Index n, const char* what) {
    return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
  };
  if (sequences != expected_sequences)
    throw Error(where + ": found " + count(sequences, "sequence") + ", expected " +
                std::to_string(expected_sequences));
  throw Error(where + ": found " + count(targets, "target") + ", expected " +
              std::to_string(expected_targets) + ", one an output row");
}

/// How many examples an evaluation is over. Throws for none.
[[gnu::cold]] inline Index evaluated_size(Split split, Index size, Index limit) {
  if (size < 1)
    throw Error(std::string("Data::size(") + split_name(split) + "): found " + std::to_string(size) +
                " examples, expected at least 1");
  if (limit < 0)
    throw Error("sma::Trainer::evaluate: found limit " + std::to_string(limit) + ", expected 0 or more");
  return limit > 0 ? std::min(size, limit) : size;
}

}  // namespace sma::detail
