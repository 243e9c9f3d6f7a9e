#include <doctest/doctest.h>

#include <sma/compose/chain.hpp>
#include <sma/compose/repeat.hpp>
#include <sma/compose/residual.hpp>
#include <sma/compose/sum.hpp>
#include <sma/eigen.hpp>
#include <sma/modules/activation.hpp>
#include <sma/modules/embedding.hpp>
#include <sma/modules/linear.hpp>
#include <sma/modules/norm.hpp>
#include <sma/modules/pool.hpp>
#include <support/laws.hpp>
#include <support/neighbour.hpp>

using sma::Index;
using Double = sma::Eigen<double>;

namespace {

using Map = sma::Linear<4, 4>;
using Near = user::Neighbour<4>;

std::vector<std::string> names_of(const std::vector<sma::TensorEntry>& entries) {
  std::vector<std::string> names;
  for (const auto& entry : entries) names.push_back(entry.name);
  return names;
}

/// The output of a network of M alone on x, with the parameters that stand at `first` of `w`.
template <class M>
std::vector<double> output_of(const sma::Batch<double, 4>& x, const std::vector<double>& w, Index first) {
  sma::Network<M, Double> net(sma::Seed{1});
  net.set_parameters(std::span<const double>(w).subspan(static_cast<std::size_t>(first),
                                                        static_cast<std::size_t>(sma::parameter_count<M>)));
  return laws::values_of(net.infer(x));
}
sma::Batch<double, 4> as_batch(const std::vector<double>& rows, const laws::Lengths& lengths) {
  sma::Batch<double, 4> x{std::span<const Index>(lengths)};
  std::copy(rows.begin(), rows.end(), x.values().begin());
  return x;
}

const laws::Lengths kLengths{3, 0, 5};

}  // namespace

TEST_CASE("a chain obeys the laws") {
  laws::check_streaming_module<sma::Chain<sma::Linear<3, 4>, Near, sma::SiLU<4>, sma::Linear<4, 2>>, Double>(
      1);
}

TEST_CASE("a chain is its modules one after another") {
  using M = sma::Chain<Map, Near, sma::Tanh<4>>;
  sma::Network<M, Double> net(sma::Seed{1});
  laws::randomize(net, 1);
  const auto w = laws::parameters_of(net);
  const auto x = laws::random_input<sma::Network<M, Double>>(kLengths, 1);
  auto expected = output_of<Near>(as_batch(output_of<Map>(x, w, 0), kLengths), w, 20);
  for (double& value : expected) value = std::tanh(value);
  laws::check_close(laws::values_of(net.infer(x)), expected, 1e-14, "one after another");
}

TEST_CASE("residual and sum obey the laws") {
  laws::check_streaming_module<sma::Residual<sma::Sum<Map, Near, sma::Identity<4>>>, Double>(2);
}

TEST_CASE("a residual adds its input and a sum adds its parts") {
  using M = sma::Residual<sma::Sum<Map, Near>>;
  sma::Network<M, Double> net(sma::Seed{1});
  laws::randomize(net, 1);
  const auto w = laws::parameters_of(net);
  const auto x = laws::random_input<sma::Network<M, Double>>(kLengths, 1);
  const auto a = output_of<Map>(x, w, 0);
  const auto b = output_of<Near>(x, w, 20);
  std::vector<double> expected(x.values().begin(), x.values().end());
  for (std::size_t e = 0; e < a.size(); ++e) expected[e] += a[e] + b[e];
  laws::check_close(laws::values_of(net.infer(x)), expected, 1e-14, "x + a(x) + b(x)");
}

TEST_CASE("repeated layers obey the laws") {
  laws::check_streaming_module<sma::Repeat<3, sma::Residual<sma::Chain<sma::LayerNorm<4>, Near>>>, Double>(3);
}

