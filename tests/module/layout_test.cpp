#include <doctest/doctest.h>

#include <array>
#include <numeric>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <type_traits>

/// Where a module's tensors lie, and that names find them.

using namespace sma::literals;

namespace {

using Linear = sma::Linear<3, 2>;
using Model =
    sma::Chain<sma::Named<"first", Linear>, sma::Repeat<2, sma::Linear<2, 2>>, sma::LinearWithoutBias<2, 5>>;

std::array<float, static_cast<std::size_t>(sma::parameter_count<Model>)> numbered() {
  std::array<float, static_cast<std::size_t>(sma::parameter_count<Model>)> data{};
  std::iota(data.begin(), data.end(), 0.0F);
  return data;
}

}  // namespace

TEST_CASE("a parameter is found by its name") {
  const auto data = numbered();
  const sma::Weights<Linear, float> w{data.data()};
  static_assert(std::is_same_v<decltype(w["weight"_p]), sma::Tensor<const float, 2, 3>>);
  static_assert(std::is_same_v<decltype(w["bias"_p]), sma::Tensor<const float, 2>>);
  CHECK(w["weight"_p].data == data.data());
  CHECK(w["weight"_p](1, 2) == 5);
  CHECK(w["bias"_p].data == data.data() + 6);
  CHECK(w["bias"_p](1) == 7);

  std::array<float, 8> gradients{};
  const sma::Gradients<Linear, float> g{gradients.data()};
  static_assert(std::is_same_v<decltype(g["bias"_p]), sma::Tensor<float, 2>>);
  g["bias"_p][0] = 3;
  CHECK(gradients[6] == 3);
}

TEST_CASE("a parameter that a module does not always have is null where it has not") {
  const auto data = numbered();
  const sma::Weights<sma::LayerNorm<4>, float> affine{data.data()};
  CHECK(affine.or_null("weight"_p) == data.data());
  CHECK(affine.or_null("bias"_p) == data.data() + 4);
  const sma::Weights<sma::LayerNorm<4, false>, float> plain{data.data()};
  CHECK(plain.or_null("weight"_p) == nullptr);
  std::array<float, 8> gradients{};
  const sma::Gradients<sma::LayerNorm<4>, float> g{gradients.data()};
  CHECK(g.or_null("bias"_p) == gradients.data() + 4);
  CHECK(g.or_null("scalar"_p) == nullptr);
}

TEST_CASE("a child is found by its name, as by its place") {
  auto data = numbered();
  const sma::Weights<Model, float> w{data.data()};
  CHECK(sma::child<"first">(w).data == data.data());
  CHECK(sma::child<"1">(w).data == sma::child<1>(w).data);
  CHECK(sma::child<"2">(w).data == data.data() + 8 + 12);
  CHECK(sma::child<"2">(w).instance == sma::child<2>(w).instance);
  const sma::Gradients<Model, float> g{data.data()};
  CHECK(sma::child<"2">(g).data == data.data() + 20);

  // A repeated child: instance k of it.
  const auto layers = sma::child<1>(w);
  using Layers = sma::child_module<Model, 1>;
  static_assert(std::is_same_v<decltype(layers), const sma::Weights<Layers, float>>);
  CHECK(sma::child<0>(layers, 1).data == data.data() + 8 + 6);
}
