#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fuzz/program.hpp>
#include <random>

// A program around all readers, without libFuzzer:
//   fuzz_replay [READER [COUNT]]        seeds, and COUNT inputs made from them, the same in every run
//   fuzz_replay READER --file FILE...   these inputs, alone

namespace {

using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t bound) { return static_cast<std::size_t>(random() % bound); }

/// A seed after one to four changes: a bit, a byte, a number, bytes taken away, doubled or of another seed.
std::string changed(const std::vector<std::string>& seeds, Random& random) {
  static constexpr std::array<std::string_view, 12> words{
      "0", "-1", "9223372036854775807", "18446744073709551616", "\n", "\t", " ", "\r\n", "\"", "{",
      "[", "../"};
  std::string text = seeds[below(random, seeds.size())];
  for (std::size_t left = 1 + below(random, 4); left > 0; --left) {
    const std::size_t at = below(random, text.size() + 1);
    const std::size_t count = std::min(text.size() - at, below(random, 16) + 1);
    const std::string& other = seeds[below(random, seeds.size())];
    switch (below(random, 7)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(random, 8)));
        break;
      case 1:
        if (at < text.size()) text[at] = static_cast<char>(random());
        break;
      case 2:
        text.replace(at, below(random, 2), words[below(random, words.size())]);
        break;
      case 3:
        text.erase(at, count);
        break;
      case 4:
        text.insert(at, text.substr(at, count));
        break;
      case 5:
        text.resize(at);
        break;
      default:
        text = text.substr(0, at) + other.substr(below(random, other.size() + 1));
    }
  }
  return text;
}

int replay(const fuzz::Reader& reader, int count) {
  const fuzz::Folder folder;
  std::vector<std::string> seeds = reader.seeds(folder);
  int read = 0;
  fuzz::require(!seeds.empty() && fuzz::run(reader, folder, seeds[0]),
                reader.name + ": found an error, expected that its first seed is read");
  seeds.insert(seeds.end(), {std::string(fuzz::no_file), std::string(fuzz::a_folder)});
  for (const std::string& seed : seeds) read += fuzz::run(reader, folder, seed) ? 1 : 0;
  Random random(1);
  for (int i = 0; i < count; ++i) read += fuzz::run(reader, folder, changed(seeds, random)) ? 1 : 0;
  std::printf("%s: %zu inputs, %d read, all others refused in a line\n", reader.name.c_str(),
              seeds.size() + static_cast<std::size_t>(count), read);
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  int found = 0;
  for (const fuzz::Reader* reader : fuzz::readers()) {
    if (!words.empty() && words[0] != reader->name) continue;
    ++found;
    if (words.size() > 2 && words[1] == "--file") {
      const fuzz::Folder folder;
      for (std::size_t i = 2; i < words.size(); ++i) fuzz::run(*reader, folder, fuzz::content_of(words[i]));
    } else {
      replay(*reader, words.size() > 1 ? std::atoi(words[1].c_str()) : 1000);
    }
  }
  fuzz::require(found > 0, "found no reader of this name");
  return 0;
}
