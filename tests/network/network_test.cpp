#include <doctest/doctest.h>

#include <limits>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/loss.hpp>
#include <support/laws.hpp>
#include <support/neighbour.hpp>

using sma::Index;

namespace {

struct Mixture
    : sma::Router<sma::LatentConfigurator<6, sma::Independent, sma::Confidence>,
                  sma::Branch<"mlp", sma::FeedForward<6, 5>>, sma::Branch<"neighbour", user::Neighbour<6>>> {
};
/// Tokens in, logits of each row out; what a network can hold: embedding, batch norm, router, dropout, two layers.
using Model = sma::Chain<
    sma::Named<"embed", sma::TokenEmbedding<9, 6>>,
    sma::Named<"layers", sma::Repeat<2, sma::Residual<sma::Chain<sma::BatchNorm<6>, Mixture,
                                                                 sma::Dropout<6, std::ratio<1, 5>>>>>>,
    sma::Named<"head", sma::Linear<6, 3>>>;
using Net = sma::Network<Model, sma::Eigen<double>>;
using Small = sma::Network<sma::Linear<2, 3>, sma::Eigen<float>>;

std::vector<std::int32_t> targets_of(Index rows) {
  std::vector<std::int32_t> targets;
  for (Index t = 0; t < rows; ++t) targets.push_back(static_cast<std::int32_t>(t * 7 % 3));
  return targets;
}

}  // namespace

TEST_CASE("parameters lie in one buffer, found by name, offset and shape") {
  const auto entries = sma::parameter_entries<Model>();
  CHECK(entries.front().name == "embed.weight");
  CHECK(entries.back().name == "head.bias");
  CHECK(std::count_if(entries.begin(), entries.end(), [](const auto& e) {
          return e.name == "layers.1.1.configurator.temp" || e.name == "layers.0.1.mlp.up.weight" ||
                 e.name == "layers.1.1.neighbour.before" || e.name == "layers.0.0.weight";
        }) == 4);
  Index total = 0;
  for (const auto& entry : entries) {
    CHECK(entry.offset == total);
    total += entry.size;
  }
  Net net(sma::Seed{1});
  CHECK(static_cast<Index>(net.parameters().size()) == total);
  CHECK(net.gradients().size() == net.parameters().size());
  // Writing through the buffer changes what runs.
  const auto x = laws::random_input<Net>({3}, 1);
  const auto before = laws::values_of(net.infer(x));
  net.parameters()[static_cast<std::size_t>(entries.back().offset)] += 2;
  const auto after = laws::values_of(net.infer(x));
  for (std::size_t e = 0; e < after.size(); ++e)
    CHECK(after[e] == doctest::Approx(before[e] + (e % 3 == 0 ? 2 : 0)));
}

TEST_CASE("initial values depend on the seed alone") {
  Net a(sma::Seed{1});
  Net b(sma::Seed{1}, {.threads = 2, .lanes = 3});
  Net c(sma::Seed{2});
  laws::check_same_bits(laws::parameters_of(a), laws::parameters_of(b), "the same seed");
  CHECK(laws::parameters_of(a) != laws::parameters_of(c));
}

TEST_CASE("accumulate is forward, loss and backward, and adds to the gradients") {
  const laws::Lengths lengths{9, 0, 30, 1};
  Net net(sma::Seed{3}, {.threads = 1, .lanes = 3});
  laws::randomize(net, 3);
  const auto buffers = laws::buffers_of(net);
  const auto x = laws::random_input<Net>(lengths, 3);
  const auto targets = targets_of(40);
  const double scale = 0.25;

  net.zero_gradients();
  const sma::LossSum sum =
      net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy{}, scale);
  const auto gradients = laws::gradients_of(net);
  const auto running = laws::buffers_of(net);

  net.set_buffers(buffers);
  const auto y = net.train(x);
  std::vector<double> dy;
  double loss = 0;
  double correct = 0;
  for (Index t = 0; t < 40; ++t) {
    const auto target = targets[static_cast<std::size_t>(t)];
    double total = 0;
    Index best = 0;
    for (Index c = 0; c < 3; ++c) {
      total += std::exp(y(t, c));
      best = y(t, c) > y(t, best) ? c : best;
    }
    for (Index c = 0; c < 3; ++c) dy.push_back(scale * (std::exp(y(t, c)) / total - (c == target ? 1 : 0)));
    loss += std::log(total) - y(t, target);
    correct += best == target ? 1 : 0;
  }
  net.set_buffers(buffers);
  const auto pass = laws::train(net, x, dy);
  CHECK(sum.loss == doctest::Approx(scale * loss).epsilon(1e-12));
  CHECK(sum.correct == correct);
  laws::check_close(gradients, pass.gradients, 1e-13, "gradients");
  laws::check_close(running, pass.buffers, 1e-13, "running statistics");

  net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy{}, scale);
  auto twice = gradients;
  for (double& value : twice) value *= 2;
  laws::check_close(laws::gradients_of(net), twice, 1e-12, "twice");
}

