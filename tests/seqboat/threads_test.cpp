// labels: threads
#include <doctest/doctest.h>

#include <array>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/loss.hpp>
#include <sma/train/optimizer.hpp>
#include <support/laws.hpp>
#include <thread>
#include <vector>

namespace {

using sma::Index;

struct LayerNormLayer : seqboat::LayerDefaults {
  static constexpr Index width = 4, query_width = 4, hidden_width = 6, states = 2;
  static constexpr bool prenorm = false;
  using span = seqboat::Window<3>;
  using position = seqboat::SimplePosition<16>;
  using dropout = std::ratio<1, 10>;
  using hidden_dropout = std::ratio<1, 10>;
};
struct BatchNormLayer : LayerNormLayer {
  static constexpr bool prenorm = true;
  template <Index Width>
  using norm = sma::BatchNorm<Width>;
};
struct Causal : LayerNormLayer {
  static constexpr bool causal = true;
  static constexpr Index truncation = 5;
};
struct Model : seqboat::ClassifierDefaults {
  using layer = LayerNormLayer;
  static constexpr Index layers = 2, classes = 3, classifier_width = 5, vocabulary = 7;
};
struct CoupledModel : seqboat::ClassifierDefaults {
  using layer = BatchNormLayer;
  static constexpr Index layers = 2, classes = 3, classifier_width = 5;
  static constexpr bool absolute_positions = true;
};

const laws::Lengths kLengths{40, 0, 1, 17, 200, 3, 8, 64, 2};

/// Three steps of AdamW: losses, parameters and running statistics.
template <class M>
void check_training_steps() {
  using Net = sma::Network<M, sma::Eigen<float>>;
  const auto train = [](Index threads) {
    Net net(sma::Seed{1}, {.threads = threads, .lanes = 5});
    net.settings().auxiliary = {.load_balance = 0.01, .z_loss = 0.001, .budget = 0.1};
    sma::AdamW<Net> optimizer(net, {.weight_decay = 0.01});
    const std::vector<std::int32_t> targets{0, 1, 2, 0, 1, 2, 0, 1, 2};
    std::vector<double> losses;
    for (std::uint64_t step = 0; step < 3; ++step) {
      net.settings().step = step;
      net.zero_gradients();
      const auto sum = net.accumulate(laws::random_input<Net>(kLengths, step),
                                      std::span<const std::int32_t>(targets), sma::CrossEntropy{}, 1.0 / 9);
      losses.push_back(sum.loss);
      optimizer.step(0.01);
    }
    return std::tuple{losses, laws::parameters_of(net), laws::buffers_of(net)};
  };
  const auto one = train(1);
  const auto two = train(2);
  laws::check_same_bits(std::get<0>(two), std::get<0>(one), "losses");
  laws::check_same_bits(std::get<1>(two), std::get<1>(one), "parameters");
  laws::check_same_bits(std::get<2>(two), std::get<2>(one), "running statistics");
  Net untrained(sma::Seed{1});
  CHECK(std::get<1>(one) != laws::parameters_of(untrained));
}

}  // namespace

TEST_CASE("threads change no bit of a classifier's training, dropout and auxiliary losses included") {
  check_training_steps<seqboat::Classifier<Model>>();
}

TEST_CASE("threads change no bit of a classifier's training where batch norm couples the batch") {
  check_training_steps<seqboat::Classifier<CoupledModel>>();
}

TEST_CASE("streams of one network on several threads give what each gives alone") {
  using Net = sma::Network<seqboat::Layer<Causal>, sma::Eigen<float>>;
  Net net(sma::Seed{1});
  laws::randomize(net, 1);
  const auto run = [&net](std::uint64_t key, std::vector<float>& to) {
    auto stream = net.stream();
    std::array<float, 4> in{}, out{};
    sma::RandomSequence random(key, 1);
    for (int t = 0; t < 500; ++t) {
      for (float& value : in) value = static_cast<float>(random.normal());
      net.step(stream, in, out);
      to.insert(to.end(), out.begin(), out.end());
    }
  };
  std::vector<float> alone[3], together[3];
  for (std::uint64_t i = 0; i < 3; ++i) run(i, alone[i]);
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 3; ++i) threads.emplace_back([&, i] { run(i, together[i]); });
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < 3; ++i) laws::check_same_bits(together[i], alone[i], "a stream");
}

TEST_CASE("threads change no bit of a pass, and lanes only its rounding") {
  laws::check_threads<seqboat::Classifier<CoupledModel>, sma::Eigen<double>>(kLengths, 1);
  laws::check_threads<seqboat::Classifier<CoupledModel>, sma::Eigen<double>>({5}, 2);
  laws::check_threads<seqboat::Classifier<CoupledModel>, sma::Eigen<double>>({}, 3);
}
