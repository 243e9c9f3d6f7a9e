#include <algorithm>
#include <array>
#include <filesystem>
#include <numeric>
#include <sma/io/atomic_file.hpp>
#include <span>
#include <string_view>
#include <tasks/data/listops.hpp>
#include <tasks/data/text.hpp>
#include <unordered_set>
#include <utility>
#include <vector>

namespace tasks {

namespace {

constexpr std::int32_t kFirstDigit = 1, kFirstOperator = 11, kClose = 15;
constexpr std::array<std::string_view, 4> kOperators{"[MIN", "[MAX", "[MED", "[SM"};

/// The value of an operator over its arguments.
int apply_operator(std::int32_t op, std::vector<int>& arguments) {
  switch (op - kFirstOperator) {
    case 0:
      return *std::min_element(arguments.begin(), arguments.end());
    case 1:
      return *std::max_element(arguments.begin(), arguments.end());
    case 2: {
      std::sort(arguments.begin(), arguments.end());
      const std::size_t middle = arguments.size() / 2;
      return arguments.size() % 2 == 1 ? arguments[middle] : (arguments[middle - 1] + arguments[middle]) / 2;
    }
    default:
      return std::accumulate(arguments.begin(), arguments.end(), 0) % 10;
  }
}

}  // namespace

int detail::draw_tree(SplitMix& random, const ListOpsOptions& o, int depth,
                      std::vector<std::int32_t>& tokens) {
  if (tokens.size() >= o.longest) return 0;
  if (depth >= o.deepest || random.unit() >= o.operator_rate) {
    const int digit = static_cast<int>(random.below(10));
    tokens.push_back(kFirstDigit + digit);
    return digit;
  }
  const auto op = static_cast<std::int32_t>(kFirstOperator + static_cast<std::int32_t>(random.below(4)));
  const std::uint64_t count = 2 + random.below(o.most_arguments - 1);
  tokens.push_back(op);
  std::vector<int> arguments;
  arguments.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) arguments.push_back(draw_tree(random, o, depth + 1, tokens));
  tokens.push_back(kClose);
  return apply_operator(op, arguments);
}

namespace {

std::string token_text(std::int32_t token) {
  if (token == kClose) return "]";
  if (token >= kFirstOperator)
    return std::string(kOperators[static_cast<std::size_t>(token - kFirstOperator)]);
  return std::to_string(token - kFirstDigit);
}

}  // namespace

std::string detail::source_text(std::span<const std::int32_t> tokens) {
  // Each operator opens one pair for every argument and one for its bracket; counted first, written before the operator.
  std::vector<std::size_t> pairs(tokens.size(), 0);
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool begins = tokens[i] >= kFirstOperator && tokens[i] != kClose;
    if (begins) {
      if (!open.empty()) ++pairs[open.back()];
      open.push_back(i);
    } else {
      if (!open.empty()) ++pairs[open.back()];  // a lone digit is in no pair
      if (tokens[i] == kClose) open.pop_back();
    }
  }
  std::string text;
  int depth = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool begins = tokens[i] >= kFirstOperator && tokens[i] != kClose;
    if (begins) {
      for (std::size_t k = 0; k < pairs[i]; ++k) text += "( ";
      ++depth;
    }
    text += token_text(tokens[i]);
    if (!begins && depth > 0) text += " )";
    if (tokens[i] == kClose) {
      --depth;
      if (depth > 0) text += " )";
    }
    if (i + 1 < tokens.size()) text += ' ';
  }
  return text;
}

Splits<std::int32_t> generate_listops(std::uint64_t seed, const ListOpsOptions& options) {
  if (options.most_arguments < 2)
    throw sma::Error("ListOps generator: found at most " + std::to_string(options.most_arguments) +
                     " arguments, expected at least 2");
  SplitMix random(seed);
  Splits<std::int32_t> out;
  std::unordered_set<std::string> seen;
  std::vector<std::int32_t> tokens;
  std::string key;
  std::uint64_t rejected = 0;
  const std::pair<SequenceDataset<std::int32_t>*, std::size_t> parts[] = {
      {&out.train, options.train}, {&out.validation, options.validation}, {&out.test, options.test}};
  for (const auto& [part, count] : parts) {
    while (part->size() < count) {
      tokens.clear();
      const int value = detail::draw_tree(random, options, 1, tokens);
      const bool kept = tokens.size() > options.shortest && tokens.size() < options.longest;
      key.assign(tokens.begin(), tokens.end());
      if (!kept || !seen.insert(key).second) {
        if (++rejected > 100000000U)
          throw sma::Error("ListOps generator: found " + std::to_string(part->size()) +
                           " distinct expressions in 100 million draws, expected " + std::to_string(count));
        continue;
      }
      rejected = 0;
      part->append(tokens, value);
    }
  }
  return out;
}

