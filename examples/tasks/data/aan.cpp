#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <tasks/data/aan.hpp>
#include <tasks/data/text.hpp>

namespace tasks {

namespace {

SequenceDataset<std::uint8_t> read_pairs(const std::string& path, std::size_t longest) {
  TextFile file(path, "a TSV file of AAN pairs");
  SequenceDataset<std::uint8_t> out;
  std::string line;
  while (file.next(line)) {
    const auto tabs = std::count(line.begin(), line.end(), '\t');
    if (tabs != 4)
      file.fail(excerpt(line) + " with " + std::to_string(tabs) + " tabs",
                "label, tab, name, tab, name, tab, text, tab, text");
    std::array<std::string_view, 5> fields;
    std::string_view rest(line);
    for (std::string_view& field : fields) {
      field = rest.substr(0, rest.find('\t'));
      rest.remove_prefix(std::min(field.size() + 1, rest.size()));
    }
    const std::string_view label = fields[0];
    if (label != "0" && label != "1" && label != "0.0" && label != "1.0")
      file.fail("label " + excerpt(label), "0 or 1");
    for (const std::size_t text : {3U, 4U}) {
      if (fields[text].empty()) file.fail("an empty text of " + excerpt(fields[text - 2]), "a paper's text");
      out.append(bytes_of(fields[text].substr(0, longest)), label[0] - '0');
    }
  }
  if (out.size() == 0) throw sma::Error(file.name() + ": found an empty file, expected at least one pair");
  return out;
}

}  // namespace

Splits<std::uint8_t> read_aan(const std::string& directory, std::size_t longest) {
  const std::filesystem::path root(directory);
  return {read_pairs((root / "new_aan_pairs.train.tsv").string(), longest),
          read_pairs((root / "new_aan_pairs.eval.tsv").string(), longest),
          read_pairs((root / "new_aan_pairs.test.tsv").string(), longest)};
}

}  // namespace tasks
