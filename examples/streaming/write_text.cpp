/// Writes text with a byte model that enwik8 has trained: reads a prompt in one go, then one byte a step, in constant memory.
///
///     enwik8 --data gcide.txt --save runs/bytes
///     write_text --weights runs/bytes/best.safetensors --prompt "Boat, n." --length 500

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/checkpoint.hpp>
#include <sma/train/stream_file.hpp>
#include <tasks/common/program.hpp>
#include <tasks/common/small_models.hpp>
#include <tasks/data/dataset.hpp>
#include <tasks/data/text.hpp>
#include <vector>

namespace {

using Net = sma::Network<seqboat::LanguageModel<tasks::small::Enwik8>, sma::Eigen<float>>;

struct Options {
  std::string weights, prompt, prompt_file, state, save_state;
  std::size_t length = 400;
  double temperature = 0.8, top_p = 0.95;
  std::uint64_t seed = 1;
};

/// Draws from softmax(logits / temperature), among the most probable bytes that have `top_p` together. Temperature 0: the most probable.
std::size_t draw(const std::array<float, 256>& logits, const Options& o, tasks::SplitMix& random) {
  std::array<std::size_t, 256> order{};
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  if (o.temperature == 0) return order[0];
  std::array<double, 256> weight{};
  double sum = 0;
  for (std::size_t i = 0; i < 256; ++i)
    sum += weight[i] = std::exp(
        (static_cast<double>(logits[order[i]]) - static_cast<double>(logits[order[0]])) / o.temperature);
  std::size_t kept = 0;
  double mass = 0;
  while (kept < 256 && mass < o.top_p * sum) mass += weight[kept++];
  double at = random.unit() * mass;
  for (std::size_t i = 0; i < kept; ++i)
    if ((at -= weight[i]) < 0) return order[i];
  return order[kept - 1];
}

void write(const Options& o) {
  Net net(sma::Seed{1});
  sma::load_weights(net, o.weights);
  auto stream = net.stream();
  if (!o.state.empty()) sma::load_stream(net, stream, o.state);
  std::string prompt = o.prompt_file.empty() ? o.prompt : tasks::read_file(o.prompt_file, "a text");
  if (prompt.empty()) prompt = "\n";  // there is always a byte before the first
  std::fwrite(prompt.data(), 1, prompt.size(), stdout);

  const std::vector<unsigned char> bytes(prompt.begin(), prompt.end());
  std::array<float, 256> logits{};
  net.steps(stream, std::vector<sma::Token>(bytes.begin(), bytes.end()), logits);
  tasks::SplitMix random(o.seed);
  for (std::size_t i = 0; i < o.length; ++i) {
    const std::size_t byte = draw(logits, o, random);
    if (std::putchar(static_cast<int>(byte)) == EOF) throw sma::Error("stdout: cannot be written");
    net.step(stream, std::array{static_cast<sma::Token>(byte)}, logits);
  }
  if (!o.save_state.empty()) sma::save_stream(net, stream, o.save_state);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Writes text with a byte model of enwik8 --preset small.", "write_text");
  app.add_option("--weights", o.weights, "best.safetensors or last.safetensors of the model's run")
      ->required();
  auto* prompt = app.add_option("--prompt", o.prompt, "what the text begins with");
  app.add_option("--prompt-file", o.prompt_file, "the same from a file, of any length")->excludes(prompt);
  app.add_option("--length", o.length, "bytes to write after it")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--temperature", o.temperature, "below 1: more probable bytes; 0: the most probable")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  app.add_option("--top-p", o.top_p, "draw among the most probable bytes that have this probability together")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--seed", o.seed, "of the draws")->capture_default_str();
  app.add_option("--state", o.state, "go on from a state that --save-state wrote");
  app.add_option("--save-state", o.save_state, "write the stream's state to this file in the end");
  return tasks::run_program(app, argc, argv, [&] { write(o); });
}