void write_listops(const Splits<std::int32_t>& splits, const std::string& directory) {
  const std::pair<const char*, const SequenceDataset<std::int32_t>*> parts[] = {
      {"basic_train.tsv", &splits.train},
      {"basic_val.tsv", &splits.validation},
      {"basic_test.tsv", &splits.test}};
  for (const auto& [name, part] : parts) {
    sma::AtomicFile file((std::filesystem::path(directory) / name).string());
    std::string text = "Source\tTarget\n";
    for (std::size_t i = 0; i < part->size(); ++i) {
      text += detail::source_text(part->sequence(i)) + "\t" + std::to_string(part->label(i)) + "\n";
      if (text.size() > (1U << 20)) {
        file.write(text.data(), text.size());
        text.clear();
      }
    }
    file.write(text.data(), text.size());
    file.commit();
  }
}

SequenceDataset<std::int32_t> read_listops_file(const std::string& path) {
  const std::string header = "the header 'Source\\x09Target' (\\x09 is a tab)";
  TextFile file(path, "a ListOps TSV file");
  SequenceDataset<std::int32_t> out;
  std::string line;
  std::vector<std::int32_t> tokens;
  while (file.next(line)) {
    if (file.number() == 1) {
      if (line != "Source\tTarget") file.fail(excerpt(line), header);
      continue;
    }
    const auto tabs = std::count(line.begin(), line.end(), '\t');
    if (tabs != 1)
      file.fail(excerpt(line) + " with " + std::to_string(tabs) + " tabs", "source, tab, target");
    const std::size_t tab = line.find('\t');
    const std::string_view target = std::string_view(line).substr(tab + 1);
    if (target.size() != 1 || target[0] < '0' || target[0] > '9')
      file.fail("target " + excerpt(target), "a digit");
    tokens.clear();
    std::size_t depth = 0;
    std::string_view rest = std::string_view(line).substr(0, tab);
    while (!rest.empty()) {
      const std::size_t space = std::min(rest.find(' '), rest.size());
      const std::string_view word = rest.substr(0, space);
      rest.remove_prefix(std::min(space + 1, rest.size()));
      if (word.empty() || word == "(" || word == ")") continue;
      if (depth == 0 && !tokens.empty()) file.fail(excerpt(word) + " after the expression", "a tab");
      if (word == "]") {
        if (depth == 0) file.fail("']' without an operator", "an expression");
        if (tokens.back() >= kFirstOperator && tokens.back() != kClose)
          file.fail("'" + token_text(tokens.back()) + "' without arguments", "at least one");
        --depth;
        tokens.push_back(kClose);
      } else if (word.size() == 1 && word[0] >= '0' && word[0] <= '9') {
        tokens.push_back(kFirstDigit + (word[0] - '0'));
      } else {
        const auto op = std::find(kOperators.begin(), kOperators.end(), word);
        if (op == kOperators.end()) file.fail(excerpt(word), "a digit, an operator, ( ) or ]");
        tokens.push_back(kFirstOperator + static_cast<std::int32_t>(op - kOperators.begin()));
        ++depth;
      }
    }
    if (tokens.empty()) file.fail("an empty source", "an expression");
    if (depth > 0) file.fail("the source's end inside " + std::to_string(depth) + " open operators", "']'");
    out.append(tokens, target[0] - '0');
  }
  if (file.number() == 0) throw sma::Error(file.name() + ": found an empty file, expected " + header);
  if (out.size() == 0)
    throw sma::Error(file.name() + ": found a header alone, expected at least one expression");
  return out;
}

Splits<std::int32_t> read_listops(const std::string& directory) {
  const std::filesystem::path root(directory);
  return {read_listops_file((root / "basic_train.tsv").string()),
          read_listops_file((root / "basic_val.tsv").string()),
          read_listops_file((root / "basic_test.tsv").string())};
}

}  // namespace tasks