TEST_CASE("threads change no bit of a whole network's pass, lanes only its rounding") {
  // Enough rows a lane that no batch norm sees a single one.
  for (const laws::Lengths& lengths : {laws::Lengths{}, {0, 0}, {40, 1, 0, 60, 25}, {3, 300, 2}})
    laws::check_threads<Model, sma::Eigen<double>>(lengths, 4);
  laws::check_threads<Model, sma::Eigen<float>>({40, 1, 0, 60, 25}, 5);
}

TEST_CASE("threads change no bit of accumulate") {
  const laws::Lengths lengths{40, 1, 0, 60, 25, 3, 3, 3};
  const auto x = laws::random_input<Net>(lengths, 3);
  const auto targets = targets_of(x.rows());
  std::vector<double> gradients[2];
  for (const Index threads : {1, 2}) {
    Net net(sma::Seed{3}, {.threads = threads, .lanes = 4});
    laws::randomize(net, 3);
    net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy{}, 1.0);
    gradients[threads - 1] = laws::gradients_of(net);
  }
  laws::check_same_bits(gradients[0], gradients[1], "gradients");
}

TEST_CASE("a whole network's gradient is its finite difference") {
  laws::check_gradients<Model, sma::Eigen<double>>({12, 0, 5}, 6);
}

TEST_CASE("a token outside its vocabulary is refused in words") {
  Net net(sma::Seed{1});
  sma::Batch<sma::Token, 1> x;
  x.append(std::vector<sma::Token>{0, 8, 9});
  CHECK_THROWS_WITH_AS(net.infer(x), "sma::Network: row 2: found token 9, expected 0 to 8", sma::Error);
  x.clear();
  x.append(std::vector<sma::Token>{-1});
  CHECK_THROWS_WITH_AS(net.infer(x), "sma::Network: row 0: found token -1, expected 0 to 8", sma::Error);
  sma::Network<sma::TokenEmbedding<4, 2>, sma::Eigen<float>> embedding(sma::Seed{1});
  auto stream = embedding.stream();
  const sma::Token wrong[1] = {4};
  float y[2];
  CHECK_THROWS_WITH_AS(embedding.step(stream, wrong, y),
                       "sma::Network: row 0: found token 4, expected 0 to 3", sma::Error);
}

TEST_CASE("gradients of the wrong number of rows are refused in words") {
  Small net(sma::Seed{1});
  const sma::Batch<float, 2> x{3, 1};
  net.train(x);
  const std::vector<float> dy(15);
  CHECK_THROWS_WITH_AS(net.backward({dy.data(), 5}), "sma::Network::backward: found 5 rows, expected 4",
                       sma::Error);
}

TEST_CASE("backward without a forward pass in training just before is refused in words") {
  const std::string words = "sma::Network::backward: expected train just before, found none";
  Small net(sma::Seed{1});
  const sma::Batch<float, 2> x{3};
  const std::vector<float> dy(9);
  CHECK_THROWS_WITH_AS(net.backward({dy.data(), 3}), words.c_str(), sma::Error);
  net.infer(x);
  CHECK_THROWS_WITH_AS(net.backward({dy.data(), 3}), words.c_str(), sma::Error);
  net.train(x);
  net.backward({dy.data(), 3});
  const std::vector<std::int32_t> targets(3);
  net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy{}, 1.0);
  CHECK_THROWS_WITH_AS(net.backward({dy.data(), 3}), words.c_str(), sma::Error);
}

