#pragma once

#include <sma/base/error.hpp>
#include <sma/device/context.hpp>
#include <sma/device/finite.hpp>
#include <sma/module/module.hpp>
#include <string>

/// What a network refuses, and in which words.
namespace sma::detail {

/// Throws for a token outside the vocabulary.
SMA_NOINLINE inline void check_tokens(const Token* x, Index count, Index vocabulary) {
  for (Index i = 0; i < count; ++i)
    if (x[i] < 0 || x[i] >= vocabulary)
      throw Error("sma::Network: row " + std::to_string(i) + ": found token " + std::to_string(x[i]) +
                  ", expected 0 to " + std::to_string(vocabulary - 1));
}

/// "nan", "inf" or "-inf".
[[gnu::cold]] inline std::string text_of_not_finite(double value) {
  if (value > 0) return "inf";
  return value < 0 ? "-inf" : "nan";
}

/// The path of module instance `instance` in messages.
[[gnu::cold]] inline std::string text_of_instance(const ModuleTable& network, Index instance) {
  std::string found;
  const auto visit = [&](const ModuleTable&, const std::string& path, const Extent& at) {
    if (at.instances == instance) found = path;
  };
  visit_modules(network, "", Extent{}, visit);
  return found.empty() ? "the network itself" : "module '" + found + "'";
}

/// "row 7 (sequence 2, step 3)".
[[gnu::cold]] inline std::string text_of_row(const Sequences& s, Index row) {
  Index sequence = 0;
  while (sequence + 1 < s.count && s.end(sequence) <= row) ++sequence;
  return "row " + std::to_string(row) + " (sequence " + std::to_string(sequence) + ", step " +
         std::to_string(row - s.begin(sequence)) + ")";
}

/// Throws for the first of `width` numbers a row that is not finite.
template <class S>
[[gnu::cold]] void refuse_input(const Sequences& s, const S* x, Index width) {
  for (Index e = 0; e < s.rows * width; ++e)
    if (!all_finite(x + e, 1))
      throw NotFinite("sma::Network::infer: " + text_of_row(s, e / width) + ": found " +
                      text_of_not_finite(static_cast<double>(x[e])) + " in column " +
                      std::to_string(e % width) + " of the input, expected finite numbers");
}

/// Throws for what a watch has seen.
[[noreturn, gnu::cold]] inline void refuse_output(const ModuleTable& network, const Sequences& s,
                                                  const Watch& watch) {
  if (watch.instance < 0)
    throw NotFinite("sma::Network::infer: found nan or infinity in the output, expected finite numbers");
  throw NotFinite("sma::Network::infer: " + text_of_row(s, watch.row) + ": " +
                  text_of_instance(network, watch.instance) + ": found " + text_of_not_finite(watch.value) +
                  ", expected finite numbers");
}

/// Tokens of the first module that takes some.
template <class M>
constexpr Index first_vocabulary() {
  if constexpr (requires { M::vocabulary; })
    return M::vocabulary;
  else
    return first_vocabulary<child_module<M, 0>>();
}

}  // namespace sma::detail
