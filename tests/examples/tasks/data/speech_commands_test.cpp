#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <support/files.hpp>
#include <tasks/common/training_data.hpp>
#include <tasks/data/speech_commands.hpp>
#include <tasks/data/wav.hpp>
#include <vector>

namespace {

using files::message_of;
using files::says;

std::string little_endian(std::uint32_t number, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(number >> (8 * i) & 0xFFU);
  return out;
}

struct Wav {
  std::uint32_t rate = 16000, channels = 1, bits = 16;
  std::uint32_t data_size = 0, riff_size = 0;  // what the headers say; 0: what is so
  std::string before_data = {};                // chunks
};

/// A WAV file of these samples.
std::string wav_bytes(const std::vector<std::int16_t>& samples, const Wav& w = {}) {
  std::string data;
  for (const std::int16_t x : samples) data += little_endian(static_cast<std::uint16_t>(x), 2);
  const std::uint32_t frame = w.channels * w.bits / 8;
  const auto size = static_cast<std::uint32_t>(data.size());
  const std::string body = "WAVEfmt " + little_endian(16, 4) + little_endian(1, 2) +
                           little_endian(w.channels, 2) + little_endian(w.rate, 4) +
                           little_endian(w.rate * frame, 4) + little_endian(frame, 2) +
                           little_endian(w.bits, 2) + w.before_data + "data" +
                           little_endian(w.data_size != 0 ? w.data_size : size, 4) + data;
  return "RIFF" + little_endian(w.riff_size != 0 ? w.riff_size : static_cast<std::uint32_t>(body.size()), 4) +
         body;
}

/// A second that starts with `first` and goes on with 1 and -1 in turns.
std::vector<std::int16_t> second(std::int16_t first) {
  std::vector<std::int16_t> samples(16000);
  for (std::size_t i = 0; i < samples.size(); ++i) samples[i] = i % 2 == 0 ? 1 : -1;
  samples[0] = first;
  return samples;
}

/// A directory of clips, `each` a word; a clip's first sample is 100 times its word's label and its number.
class Clips : public files::Directory {
 public:
  explicit Clips(int each) {
    for (std::size_t w = 0; w < tasks::kSpokenWords.size(); ++w) {
      std::filesystem::create_directory(file(tasks::kSpokenWords[w]));
      for (int i = 0; i < each; ++i)
        put(tasks::kSpokenWords[w] + ("/" + name(i)),
            wav_bytes(second(static_cast<std::int16_t>(100 * static_cast<int>(w) + i))));
    }
  }
  void put(const std::string& name, const std::string& content) const { files::put(file(name), content); }
  /// Each speaker said a word once.
  static std::string name(int i) { return "speaker" + std::to_string(i) + "_nohash_0.wav"; }
  [[nodiscard]] std::string message() const {
    return message_of([&] { tasks::read_speech_commands(path()); });
  }
};

std::set<std::int16_t> first_samples(const tasks::SequenceDataset<std::int16_t>& part) {
  std::set<std::int16_t> found;
  for (std::size_t i = 0; i < part.size(); ++i) found.insert(part.sequence(i)[0]);
  return found;
}

}  // namespace

TEST_CASE("clips are their samples and their word's label") {
  const Clips clips(10);
  const tasks::SpokenWords words = tasks::read_speech_commands(clips.path());
  CHECK(words.left_out == 0);
  CHECK(!words.is_listed);
  for (const auto* part : {&words.splits.train, &words.splits.validation, &words.splits.test})
    for (std::size_t i = 0; i < part->size(); ++i) {
      REQUIRE(part->sequence(i).size() == 16000);
      CHECK(part->sequence(i)[0] / 100 == part->label(i));
      CHECK(part->sequence(i)[1] == -1);
      CHECK(part->sequence(i)[15998] == 1);
    }
}

