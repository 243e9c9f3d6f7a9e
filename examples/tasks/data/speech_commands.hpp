#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tasks/data/dataset.hpp>

namespace tasks {

/// The ten words of Speech Commands that are classified (SC10), in the order of their labels.
inline constexpr std::array<const char*, 10> kSpokenWords{"yes",   "no", "up",  "down", "left",
                                                          "right", "on", "off", "stop", "go"};

struct SpokenWords {
  Splits<std::int16_t> splits;
  std::size_t left_out = 0;  // clips of another length than 16,000 samples
  bool is_listed = false;    // the directory's lists part the clips
};

/// Clips as Speech Commands has them (Warden, 2018; download.tensorflow.org/data/speech_commands_v0.02.tar.gz, 2.3 GB): WORD/*.wav of a
/// directory, 16 kHz, mono, 16 bit, by libsndfile. Clips of exactly 16,000 samples, a second, are read, as SC10 does, others counted.
///
/// Where the directory holds both validation_list.txt and testing_list.txt (lines of WORD/FILE.wav), they say which clips validate and
/// which test, and no speaker is in two parts. Otherwise 70 % of each word's clips train, 15 % validate and 15 % test, drawn at
/// random from their names' order, the same each time: SC10's split, in which speakers are not apart.
/// Throws `Error` naming the file, what was found and what was expected.
SpokenWords read_speech_commands(const std::string& directory);

/// How stored samples become inputs: (x - mean) / deviation.
struct Standardisation {
  float mean;
  float deviation;
  float operator()(std::int16_t sample) const { return (static_cast<float>(sample) - mean) / deviation; }
};

/// Mean and standard deviation over all samples. Throws `Error` when they are all the same.
Standardisation standardisation_of(const SequenceDataset<std::int16_t>& clips);

}  // namespace tasks
