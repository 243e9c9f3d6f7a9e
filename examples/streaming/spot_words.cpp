/// Listens to audio and prints the words that it hears, with their time: a classifier of speech_commands as a stream, 2 ms a step.
///
///     speech_commands --data spoken-words --save runs/words
///     arecord -f S16_LE -r 16000 -t raw | spot_words --weights runs/words/best.safetensors -
///     spot_words --weights runs/words/best.safetensors some.wav

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <seqboat/seqboat.hpp>
#include <sma/base/text.hpp>
#include <sma/eigen.hpp>
#include <sma/io/safetensors.hpp>
#include <sma/sma.hpp>
#include <sma/train/checkpoint.hpp>
#include <tasks/common/program.hpp>
#include <tasks/common/small_models.hpp>
#include <tasks/data/speech_commands.hpp>
#include <tasks/data/wav.hpp>
#include <vector>

namespace {

using Net = sma::Network<seqboat::RunningClassifier<tasks::small::SpeechCommands>, sma::Eigen<float>>;
constexpr auto kBlock = static_cast<std::size_t>(Net::input_width);  // samples a step
constexpr std::size_t kSecond = 16000;
constexpr std::size_t kStreams =
    4;  // each hears one second, as a clip of the training data is; they begin a quarter apart

struct Options {
  std::string weights, audio;
  double threshold = 0.9;
  double loudness = -45;  // dB
};

/// Blocks of 16-bit samples from a WAV file, or raw from stdin.
class Source {
 public:
  explicit Source(const std::string& path) : path_(path) {
    if (path_ != "-") samples_ = tasks::read_wav(path_, 16000, "a WAV file of 16 kHz, mono, 16 bit");
  }
  bool next(std::array<std::int16_t, kBlock>& block) {
    if (path_ == "-") return std::fread(block.data(), sizeof(block[0]), kBlock, stdin) == kBlock;
    if (at_ + kBlock > samples_.size()) return false;
    std::copy_n(samples_.begin() + static_cast<std::ptrdiff_t>(at_), kBlock, block.begin());
    at_ += kBlock;
    return true;
  }

 private:
  std::string path_;
  std::vector<std::int16_t> samples_;
  std::size_t at_ = 0;
};

/// Times of blocks, in buckets of an eighth of a doubling.
class Latencies {
 public:
  void add(double microseconds) {
    const double bucket = 8 * std::log2(std::max(microseconds, 1.0));
    ++counts_[std::min(static_cast<std::size_t>(bucket), counts_.size() - 1)];
    ++total_;
    most_ = std::max(most_, microseconds);
  }
  void print() const {
    if (total_ == 0) return;
    std::fprintf(stderr,
                 "a block of 2 ms took: half of them %.0f us at most, 99 %% %.0f us, 99.9 %% %.0f us, the "
                 "longest %.0f us\n",
                 quantile(0.5), quantile(0.99), quantile(0.999), most_);
    for (std::size_t octave = 0; octave < counts_.size() / 8; ++octave) {
      std::size_t count = 0;
      for (std::size_t i = 8 * octave; i < 8 * octave + 8; ++i) count += counts_[i];
      if (count == 0) continue;
      const double share = static_cast<double>(count) / static_cast<double>(total_);
      std::fprintf(stderr, "%6.0f to %6.0f us %6.2f %% %s\n", std::exp2(octave), std::exp2(octave + 1),
                   100 * share, std::string(static_cast<std::size_t>(std::ceil(60 * share)), '#').c_str());
    }
  }

 private:
  [[nodiscard]] double quantile(double share) const {
    std::size_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i)
      if (static_cast<double>(seen += counts_[i]) >= share * static_cast<double>(total_))
        return std::exp2(static_cast<double>(i + 1) / 8);
    return most_;
  }
  std::array<std::size_t, 160> counts_{};
  std::size_t total_ = 0;
  double most_ = 0;
};

float number(const sma::SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  const auto value = found == file.metadata().end() ? std::nullopt : sma::number_of(found->second);
  if (!value)
    throw sma::Error(file.path() + ": found no '" + key +
                     "' in the metadata, expected a checkpoint of speech_commands");
  return static_cast<float>(*value);
}

void listen(const Options& o) {
  Net net(sma::Seed{1});
  sma::load_weights(net, o.weights);
  const auto file = sma::SafetensorsFile::open(o.weights);
  const tasks::Standardisation standardise{number(file, "recipe.input mean"),
                                           number(file, "recipe.input deviation")};

  struct Listener {
    typename Net::Stream stream;
    std::size_t heard = 0;
    double energy = 0;
  };
  std::vector<Listener> listeners;
  for (std::size_t i = 0; i < kStreams; ++i) listeners.push_back({net.stream()});
  std::array<std::int16_t, kBlock> samples{};
  std::array<float, kBlock> x{};
  std::array<float, tasks::small::SpeechCommands::classes> logits{};
  Latencies latencies;
  std::size_t time = 0;         // samples
  std::size_t quiet_until = 0;  // a word is told once, though several listeners hear it
  Source source(o.audio);
  while (source.next(samples)) {
    const auto start = std::chrono::steady_clock::now();
    double energy = 0;
    for (std::size_t i = 0; i < kBlock; ++i) {
      x[i] = standardise(samples[i]);
      energy += static_cast<double>(samples[i]) * static_cast<double>(samples[i]);
    }
    for (std::size_t i = 0; i < kStreams; ++i) {
      Listener& listener = listeners[i];
      if (time < i * kSecond / kStreams) continue;
      net.step(listener.stream, x, logits);
      listener.heard += kBlock;
      listener.energy += energy;
      if (listener.heard < kSecond) continue;
      const double loudness = 10 * std::log10(listener.energy / kSecond / (32768.0 * 32768.0) + 1e-12);
      const auto best =
          static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
      double sum = 0;
      for (const float logit : logits)
        sum += std::exp(static_cast<double>(logit) - static_cast<double>(logits[best]));
      if (loudness > o.loudness && 1 / sum > o.threshold && time >= quiet_until) {
        std::printf("%8.2f s  %-5s  %.0f %%\n", static_cast<double>(time + kBlock - kSecond / 2) / kSecond,
                    tasks::kSpokenWords[best], 100 / sum);
        std::fflush(stdout);
        quiet_until = time + 3 * kSecond / 4;
      }
      listener.stream.reset();
      listener.heard = 0;
      listener.energy = 0;
    }
    time += kBlock;
    latencies.add(
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  }
  latencies.print();
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Prints the words of Speech Commands that it hears.", "spot_words");
  app.add_option("audio", o.audio,
                 "a WAV file of 16 kHz, mono, 16 bit; or -: raw samples of that kind on stdin")
      ->required();
  app.add_option("--weights", o.weights,
                 "best.safetensors or last.safetensors of speech_commands --preset small")
      ->required();
  app.add_option("--threshold", o.threshold, "the least probability that is told")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--loudness", o.loudness, "seconds below this are silence, dB of full scale")
      ->capture_default_str();
  return tasks::run_program(app, argc, argv, [&] { listen(o); });
}
