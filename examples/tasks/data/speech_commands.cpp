#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <numeric>
#include <sma/base/text.hpp>
#include <system_error>
#include <tasks/data/speech_commands.hpp>
#include <tasks/data/text.hpp>
#include <tasks/data/wav.hpp>
#include <utility>
#include <vector>

namespace tasks {

namespace {

namespace fs = std::filesystem;

constexpr int kRate = 16000;
constexpr std::size_t kSamples = 16000;
constexpr const char* kClip = "a WAV file, 16 kHz, mono, 16 bit";
constexpr const char* kLayout =
    "a directory as Speech Commands': yes/*.wav and so on for no, up, down, left, right, on, off, stop and "
    "go, "
    "16 kHz, mono, 16 bit (download.tensorflow.org/data/speech_commands_v0.02.tar.gz, 2.3 GB)";

enum class Part { train, validation, test };
/// SplitLists by "WORD/FILE.wav"; who is in none trains.
using SplitLists = std::map<std::string, Part>;

/// The names of a word's clips, sorted.
std::vector<std::string> clips_of(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code code;
  for (fs::directory_iterator at(directory, code), end; !code && at != end; at.increment(code))
    if (at->path().extension() == ".wav") names.push_back(at->path().filename().string());
  if (code || names.empty())
    throw sma::Error(sma::one_line(directory.string()) + ": " +
                     (code ? "cannot be read (" + code.message() + ")" : "found no WAV file") +
                     ", expected " + kLayout);
  std::sort(names.begin(), names.end());
  return names;
}

/// Adds what a list says. Lines of other words than the ten are passed over.
void add_list(const fs::path& path, Part part, const fs::path& root, SplitLists& parts) {
  const std::string expected = "WORD/FILE.wav of a clip that is there";
  TextFile file(path.string(), "a list of clips, one a line");
  std::string line;
  while (file.next(line)) {
    if (line.empty()) continue;
    const std::string word = line.substr(0, line.find('/'));
    if (word == line) file.fail(excerpt(line), expected);
    if (std::find(kSpokenWords.begin(), kSpokenWords.end(), word) == kSpokenWords.end()) continue;
    if (!fs::exists(root / line)) file.fail(excerpt(line) + ", which is not there", expected);
    if (!parts.emplace(line, part).second)
      file.fail(excerpt(line) + ", which is in a list already", "each clip in one list");
  }
}

struct Clip {
  std::string name;  // WORD/FILE.wav
  std::vector<std::int16_t> samples;
};

/// The clips of a word that are a second long; adds the number of the others to `left_out`.
std::vector<Clip> read_clips(const fs::path& root, const std::string& word, std::size_t& left_out) {
  std::vector<Clip> clips;
  for (const std::string& name : clips_of(root / word)) {
    std::vector<std::int16_t> samples = read_wav((root / word / name).string(), kRate, kClip);
    if (samples.size() == kSamples)
      clips.push_back({word + "/" + name, std::move(samples)});
    else
      ++left_out;
  }
  return clips;
}

/// 70 % train, 15 % validate, 15 % test.
SplitLists draw_parts(const std::vector<Clip>& clips, std::uint64_t seed) {
  std::vector<std::size_t> order(clips.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  SplitMix random(seed);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  const std::size_t each = (clips.size() * 15 + 50) / 100;
  SplitLists parts;
  for (std::size_t i = 0; i < 2 * each; ++i)
    parts.emplace(clips[order[i]].name, i < each ? Part::validation : Part::test);
  return parts;
}

}  // namespace

SpokenWords read_speech_commands(const std::string& directory) {
  const fs::path root(directory);
  std::size_t found = 0;  // before anything large is read: all words are there, and the lists are well
  for (const char* word : kSpokenWords) found += clips_of(root / word).size();
  SpokenWords out;
  SplitLists listed;
  const fs::path validation = root / "validation_list.txt";
  const fs::path test = root / "testing_list.txt";
  out.is_listed = fs::exists(validation) && fs::exists(test);
  if (out.is_listed) {
    add_list(validation, Part::validation, root, listed);
    add_list(test, Part::test, root, listed);
  }

  out.splits.train.reserve(found, found * kSamples);
  for (std::size_t w = 0; w < kSpokenWords.size(); ++w) {
    const std::vector<Clip> clips = read_clips(root, kSpokenWords[w], out.left_out);
    const SplitLists parts = out.is_listed ? SplitLists() : draw_parts(clips, w);
    for (const Clip& clip : clips) {
      const SplitLists& from = out.is_listed ? listed : parts;
      const auto at = from.find(clip.name);
      const Part part = at == from.end() ? Part::train : at->second;
      (part == Part::train        ? out.splits.train
       : part == Part::validation ? out.splits.validation
                                  : out.splits.test)
          .append(clip.samples, static_cast<std::int32_t>(w));
    }
  }
  for (const auto& [size, task] :
       {std::pair{out.splits.train.size(), "train"}, std::pair{out.splits.validation.size(), "validate"},
        std::pair{out.splits.test.size(), "test"}})
    if (size == 0)
      throw sma::Error(sma::one_line(directory) + ": found " + std::to_string(found) + " clips, " +
                       std::to_string(out.left_out) +
                       " of them of another length than 16,000 samples, and none to " + task +
                       ", expected some");
  return out;
}

Standardisation standardisation_of(const SequenceDataset<std::int16_t>& clips) {
  std::int64_t sum = 0;
  std::uint64_t squares = 0;  // each at most 2^30: room for 2^34 of them
  for (std::size_t i = 0; i < clips.size(); ++i)
    for (const std::int16_t x : clips.sequence(i)) {
      sum += x;
      squares += static_cast<std::uint64_t>(std::int32_t{x} * std::int32_t{x});
    }
  const auto count = static_cast<double>(clips.values());
  const double mean = static_cast<double>(sum) / count;
  const double variance = static_cast<double>(squares) / count - mean * mean;
  if (!(variance > 0))
    throw sma::Error("training clips: found the same number in all samples, expected sound");
  return {.mean = static_cast<float>(mean), .deviation = static_cast<float>(std::sqrt(variance))};
}

}  // namespace tasks
