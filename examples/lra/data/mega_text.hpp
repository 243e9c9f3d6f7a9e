#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <lra/data/dataset.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace lra {

namespace detail {

/// One split of MEGA's processed form: input/NAME.src, one picture a line as integers 0-255; label/NAME.label, one a line.
inline SequenceDataset<std::uint8_t> read_mega_split(const std::filesystem::path& root,
                                                     const std::string& name) {
  const std::string source_path = (root / "input" / (name + ".src")).string();
  const std::string label_path = (root / "label" / (name + ".label")).string();
  std::ifstream source(source_path);
  std::ifstream labels(label_path);
  if (!source) throw sma::Error(source_path + ": cannot be read, expected pictures as lines of integers");
  if (!labels) throw sma::Error(label_path + ": cannot be read, expected labels, one a line");
  SequenceDataset<std::uint8_t> out;
  std::string line;
  std::string label_line;
  std::vector<std::uint8_t> pixels;
  std::size_t number = 0;
  const auto parse = [&](const std::string& path, std::string_view word, int highest) {
    int value = -1;
    const auto [end, code] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (code != std::errc{} || end != word.data() + word.size() || value < 0 || value > highest)
      throw sma::Error(path + ":" + std::to_string(number) + ": found '" + std::string(word.substr(0, 40)) +
                       "', expected an integer 0 to " + std::to_string(highest));
    return value;
  };
  while (std::getline(source, line)) {
    ++number;
    pixels.clear();
    std::string_view rest(line);
    while (!rest.empty()) {
      const std::size_t begin = std::min(rest.find_first_not_of(" \t\r"), rest.size());
      rest.remove_prefix(begin);
      const std::size_t end = std::min(rest.find_first_of(" \t\r"), rest.size());
      if (end > 0) pixels.push_back(static_cast<std::uint8_t>(parse(source_path, rest.substr(0, end), 255)));
      rest.remove_prefix(end);
    }
    if (pixels.empty())
      throw sma::Error(source_path + ":" + std::to_string(number) +
                       ": found an empty line, expected the pixels of a picture");
    if (out.size() > 0 && pixels.size() != out.sequence(0).size())
      throw sma::Error(source_path + ":" + std::to_string(number) + ": found " +
                       std::to_string(pixels.size()) + " pixels, expected " +
                       std::to_string(out.sequence(0).size()) + " as on line 1");
    if (!std::getline(labels, label_line))
      throw sma::Error(label_path + ": found " + std::to_string(number - 1) +
                       " labels, expected one for each line of " + source_path);
    while (!label_line.empty() && (label_line.back() == '\r' || label_line.back() == ' '))
      label_line.pop_back();
    out.append(pixels, parse(label_path, label_line, 9));
  }
  if (source.bad() || labels.bad())
    throw sma::Error((source.bad() ? source_path : label_path) + ": reading failed after line " +
                     std::to_string(number));
  if (number == 0) throw sma::Error(source_path + ": found an empty file, expected at least one picture");
  while (std::getline(labels, label_line))
    if (label_line.find_first_not_of(" \t\r") != std::string::npos)
      throw sma::Error(label_path + ": found more than " + std::to_string(number) +
                       " labels, expected one for each line of " + source_path);
  return out;
}

}  // namespace detail

/// MEGA's processed form of LRA Image: input/{train,valid,test}.src and label/{train,valid,test}.label.
/// Throws `Error` naming file and line, what was found and what was expected.
inline Splits<std::uint8_t> read_mega_pictures(const std::string& directory) {
  return {detail::read_mega_split(directory, "train"), detail::read_mega_split(directory, "valid"),
          detail::read_mega_split(directory, "test")};
}

}  // namespace lra
