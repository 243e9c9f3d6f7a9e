#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <tasks/data/mega_text.hpp>
#include <tasks/data/text.hpp>
#include <vector>

namespace tasks {

namespace {

/// One split of MEGA's processed form: input/NAME.src, one picture a line as integers 0-255; label/NAME.label, one a line.
SequenceDataset<std::uint8_t> read_mega_split(const std::filesystem::path& root, const std::string& name,
                                              int classes) {
  TextFile source((root / "input" / (name + ".src")).string(), "pictures as lines of integers");
  TextFile labels((root / "label" / (name + ".label")).string(), "labels, one a line");
  SequenceDataset<std::uint8_t> out;
  std::string line;
  std::vector<std::uint8_t> pixels;
  constexpr std::string_view blanks = " \t\r";
  const auto parse = [](const TextFile& file, std::string_view word, int highest) {
    int value = -1;
    const auto [end, code] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (code != std::errc{} || end != word.data() + word.size() || value < 0 || value > highest)
      file.fail(excerpt(word), "an integer 0 to " + std::to_string(highest));
    return value;
  };
  while (source.next(line)) {
    pixels.clear();
    for_each_word(line, blanks, [&](std::string_view word) {
      pixels.push_back(static_cast<std::uint8_t>(parse(source, word, 255)));
    });
    if (pixels.empty()) source.fail("an empty line", "the pixels of a picture");
    if (out.size() > 0 && pixels.size() != out.sequence(0).size())
      source.fail(std::to_string(pixels.size()) + " pixels",
                  std::to_string(out.sequence(0).size()) + " as on line 1");
    if (!labels.next(line))
      throw sma::Error(labels.name() + ": found " + std::to_string(labels.number()) +
                       " labels, expected one for each line of " + source.name());
    std::string_view label(line);
    label.remove_prefix(std::min(label.find_first_not_of(blanks), label.size()));
    label = label.substr(0, label.find_last_not_of(blanks) + 1);
    out.append(pixels, parse(labels, label, classes - 1));
  }
  if (source.number() == 0)
    throw sma::Error(source.name() + ": found an empty file, expected at least one picture");
  while (labels.next(line))
    if (line.find_first_not_of(blanks) != std::string::npos)
      throw sma::Error(labels.name() + ": found more than " + std::to_string(source.number()) +
                       " labels, expected one for each line of " + source.name());
  return out;
}

}  // namespace

Splits<std::uint8_t> read_mega_pictures(const std::string& directory, int classes) {
  return {read_mega_split(directory, "train", classes), read_mega_split(directory, "valid", classes),
          read_mega_split(directory, "test", classes)};
}

}  // namespace tasks
