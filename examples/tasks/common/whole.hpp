#pragma once

#include <CLI/CLI.hpp>
#include <charconv>
#include <string>
#include <system_error>
#include <tasks/data/text.hpp>

namespace tasks {

/// Takes a whole number from `least` to `most`. The text is written anew: CLI11 would read 010 as 8.
template <class T>
CLI::Validator whole(T least, T most) {
  const auto check = [=](std::string& text) -> std::string {
    T value{};
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc{} || end != text.data() + text.size() || value < least || value > most)
      return "found " + excerpt(text) + ", expected an integer, " + std::to_string(least) + " to " +
             std::to_string(most);
    text = std::to_string(value);
    return {};
  };
  return {check, ""};
}

}  // namespace tasks