TEST_CASE("targets of the wrong number are refused in words") {
  Small net(sma::Seed{1});
  const sma::Batch<float, 2> x{3};
  const std::vector<std::int32_t> targets(2);
  CHECK_THROWS_WITH_AS(net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy{}, 1.0),
                       "sma::Network::accumulate: found 2 targets, expected 3", sma::Error);
}

TEST_CASE("a network without threads or lanes is refused in words") {
  CHECK_THROWS_WITH_AS(Small(sma::Seed{1}, {.threads = 0}),
                       "sma::Network: found 0 threads and 8 lanes, expected at least one of each",
                       sma::Error);
  CHECK_THROWS_WITH_AS(Small(sma::Seed{1}, {.threads = 2, .lanes = 0}),
                       "sma::Network: found 2 threads and 0 lanes, expected at least one of each",
                       sma::Error);
}

TEST_CASE("parameters of the wrong number are refused in words") {
  Small net(sma::Seed{1});
  const std::vector<float> w(8);
  CHECK_THROWS_WITH_AS(net.set_parameters(w), "sma::Network::set_parameters: found 8 numbers, expected 9",
                       sma::Error);
  const std::vector<float> b(1);
  CHECK_THROWS_WITH_AS(net.set_buffers(b), "sma::Network::set_buffers: found 1 numbers, expected 0",
                       sma::Error);
}

TEST_CASE("a trace of the wrong size is refused in words") {
  sma::Network<Mixture, sma::Eigen<float>> net(sma::Seed{1});
  const sma::Batch<float, 6> x{3};
  std::vector<float> trace(5);
  CHECK_THROWS_WITH_AS(net.infer(x, trace), "sma::Network: found a trace of 5 numbers, expected 6",
                       sma::Error);
}

TEST_CASE("a network can be used again after a refused call") {
  Net net(sma::Seed{1});
  auto x = laws::random_input<Net>({5, 5}, 1);
  const auto y = laws::values_of(net.infer(x));
  x.values()[3] = 77;
  CHECK_THROWS_AS(net.infer(x), sma::Error);
  laws::check_same_bits(laws::values_of(net.infer(laws::random_input<Net>({5, 5}, 1))), y, "the same again");
}

TEST_CASE("rows of the loss's gradient may stand apart, and may not be missing") {
  Small net(sma::Seed{1});
  laws::randomize(net, 1);
  const sma::Batch<float, 2> x{3, 1};
  std::vector<float> wide(4 * 5, std::numeric_limits<float>::quiet_NaN());
  std::vector<float> packed;
  for (std::size_t row = 0; row < 4; ++row)
    for (std::size_t c = 0; c < 3; ++c) {
      wide[row * 5 + 1 + c] = static_cast<float>(row * 3 + c) - 4;
      packed.push_back(wide[row * 5 + 1 + c]);
    }
  net.train(x);
  const auto expected = laws::values_of(net.backward({packed.data(), 4}));
  const auto gradients = laws::gradients_of(net);
  net.zero_gradients();
  net.train(x);
  const sma::Rows<const float, 5> rows{wide.data(), 4};
  laws::check_same_bits(laws::values_of(net.backward(rows.columns<3>(1))), expected, "input gradient");
  laws::check_same_bits(laws::gradients_of(net), gradients, "parameter gradients");
  net.train(x);
  CHECK_THROWS_WITH_AS(net.backward({nullptr, 4}),
                       "sma::Network::backward: found null rows, expected 4 rows of the loss's gradient",
                       sma::Error);
  net.train(sma::Batch<float, 2>{});
  CHECK(net.backward({nullptr, 0}).count == 0);  // nothing is nothing
}

