#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <tasks/data/dataset.hpp>
#include <vector>

/// ListOps as the Long Range Arena generates it: nested MIN, MAX, MED and SM (sum modulo 10) over digits.
namespace tasks {

/// Token ids: 0 padding (never in a sequence here), 1-10 the digits 0-9, 11 [MIN, 12 [MAX, 13 [MED, 14 [SM, 15 ].
inline constexpr std::int32_t kListOpsVocabulary = 16;

struct ListOpsOptions {
  std::size_t train = 96000, validation = 2000, test = 2000;
  int deepest = 10;             // operators stand at depths below this
  double operator_rate = 0.25;  // chance of an operator where one may stand
  std::uint64_t most_arguments = 10;
  std::size_t shortest = 500, longest = 2000;  // lengths strictly between
};

namespace detail {

/// Draws one tree; appends its tokens and returns its value. Stops early, with any value, once it is longer than allowed.
int draw_tree(SplitMix& random, const ListOpsOptions& options, int depth, std::vector<std::int32_t>& tokens);
/// The owners' text: pairs nest to the left in parentheses, "( ( ( [MAX 2 ) 9 ) ] )".
std::string source_text(std::span<const std::int32_t> tokens);

}  // namespace detail

/// Distinct expressions of the benchmark's distribution; a function of the seed. With the default options 8.28 % of draws are
/// kept and their mean length is 1035.0, both exact for the procedure; the majority class, 0, has 16.9 % (16.91 +- 0.05 over
/// 600,000 expressions; the benchmark's own generator: 16.98 +- 0.27). Throws `Error` when an operator could not have 2
/// arguments, or the options leave too few distinct expressions.
Splits<std::int32_t> generate_listops(std::uint64_t seed, const ListOpsOptions& options = {});

/// Writes basic_{train,val,test}.tsv in the owners' format: a header, then source text and value.
void write_listops(const Splits<std::int32_t>& splits, const std::string& directory);

/// Reads one of the owners' TSV files; parentheses are dropped, "]" is a token. Throws `Error` with file and line, also when
/// brackets do not match or an operator has no argument.
SequenceDataset<std::int32_t> read_listops_file(const std::string& path);

/// Reads basic_train.tsv, basic_val.tsv and basic_test.tsv of a directory.
Splits<std::int32_t> read_listops(const std::string& directory);

}  // namespace tasks
