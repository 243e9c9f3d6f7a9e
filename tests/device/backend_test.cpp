#include <doctest/doctest.h>

#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/loss.hpp>
#include <sma/train/optimizer.hpp>
#include <support/deferred.hpp>
#include <support/laws.hpp>
#include <utility>

/// A backend is an object with a queue. Here nothing in it happens before it is waited for.

namespace {

using sma::Index;
using Cpu = sma::Eigen<double>;
using Late = deferred::Deferred<double>;

struct Mixture : sma::Router<sma::LatentConfigurator<6, sma::Independent, sma::Confidence>, sma::SkipBranch,
                             sma::Branch<"mlp", sma::FeedForward<6, 5>>,
                             sma::Branch<"chain", sma::Chain<sma::RmsNorm<6>, sma::Linear<6, 6>>>> {};
using Body = sma::Repeat<2, sma::Residual<sma::Chain<sma::LayerNorm<6>, Mixture>>>;
struct Causal : seqboat::LayerDefaults {
  static constexpr Index width = 6, query_width = 4, hidden_width = 8, states = 3;
  using span = seqboat::Window<3>;
  using position = seqboat::SimplePosition<32>;
  static constexpr bool causal = true;
};
using Classifier =
    sma::Chain<sma::TokenEmbedding<5, 6>, Body, sma::BatchNorm<6>, sma::MeanPool<6>, sma::Linear<6, 3>>;

}  // namespace

TEST_CASE("passes on a queue that runs late are those on Eigen") {
  for (const auto& lengths : laws::shapes_of<Body>()) {
    laws::check_backends_agree<Body, Cpu, Late>(lengths, 3, {});
    laws::check_backends_agree<seqboat::Layer<Causal>, Cpu, Late>(lengths, 4, {});
  }
  for (const auto decision : {laws::Decision::none, laws::Decision::all})
    laws::check_backends_agree<Body, Cpu, Late>({5, 0, 9}, 5, laws::Force{decision});
}

TEST_CASE("a loss, its update and a clipped norm on a queue that runs late are those on Eigen") {
  const auto trained = []<class B>(std::type_identity<B>) {
    sma::Network<Classifier, B> net(sma::Seed{3}, {.threads = 1, .lanes = 1});
    sma::AdamW<decltype(net)> adam(net);
    const auto x = laws::random_input<decltype(net)>({5, 1, 9, 3}, 2);
    const std::vector<std::int32_t> targets{0, 2, 1, 1};
    std::vector<double> numbers;
    for (int step = 0; step < 3; ++step) {
      net.zero_gradients();
      const sma::LossSum sum =
          net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy(), 0.25);
      numbers.insert(numbers.end(), {sum.loss, sum.correct, sum.counted, adam.gradient_norm()});
      adam.step(0.01, sma::clip_factor(numbers.back(), 0.5));
      for (const double metric : net.metric_values()) numbers.push_back(metric);
    }
    for (const double w : laws::parameters_of(net)) numbers.push_back(w);
    for (const double b : laws::buffers_of(net)) numbers.push_back(b);
    return numbers;
  };
  laws::check_close(trained(std::type_identity<Late>{}), trained(std::type_identity<Cpu>{}), 1e-11,
                    "training");
}

TEST_CASE("a router waits once for all its branches' numbers of rows") {
  sma::Network<Body, Late> net(sma::Seed{1});
  const auto x = laws::random_input<decltype(net)>({5, 0, 9}, 2);
  const auto waits = [&](const auto& f) {
    const int before = Late::waits;
    f();
    return Late::waits - before;
  };
  net.train(x);
  net.backend().wait();
  CHECK(waits([&] { net.train(x); }) == 2);  // two layers with two branches each
  const std::vector<double> dy(static_cast<std::size_t>(x.rows() * 6), 1.0);
  CHECK(waits([&] { net.backward({dy.data(), x.rows()}); }) == 0);
}

TEST_CASE("output and gradient stay where they are until the host asks, and then come down once") {
  sma::Network<sma::Linear<4, 3>, Late> net(sma::Seed{1});
  sma::Network<sma::Linear<4, 3>, Cpu> eigen(sma::Seed{1});
  const auto x = laws::random_input<decltype(net)>({5, 2}, 2);
  const std::vector<double> dy(21, 1.0);
  const int before = Late::waits;
  const auto y = net.train(x);
  const auto dx = net.backward({dy.data(), 7});
  CHECK(Late::waits == before);
  CHECK(y.count == 7);
  CHECK(y.view().data != y.host().data);
  CHECK(Late::waits == before + 1);
  const auto expected = eigen.train(x);
  CHECK(expected.view().data == expected.host().data);
  laws::check_close(laws::values_of(y), laws::values_of(expected), 1e-12, "output");
  CHECK(Late::waits == before + 1);
  laws::check_close(laws::values_of(dx), laws::values_of(eigen.backward({dy.data(), 7})), 1e-12, "dx");
  CHECK(y.host().data == net.train(x).host().data);
}

TEST_CASE("a network that was moved goes on, with what its last pass gave and with its streams") {
  using Net = sma::Network<Body, Cpu>;
  Net first(sma::Seed{7}, {.threads = 2, .lanes = 2});
  Net still(sma::Seed{7}, {.threads = 2, .lanes = 2});
  const auto x = laws::random_input<Net>({5, 0, 9}, 2);
  const std::vector<double> dy(static_cast<std::size_t>(x.rows() * 6), 1.0);
  auto stream = first.stream(), as_it_was = still.stream();
  std::array<double, 6> y{}, expected{};
  const auto step = [&](Net& net, Net::Stream& of, std::array<double, 6>& out, Index t) {
    net.step(of, std::span<const double, 6>(x.view().row(t), 6), out);
  };
  step(first, stream, y, 0);
  step(still, as_it_was, expected, 0);
  const auto output = first.train(x);
  still.train(x);
  std::vector<Net> nets;
  nets.push_back(std::move(first));
  nets.push_back(Net(sma::Seed{8}));
  nets.push_back(Net(sma::Seed{9}));  // the vector grows: they move again
  Net other(sma::Seed{10});
  other = std::move(nets[0]);
  const auto dx = laws::values_of(other.backward({dy.data(), x.rows()}));
  laws::check_same_bits(dx, laws::values_of(still.backward({dy.data(), x.rows()})), "input gradient");
  laws::check_same_bits(laws::gradients_of(other), laws::gradients_of(still), "gradients");
  laws::check_same_bits(laws::values_of(output), laws::values_of(still.train(x)), "output");
  step(other, stream, y, 1);
  step(still, as_it_was, expected, 1);
  CHECK(y == expected);
}

TEST_CASE("a network that finds NaN on a queue that runs late says where") {
  sma::Network<sma::Chain<sma::Linear<4, 4>, sma::Linear<4, 3>>, Late> net(sma::Seed{1});
  auto x = laws::random_input<decltype(net)>({5, 2}, 2);
  CHECK_NOTHROW(net.infer(x));
  auto weights = laws::parameters_of(net);
  weights[0] = std::numeric_limits<double>::infinity();
  net.set_parameters(weights);
  CHECK_THROWS_WITH_AS(net.infer(x), doctest::Contains("module '0'"), sma::NotFinite);
}