TEST_CASE("a temporary batch lives as long as backward needs it") {
  Small net(sma::Seed{1});
  const auto make = [] {
    sma::Batch<float, 2> x{1000, 50};
    for (int i = 0; float& value : x.values()) value = static_cast<float>(++i % 7);
    return x;
  };
  const std::vector<float> dy(1050 * 3, 1.0F);
  const auto train = [&](auto&& run) {
    net.zero_gradients();
    run();
    const std::vector<float> elsewhere(1050 * 2, 9.0F);  // where the batch was, if it is gone
    net.backward({dy.data(), 1050});
    return laws::gradients_of(net);
  };
  const auto x = make();
  const auto expected = train([&] { net.train(x); });
  CHECK(train([&] { net.train(make()); }) == expected);
  CHECK(train([&] { net.train([&]() -> const sma::Batch<float, 2> { return make(); }()); }) == expected);
  CHECK(train([&] { net.train(make(), std::span<float>{}); }) == expected);
}

TEST_CASE("inference after accumulate is what it was, after an error too") {
  using Dropped =
      sma::Network<sma::Chain<sma::Linear<2, 3>, sma::Dropout<3, std::ratio<1, 2>>>, sma::Eigen<float>>;
  Dropped net(sma::Seed{1});
  const auto x = laws::random_input<Dropped>({30}, 1);
  const auto expected = laws::values_of(net.infer(x));
  std::vector<std::int32_t> targets(30);
  const double share = net.settings().auxiliary_share;
  for (const std::int32_t third : {0, 7}) {
    targets[3] = third;
    const auto accumulate = [&] {
      net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy{}, 1.0);
    };
    if (third == 7)
      CHECK_THROWS_AS(accumulate(), sma::Error);
    else
      accumulate();
    CHECK(net.settings().auxiliary_share == share);
    laws::check_same_bits(laws::values_of(net.infer(x)), expected, "inference afterwards");
  }
}

namespace {

/// y = x - mean over the batch, and reduces in inference too, where shards do not meet; or, in shard `Odd`, other counts of numbers.
template <bool InInference, Index Odd = -1>
struct MeanOfBatch {
  static constexpr Index input_width = 2, output_width = 2;
  static constexpr bool couples_batch = true;
  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences& s, sma::Rows<const S, 2> x, sma::Rows<S, 2> y,
                      sma::Weights<MeanOfBatch, S>, sma::NoState&) {
    auto scope = ctx.scope();
    S* sums = ctx.template scratch<S>(4);
    std::fill_n(sums, 4, S(0));
    for (Index i = 0; i < s.rows; ++i)
      for (Index j = 0; j < 2; ++j) sums[j] += x(i, j);
    sums[2] = static_cast<S>(s.rows);
    if (InInference || ctx.training()) ctx.shards().all_reduce(sums, ctx.shards().mine() == Odd ? 4 : 3);
    for (Index i = 0; i < s.rows; ++i)
      for (Index j = 0; j < 2; ++j) y(i, j) = x(i, j) - sums[j] / sums[2];
  }
  template <class C, class S>
  static void backward(C& ctx, const sma::Sequences&, sma::Rows<const S, 2> dy, sma::Rows<S, 2> dx,
                       sma::Weights<MeanOfBatch, S>, sma::Gradients<MeanOfBatch, S>, sma::NoState&) {
    if (dx) ctx.launch(sma::ops::CopyRows<S, 2>{dy, dx});
  }
};

}  // namespace

TEST_CASE(
    "a reduction where shards do not meet, or with other counts of numbers, is refused in words and never "
    "hangs") {
  for (const Index threads : {1, 2, 3}) {
    const sma::NetworkOptions options{.threads = threads, .lanes = 5};
    const sma::Batch<float, 2> x{4, 1, 9, 2, 2, 7};
    sma::Network<MeanOfBatch<true>, sma::Eigen<float>> net(sma::Seed{1}, options);
    net.train(x);
    const char* words =
        "ctx.shards().all_reduce: found a pass in inference, whose shards run one by one, expected one in "
        "training";
    CHECK_THROWS_WITH_AS(net.infer(x), words, sma::Error);
    CHECK_THROWS_WITH_AS(net.infer(sma::Batch<float, 2>{3}), words,
                         sma::Error);  // whatever the number of shards
    net.train(x);
    sma::Network<MeanOfBatch<false, 2>, sma::Eigen<float>> odd(sma::Seed{1}, options);
    CHECK_THROWS_WITH_AS(odd.train(x), doctest::Contains("numbers, expected the same number from all"),
                         sma::Error);
  }
}
