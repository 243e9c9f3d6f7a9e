/// A byte model evaluated by streams.

#include <doctest/doctest.h>

#include <cmath>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <tasks/common/byte_data.hpp>
#include <tasks/common/streamed.hpp>
#include <vector>

namespace {

struct Layer : seqboat::LayerDefaults {
  static constexpr sma::Index width = 8, query_width = 4, hidden_width = 12, states = 3, truncation = 20;
  using span = seqboat::Window<6>;
  using position = seqboat::RotaryPosition;
  static constexpr bool causal = true;
};
struct Model : seqboat::LanguageModelDefaults {
  using layer = Layer;
  static constexpr sma::Index layers = 2, vocabulary = 256;
};
using Net = sma::Network<seqboat::LanguageModel<Model>, sma::Eigen<double>>;

tasks::ByteText random_text(std::size_t size) {
  tasks::SplitMix random(5);
  std::vector<std::uint8_t> bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random.below(256));
  return tasks::ByteText(std::move(bytes));
}

/// With weights so large that routers differ from step to step and logits are far from equal.
Net lively() {
  Net net(sma::Seed{2}, {.threads = 2});
  for (double& w : net.parameters()) w *= 4;
  return net;
}

/// Sums over a window [from, end) in one pass, of its bytes from `begin` on.
sma::LossSum whole(Net& net, const tasks::ByteText& text, std::size_t from, std::size_t begin,
                   std::size_t end) {
  std::vector<sma::Token> tokens;
  std::vector<std::int32_t> targets;
  for (std::size_t at = from; at < end; ++at) {
    tokens.push_back(text.before(at));
    targets.push_back(at < begin ? tasks::ByteData::ignored : text.bytes()[at]);
  }
  sma::Batch<sma::Token, 1> x;
  x.append(tokens);
  return sma::CrossEntropy::evaluate(net.infer(x), targets, sma::CrossEntropy{tasks::ByteData::ignored});
}

bool near(double a, double b) { return std::abs(a - b) < 1e-10; }

}  // namespace

TEST_CASE("a streamed evaluation is that of one long sequence") {
  Net net = lively();
  const auto text = random_text(8000);
  const auto part = text.part(sma::Split::test);
  const auto expected = whole(net, text, part.begin, part.begin, part.end);
  const auto streamed = tasks::evaluate_streamed(net, text, part, 1);
  CHECK(streamed.rows == 400);
  CHECK(near(streamed.loss, expected.loss / 400));
  CHECK(near(streamed.accuracy, expected.correct / 400));
  CHECK(near(streamed.bits(), streamed.loss / std::log(2.0)));
}

TEST_CASE("runs of a streamed evaluation read ahead, whatever the number of threads") {
  Net net = lively();
  const auto text = random_text(8000);
  const auto part = text.part(sma::Split::test);
  double expected = 0;
  for (std::size_t begin = part.begin; begin < part.end; begin += 90)
    expected +=
        whole(net, text, std::max(begin, part.begin + 50) - 50, begin, std::min(begin + 90, part.end)).loss;
  const auto one = tasks::evaluate_streamed(net, text, part, 1, 0, {.length = 90, .ahead = 50});
  CHECK(near(one.loss, expected / 400));
  const auto three = tasks::evaluate_streamed(net, text, part, 3, 0, {.length = 90, .ahead = 50});
  CHECK(three.loss == one.loss);
  CHECK(three.rows == 400);
}

TEST_CASE("a streamed evaluation is over as many bytes as it was asked for") {
  Net net = lively();
  const auto text = random_text(8000);
  const auto part = text.part(sma::Split::validation);
  const auto expected = whole(net, text, part.begin, part.begin, part.begin + 130);
  const auto limited = tasks::evaluate_streamed(net, text, part, 2, 130);
  CHECK(limited.rows == 130);
  CHECK(near(limited.loss, expected.loss / 130));
  CHECK(tasks::evaluate_streamed(net, text, part, 2, 100'000).rows == 400);
}

TEST_CASE("a segment with as much context as the split has is evaluated as one long sequence is") {
  Net net = lively();
  tasks::ByteData data(random_text(8000), 1, {.length = 90, .context = 400});
  const auto part = data.text().part(sma::Split::test);
  double loss = 0;
  double counted = 0;
  for (sma::Index i = 0; i < data.size(sma::Split::test); ++i) {
    tasks::ByteData::Input x;
    std::vector<std::int32_t> targets;
    data.example(sma::Split::test, i, x, targets);
    const auto sum =
        sma::CrossEntropy::evaluate(net.infer(x), targets, sma::CrossEntropy{tasks::ByteData::ignored});
    loss += sum.loss;
    counted += sum.counted;
  }
  CHECK(counted == 400);
  CHECK(near(loss / 400, tasks::evaluate_streamed(net, data.text(), part, 2).loss));
}