TEST_CASE(
    "without lists 70 % of each word's clips train, 15 % validate, 15 % test, the same ones each time") {
  const Clips clips(20);
  const auto splits = tasks::read_speech_commands(clips.path()).splits;
  std::map<std::int32_t, int> train, validation, test;
  for (std::size_t i = 0; i < splits.train.size(); ++i) ++train[splits.train.label(i)];
  for (std::size_t i = 0; i < splits.validation.size(); ++i) ++validation[splits.validation.label(i)];
  for (std::size_t i = 0; i < splits.test.size(); ++i) ++test[splits.test.label(i)];
  for (std::int32_t w = 0; w < 10; ++w) {
    CHECK(train[w] == 14);
    CHECK(validation[w] == 3);
    CHECK(test[w] == 3);
  }
  std::set<std::int16_t> all = first_samples(splits.train);
  all.merge(first_samples(splits.validation));
  all.merge(first_samples(splits.test));
  CHECK(all.size() == 200);
  CHECK(tasks::hash(splits) == tasks::hash(tasks::read_speech_commands(clips.path()).splits));
  // Words are drawn apart: not the same numbers of each.
  std::set<int> numbers;
  for (const std::int16_t x : first_samples(splits.test)) numbers.insert(x % 100);
  CHECK(numbers.size() > 3);
}

TEST_CASE("where both lists are there they say which clips validate and which test") {
  const Clips clips(4);
  std::string validation = "cat/nobody_nohash_0.wav\n";  // a word that is none of the ten
  std::string test;
  for (const char* word : tasks::kSpokenWords) {
    validation += std::string(word) + "/" + Clips::name(2) + "\n";
    test += std::string(word) + "/" + Clips::name(3) + "\r\n";
  }
  clips.put("validation_list.txt", validation);
  CHECK(!tasks::read_speech_commands(clips.path()).is_listed);  // one alone says nothing
  clips.put("testing_list.txt", test);
  const tasks::SpokenWords words = tasks::read_speech_commands(clips.path());
  CHECK(words.is_listed);
  CHECK(words.splits.train.size() == 20);
  for (const std::int16_t x : first_samples(words.splits.validation)) CHECK(x % 100 == 2);
  for (const std::int16_t x : first_samples(words.splits.test)) CHECK(x % 100 == 3);

  clips.put("testing_list.txt", test + "yes/" + Clips::name(2) + "\n");
  CHECK(says(clips.message(),
             {"testing_list.txt:11", "speaker2_nohash_0.wav", "in a list already", "one list"}));
  clips.put("testing_list.txt", "yes/speaker9_nohash_0.wav\n");
  CHECK(says(clips.message(), {"testing_list.txt:1", "yes/speaker9", "not there"}));
  clips.put("testing_list.txt", "speaker2_nohash_0.wav\n");
  CHECK(says(clips.message(), {"testing_list.txt:1", "'speaker2", "WORD/FILE.wav"}));
  clips.put("testing_list.txt", "");
  CHECK(says(clips.message(), {"found 40 clips", "none to test"}));
}

TEST_CASE("clips of another length than a second are left out and counted") {
  const Clips clips(10);
  clips.put("yes/short.wav", wav_bytes(std::vector<std::int16_t>(15999, 1)));
  clips.put("go/long.wav", wav_bytes(std::vector<std::int16_t>(16001, 1)));
  clips.put("go/README", "no clip");
  const tasks::SpokenWords words = tasks::read_speech_commands(clips.path());
  CHECK(words.left_out == 2);
  CHECK(words.splits.train.size() + words.splits.validation.size() + words.splits.test.size() == 100);
}

TEST_CASE("samples are standardised by the training clips' mean and standard deviation") {
  tasks::SequenceDataset<std::int16_t> clips;
  clips.append(std::vector<std::int16_t>{-32768, 0}, 0);
  clips.append(std::vector<std::int16_t>{32767, 5, 1}, 0);
  const tasks::Standardisation s = tasks::standardisation_of(clips);
  CHECK(s.mean == doctest::Approx(1));
  CHECK(s.deviation == doctest::Approx(20723.9869).epsilon(1e-7));
  CHECK(s(32767) == doctest::Approx(32766 / 20723.9869));
  clips = {};
  clips.append(std::vector<std::int16_t>{7, 7}, 0);
  CHECK(says(message_of([&] { tasks::standardisation_of(clips); }), {"the same number", "expected sound"}));
}

TEST_CASE("a network may take several samples a step") {
  tasks::Splits<std::int16_t> splits;
  for (auto* part : {&splits.train, &splits.validation, &splits.test})
    part->append(std::vector<std::int16_t>{1, 2, 3, 4, 5, 6}, 3);
  tasks::TrainingData<std::int16_t, float, tasks::Standardisation> data(splits, 1,
                                                                        {.mean = 1, .deviation = 2});
  sma::Batch<float, 3> x;
  std::vector<std::int32_t> targets;
  data.next(1, x, targets);
  data.example(sma::Split::test, 0, x, targets);
  CHECK(x.count() == 2);
  CHECK(x.length(0) == 2);
  CHECK(x(1, 0) == doctest::Approx(1.5));
  CHECK(x(3, 2) == doctest::Approx(2.5));
}

