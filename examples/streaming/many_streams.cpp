/// How many people can be listened to at once? Streams of the word spotter's classifier over threads, each with audio of its own, and how many
/// of them a core follows in real time.

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/checkpoint.hpp>
#include <tasks/common/program.hpp>
#include <tasks/common/small_models.hpp>
#include <tasks/common/whole.hpp>
#include <thread>
#include <vector>

namespace {

using Net = sma::Network<seqboat::RunningClassifier<tasks::small::SpeechCommands>, sma::Eigen<float>>;
constexpr auto kBlock = static_cast<std::size_t>(Net::input_width);
constexpr double kStepsASecond = 16000.0 / static_cast<double>(kBlock);

struct Options {
  std::string weights;
  std::size_t threads = 1, streams = 100;
  double seconds = 3;
};

/// Steps of all of a thread's streams, in turns, until the time is over; how many a second.
double follow(const Net& net, const Options& o, unsigned seed) {
  std::vector<Net::Stream> streams;
  for (std::size_t i = 0; i < o.streams; ++i) streams.push_back(net.stream());
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<std::array<float, kBlock>> audio(500);
  for (auto& block : audio)
    for (float& sample : block) sample = normal(random);
  std::array<float, tasks::small::SpeechCommands::classes> logits{};
  const auto start = std::chrono::steady_clock::now();
  double taken = 0;
  std::size_t steps = 0;
  while (taken < o.seconds) {
    for (std::size_t i = 0; i < o.streams; ++i) {
      net.step(streams[i], audio[(steps + 37 * i) % audio.size()], logits);
      if (streams[i].time() == 500) streams[i].reset();
    }
    ++steps;
    taken = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  return static_cast<double>(steps * o.streams) / taken;
}

void measure(const Options& o) {
  Net net(sma::Seed{1});
  if (!o.weights.empty()) sma::load_weights(net, o.weights);
  std::vector<double> rates(o.threads);
  std::vector<std::thread> threads;
  for (std::size_t t = 1; t < o.threads; ++t)
    threads.emplace_back([&, t] { rates[t] = follow(net, o, static_cast<unsigned>(t)); });
  rates[0] = follow(net, o, 0);
  for (std::thread& thread : threads) thread.join();
  double sum = 0;
  for (const double rate : rates) sum += rate;
  std::printf("%zu threads with %zu streams each, %zu KB a stream: %.0f steps of 2 ms a second\n", o.threads,
              o.streams, Net::Stream::state_bytes / 1024, sum);
  std::printf("%.0f streams a thread in real time, %.0f in all\n",
              sum / kStepsASecond / static_cast<double>(o.threads), sum / kStepsASecond);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Measures how many streams of audio are followed in real time.", "many_streams");
  app.add_option("--weights", o.weights, "of speech_commands --preset small; without them as drawn");
  app.add_option("--threads", o.threads, "threads")
      ->transform(tasks::whole<std::size_t>(1, 1024))
      ->capture_default_str();
  app.add_option("--streams", o.streams, "streams a thread")
      ->transform(tasks::whole<std::size_t>(1, 1000000))
      ->capture_default_str();
  app.add_option("--seconds", o.seconds, "how long to measure")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  return tasks::run_program(app, argc, argv, [&] { measure(o); });
}
