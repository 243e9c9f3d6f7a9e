#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <support/laws.hpp>

/// NaN and infinity are named, by module and row, whatever rules and activations would make of them.

using sma::Index;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

template <class Rule, class Estimator = sma::Confidence>
struct Mixture : sma::Router<sma::LatentConfigurator<4, Rule, Estimator>, sma::Branch<"a", sma::Linear<4, 4>>,
                             sma::Branch<"b", sma::Linear<4, 4>>, sma::SkipBranch> {};
template <class Rule, class Estimator = sma::Confidence>
using Model =
    sma::Chain<sma::Named<"first", sma::Linear<4, 4>>, sma::Named<"router", Mixture<Rule, Estimator>>,
               sma::Named<"last", sma::Linear<4, 2>>>;

template <class Net>
void set(Net& net, const std::string& name, Index element, typename Net::Scalar value) {
  for (const sma::TensorEntry& entry : sma::parameter_entries<typename Net::description>())
    if (entry.name == name) net.parameters()[static_cast<std::size_t>(entry.offset + element)] = value;
}

template <class F>
std::string message_of(const F& f) {
  try {
    f();
  } catch (const sma::NotFinite& error) {
    return error.what();
  }
  return "nothing was thrown";
}

/// The message when one parameter is not finite.
template <class M>
std::string message_with(const std::string& name, float value, Index lanes = 3) {
  sma::Network<M, sma::Eigen<float>> net(sma::Seed{1}, {.threads = 1, .lanes = lanes});
  laws::randomize(net, 1);
  set(net, name, 0, value);
  const auto x = laws::random_input<decltype(net)>({3, 0, 4}, 1);
  return message_of([&] { net.infer(x); });
}

struct Causal : seqboat::LayerDefaults {
  static constexpr Index width = 8, query_width = 4, hidden_width = 16, states = 4;
  using span = seqboat::Window<4>;
  static constexpr bool causal = true;
};

}  // namespace

TEST_CASE("NaN and infinity in the input are refused in inference, with row and column") {
  using Net = sma::Network<Model<sma::Independent>, sma::Eigen<float>>;
  Net net(sma::Seed{1});
  for (const auto& [value, word] :
       {std::pair{kNan, "nan"}, std::pair{kInfinity, "inf"}, std::pair{-kInfinity, "-inf"}}) {
    auto x = laws::random_input<Net>({2, 0, 3}, 1);
    const auto y = laws::values_of(net.infer(x));
    x(3, 2) = value;
    CHECK(message_of([&] { net.infer(x); }) ==
          std::string("sma::Network::infer: row 3 (sequence 2, step 1): found ") + word +
              " in column 2 of the input, expected finite numbers");
    laws::check_same_bits(laws::values_of(net.infer(laws::random_input<Net>({2, 0, 3}, 1))), y, "afterwards");
  }
}

TEST_CASE("the first module whose output is not finite is named, with the row") {
  const std::string found = "sma::Network::infer: row 0 (sequence 0, step 0): module '";
  const std::string expected = "': found nan, expected finite numbers";
  CHECK(message_with<Model<sma::Independent>>("first.weight", kNan) == found + "first" + expected);
  CHECK(message_with<Model<sma::Independent>>("last.bias", kNan) == found + "last" + expected);
  for (const Index lanes : {1, 3})
    CHECK(message_with<Model<sma::Independent>>("router.configurator.bias", kNan, lanes) ==
          found + "router.configurator" + expected);
  CHECK(message_with<sma::Linear<4, 4>>("weight", kNan) ==
        "sma::Network::infer: row 0 (sequence 0, step 0): the network itself: found nan, expected finite "
        "numbers");
}

TEST_CASE_TEMPLATE("no rule hides logits that are not finite", Rule, sma::Independent,
                   sma::Threshold<std::ratio<3, 4>>, sma::Switch, sma::TopK<2>) {
  for (const float value : {kNan, kInfinity, -kInfinity}) {
    CHECK(message_with<Model<Rule>>("router.configurator.bias", value)
              .find("'router.configurator': found nan") != std::string::npos);
    CHECK(message_with<Model<Rule, sma::StraightThrough>>("router.configurator.bias", value)
              .find("'router.configurator': found nan") != std::string::npos);
  }
}