TEST_CASE("repeat is its layers one after another, each with parameters of its own") {
  using M = sma::Repeat<4, Map>;
  sma::Network<M, Double> net(sma::Seed{1});
  static_assert(sma::parameter_count<M> == 4 * 20);
  laws::randomize(net, 1);
  const auto w = laws::parameters_of(net);
  const auto x = laws::random_input<sma::Network<M, Double>>(kLengths, 1);
  auto expected = output_of<Map>(x, w, 0);
  for (Index i = 1; i < 4; ++i) expected = output_of<Map>(as_batch(expected, kLengths), w, 20 * i);
  laws::check_close(laws::values_of(net.infer(x)), expected, 1e-13, "layer by layer");
  laws::check_close(laws::values_of(net.train(x)), expected, 1e-13, "layer by layer, in training");
  sma::Network<sma::Repeat<1, Map>, Double> one(sma::Seed{1});
  laws::check_same_bits(laws::parameters_of(one),
                        laws::parameters_of(*std::make_unique<sma::Network<Map, Double>>(sma::Seed{1})),
                        "one layer starts as the layer alone");
}

TEST_CASE("parameters stand under numbers or their own names, in storage order without gaps") {
  using M =
      sma::Chain<sma::Named<"embed", sma::TokenEmbedding<5, 4>>,
                 sma::Named<"layers", sma::Repeat<2, sma::Residual<sma::Chain<sma::LayerNorm<4>, Map>>>>,
                 sma::Named<"", sma::Chain<sma::Named<"head", Map>, sma::SiLU<4>>>, sma::BatchNorm<4>>;
  const auto entries = sma::parameter_entries<M>();
  CHECK(names_of(entries) == std::vector<std::string>{"embed.weight", "layers.0.0.weight", "layers.0.0.bias",
                                                      "layers.0.1.weight", "layers.0.1.bias",
                                                      "layers.1.0.weight", "layers.1.0.bias",
                                                      "layers.1.1.weight", "layers.1.1.bias", "head.weight",
                                                      "head.bias", "3.weight", "3.bias"});
  Index offset = 0;
  for (const auto& entry : entries) {
    CHECK(entry.offset == offset);
    Index size = 1;
    for (const Index extent : entry.shape) size *= extent;
    CHECK(entry.size == size);
    offset += size;
  }
  CHECK(offset == sma::parameter_count<M>);
  CHECK(entries[0].shape == std::vector<Index>{5, 4});
  CHECK(names_of(sma::buffer_entries<M>()) == std::vector<std::string>{"3.running_mean", "3.running_var"});
}

TEST_CASE("a chain knows what its parts are") {
  using Causal = sma::Chain<Map, Near>;
  static_assert(!sma::is_rowwise<Causal>() && sma::is_causal<Causal>() && sma::is_streamable<Causal>());
  static_assert(sma::is_rowwise<sma::Repeat<2, sma::Residual<Map>>>());
  using Pooled = sma::Chain<Map, sma::MeanPool<4>>;
  static_assert(!sma::is_causal<Pooled>() && !sma::is_streamable<Pooled>());
  static_assert(sma::sequences_per_output<Pooled>() == 1);
  static_assert(sma::couples_batch<sma::Chain<Map, sma::BatchNorm<4>>>() && !sma::couples_batch<Causal>());
  static_assert(sma::takes_tokens<sma::Chain<sma::TokenEmbedding<5, 4>, Map>>());
  CHECK(sma::Chain<sma::Linear<3, 4>, Map, sma::Linear<4, 2>>::output_width == 2);
}

TEST_CASE("a chain of more than ten modules names them in order") {
  using I = sma::ScaleNorm<2>;
  using M = sma::Chain<I, I, I, I, I, I, I, I, I, I, I, I>;
  const auto names = names_of(sma::parameter_entries<M>());
  REQUIRE(names.size() == 12);
  CHECK(names[9] == "9.scalar");
  CHECK(names[10] == "10.scalar");
  CHECK(names[11] == "11.scalar");
}