TEST_CASE("what is wrong with a directory of clips is said") {
  const std::initializer_list<std::string> layout{"yes/*.wav", "16 kHz, mono, 16 bit",
                                                  "speech_commands_v0.02.tar.gz", "2.3 GB"};
  const files::Directory empty;
  const auto message = message_of([&] { tasks::read_speech_commands(empty.path()); });
  CHECK(says(message, {"/yes: cannot be read (No such file"}));
  CHECK(says(message, layout));
  CHECK(says(message_of([&] { tasks::read_speech_commands(empty.file("absent")); }), {"absent/yes: cannot"}));
  const Clips clips(4);
  std::filesystem::remove_all(clips.file("left"));
  CHECK(says(clips.message(), {"/left: cannot be read"}));
  std::filesystem::create_directory(clips.file("left"));
  CHECK(says(clips.message(), {"/left: found no WAV file"}));
  CHECK(says(clips.message(), layout));
  CHECK(says(Clips(1).message(), {"found 10 clips", "none to validate"}));
}

TEST_CASE("what is wrong with a clip is said") {
  const Clips clips(4);
  const auto with = [&](const std::string& content) {
    clips.put("no/x.wav", content);
    return clips.message();
  };
  const std::vector<std::int16_t> samples = second(0);
  const std::string good = wav_bytes(samples);
  CHECK(with(good).empty());
  const std::string expected = "expected a WAV file, 16 kHz, mono, 16 bit";
  CHECK(says(with(""), {"no/x.wav: found an empty file", expected}));
  CHECK(says(with("RIFF"), {"no/x.wav: found 'RIFF' at its start", expected}));
  CHECK(says(with("This is no sound at all."), {"'This is no s'", "no WAV file", expected}));
  CHECK(says(with("\x1f\x8b and so on and so on"), {"(is the file gzip-compressed?)"}));
  CHECK(says(with(good.substr(0, 20000)),
             {"found 20000 bytes where its header says 32044", "cut short", expected}));
  CHECK(says(with(good.substr(0, 30)), {"found 30 bytes where its header says 32044"}));
  CHECK(says(with(wav_bytes(samples, {.rate = 22050})), {"found 22050 samples a second", expected}));
  CHECK(says(with(wav_bytes(samples, {.channels = 2})), {"found 2 channels", expected}));
  CHECK(says(with(wav_bytes(samples, {.bits = 8})), {"not of 16 bit", expected}));
  CHECK(says(with("RIFF" + little_endian(4, 4) + "WAVE"), {"no/x.wav: found no chunk 'data'", expected}));
  std::filesystem::remove(clips.file("no/x.wav"));
  std::filesystem::create_directory(clips.file("no/x.wav"));
  CHECK(says(clips.message(), {"no/x.wav: found a directory", expected}));
}

TEST_CASE("sizes that a clip says of itself and does not have are refused") {
  const files::Directory d;
  const std::vector<std::int16_t> samples = second(3);
  const auto read = [&](const Wav& w) {
    files::put(d.file("x.wav"), wav_bytes(samples, w));
    return tasks::read_wav(d.file("x.wav"), 16000, "sound");
  };
  CHECK(read({}) == samples);
  const std::string note = "LIST" + little_endian(3, 4) + "abc" + std::string(1, '\0');
  CHECK(read({.before_data = note}) == samples);  // an odd chunk is padded
  const auto message = [&](const Wav& w) { return message_of([&] { read(w); }); };
  CHECK(says(message({.data_size = 32002}), {"a chunk 'data' of 32002 bytes, 2 more than there are"}));
  CHECK(says(message({.data_size = 0xFFFFFFFF}), {"a chunk 'data' of 4294967295 bytes"}));
  CHECK(says(message({.data_size = 1000}),
             {"a chunk '\\x01\\x00\\xff\\xff' of"}));  // samples where a chunk should be
  CHECK(says(message({.riff_size = 0xFFFFFFFF}), {"32044 bytes where its header says 4294967303"}));
  CHECK(says(message({.riff_size = 4}), {"no chunk 'data' in the 12 bytes of its header's size"}));
}