TEST_CASE("ReLU of NaN is NaN, and so is its square's") {
  sma::Network<sma::Chain<sma::Named<"map", sma::Linear<4, 4>>, sma::ReLU<4>, sma::ReLU2<4>>,
               sma::Eigen<float>>
      net(sma::Seed{1});
  set(net, "map.bias", 0, kNan);
  CHECK_THROWS_AS(net.infer(sma::Batch<float, 4>{2}), sma::NotFinite);
  CHECK(std::isnan(sma::functions::ReLU::value(kNan)));
  CHECK(std::isnan(sma::functions::ReLU2::value(kNan)));
  CHECK(sma::functions::ReLU::derivative(kNan) == 1);  // PyTorch passes the gradient on
  CHECK(std::isnan(sma::functions::ReLU2::derivative(kNan)));
  CHECK(std::isnan(sma::ops::Relu2Attention::value(kNan)));
}

TEST_CASE("SiLU of -inf is NaN in both precisions, as of PyTorch, and that of far negative numbers 0") {
  const auto silu = []<class S>(S value) {
    sma::Network<sma::SiLU<1>, sma::Eigen<S>> net(sma::Seed{1});
    sma::Batch<S, 1> x{1};
    x(0, 0) = value;
    return net.train(x)(0, 0);
  };
  CHECK(std::isnan(silu(-std::numeric_limits<float>::infinity())));
  CHECK(std::isnan(silu(-std::numeric_limits<double>::infinity())));
  CHECK(std::abs(silu(-1e30F)) == 0);
  CHECK(std::abs(silu(-1e30)) == 0);
}

TEST_CASE("what becomes too large in a layer is named there") {
  using M =
      sma::Repeat<3,
                  sma::Chain<sma::Residual<sma::Named<"", sma::Chain<sma::Named<"up", sma::Linear<4, 4>>>>>>>;
  sma::Network<M, sma::Eigen<float>> net(sma::Seed{1});
  for (const Index layer : {0, 1, 2})
    set(net, std::to_string(layer) + ".0.up.bias", 2, layer == 1 ? 3e38F : 2e38F);
  sma::Batch<float, 4> x{1};
  const std::string message = message_of([&] { net.infer(x); });
  CHECK(message.find("module '1.0") != std::string::npos);
  CHECK(message.find("found inf") != std::string::npos);
}

TEST_CASE("in training NaN goes through to the loss") {
  using Net = sma::Network<Model<sma::Independent>, sma::Eigen<float>>;
  Net net(sma::Seed{1});
  set(net, "router.configurator.bias", 0, kNan);
  const auto y = laws::values_of(net.train(laws::random_input<Net>({3}, 1)));
  CHECK(std::ranges::any_of(y, [](float value) { return std::isnan(value); }));
}

TEST_CASE("a stream refuses a row that is not finite, and goes on") {
  using Net = sma::Network<seqboat::Layer<Causal>, sma::Eigen<float>>;
  Net net(sma::Seed{1});
  const auto x = laws::random_input<Net>({8}, 1);
  const auto whole = laws::values_of(net.infer(x));
  auto stream = net.stream();
  std::array<float, 8> in{}, out{};
  for (Index t = 0; t < 8; ++t) {
    std::copy_n(x.values().begin() + t * 8, 8, in.begin());
    if (t == 5) {
      auto bad = in;
      bad[3] = -kInfinity;
      CHECK(message_of([&] { net.step(stream, bad, out); }) ==
            "sma::Network::step: step 5: found -inf in column 3 of the input, expected finite numbers; the "
            "stream is as "
            "it was");
    }
    net.step(stream, in, out);
    for (Index j = 0; j < 8; ++j)
      CHECK(out[static_cast<std::size_t>(j)] ==
            doctest::Approx(static_cast<double>(whole[static_cast<std::size_t>(t * 8 + j)])).epsilon(1e-4));
  }
  CHECK(stream.time() == 8);
}

TEST_CASE("a stream that a module has lost says so at each step until it is reset, and so does its copy") {
  using Net = sma::Network<sma::Repeat<2, seqboat::Layer<Causal>>, sma::Eigen<float>>;
  Net net(sma::Seed{1});
  auto stream = net.stream();
  std::array<float, 8> in{0.5F, -1, 2, 0.25F}, out{};
  for (int t = 0; t < 3; ++t) net.step(stream, in, out);
  const auto parameters = laws::parameters_of(net);
  set(net, "1.hx_proj.bias", 0, kNan);
  const std::string lost =
      "sma::Network::step: step 3: module '1.hx_proj': found nan, expected finite numbers; the stream is "
      "lost until it "
      "is reset";
  CHECK(message_of([&] { net.step(stream, in, out); }) == lost);
  net.set_parameters(parameters);
  CHECK(message_of([&] { net.step(stream, in, out); }) == lost);
  auto copy = stream;
  CHECK(message_of([&] { net.step(copy, in, out); }) == lost);
  stream.reset();
  net.step(stream, in, out);
  CHECK(std::isfinite(out[0]));
}
