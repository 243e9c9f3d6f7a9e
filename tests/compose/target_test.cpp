#include <doctest/doctest.h>

#include <sma/compose/chain.hpp>
#include <sma/compose/repeat.hpp>
#include <sma/compose/residual.hpp>
#include <sma/compose/sum.hpp>
#include <sma/eigen.hpp>
#include <sma/modules/activation.hpp>
#include <sma/modules/dropout.hpp>
#include <sma/modules/embedding.hpp>
#include <sma/modules/linear.hpp>
#include <sma/modules/norm.hpp>
#include <sma/routing/router.hpp>
#include <support/kept.hpp>
#include <support/neighbour.hpp>
#include <type_traits>

/// Modules that add where their results are written: results must not show it.

using laws::check_same;
using laws::Kept;
using sma::Index;
using Double = sma::Eigen<double>;

namespace {

constexpr Index kWidth = 8;
using Map = sma::Linear<kWidth, kWidth>;
using Bare = sma::LinearWithoutBias<kWidth, kWidth>;
using Near = user::Neighbour<kWidth>;

template <class Estimator, class... Branches>
using Mixture = sma::Router<sma::LatentConfigurator<kWidth, sma::Independent, Estimator>, Branches...>;

}  // namespace

TEST_CASE("sums and residuals add in place, whatever their parts offer") {
  check_same<sma::Sum<Map, Bare, Map>, sma::Sum<Kept<Map>, Kept<Bare>, Kept<Map>>>();
  check_same<sma::Sum<Near, Map>, sma::Sum<Near, Kept<Map>>>();
  check_same<sma::Residual<Map>, sma::Residual<Kept<Map>>>();
  check_same<sma::Residual<sma::Sum<Map, Near, Bare>>,
             sma::Residual<sma::Sum<Kept<Map>, Near, Kept<Bare>>>>();
  check_same<sma::Residual<sma::Chain<Map, sma::Tanh<kWidth>, Bare>>,
             sma::Residual<Kept<sma::Chain<Map, Kept<sma::Tanh<kWidth>>, Bare>>>>();
  check_same<sma::Sum<sma::Residual<Map>, sma::Sum<Map, Near>>,
             sma::Sum<Kept<sma::Residual<Map>>, Kept<sma::Sum<Map, Near>>>>();
}

TEST_CASE("norms add their gradient to what is there") {
  const auto check = []<class Norm>(std::type_identity<Norm>) {
    check_same<sma::Residual<sma::Chain<Norm, Near>>, sma::Residual<sma::Chain<Kept<Norm>, Near>>>();
    check_same<sma::Sum<Map, Norm>, sma::Sum<Map, Kept<Norm>>>();
  };
  check(std::type_identity<sma::LayerNorm<kWidth>>{});
  check(std::type_identity<sma::RmsNorm<kWidth>>{});
  check(std::type_identity<sma::ScaleNorm<kWidth>>{});
  check(std::type_identity<sma::BatchNorm<kWidth>>{});
  using Wide = sma::LayerNorm<32>;
  check_same<sma::Residual<Wide>, sma::Residual<Kept<Wide>>>();
}

TEST_CASE("gradients between the parts of a chain pass through dx, in chains of every length") {
  using Act = sma::Tanh<kWidth>;
  check_same<sma::Sum<Map, sma::Chain<Map, Act>>, sma::Sum<Map, Kept<sma::Chain<Kept<Map>, Kept<Act>>>>>();
  check_same<sma::Chain<Map, Near, Map>, sma::Chain<Kept<Map>, Near, Kept<Map>>>();
  using Wide = sma::Chain<sma::Linear<kWidth, 20>, sma::Tanh<20>, sma::Linear<20, 3>, sma::Linear<3, kWidth>>;
  using KeptWide = sma::Chain<Kept<sma::Linear<kWidth, 20>>, Kept<sma::Tanh<20>>, Kept<sma::Linear<20, 3>>,
                              Kept<sma::Linear<3, kWidth>>>;
  check_same<sma::Residual<Wide>, sma::Residual<Kept<KeptWide>>>();
  laws::check_module<sma::Residual<Wide>, Double>(8);
  laws::check_module<sma::Repeat<4, sma::Sum<Map, sma::Chain<Map, Act, Near, Bare>>>, Double>(9);
}

namespace {

template <Index N>
void check_repeat_in_a_chain() {
  using Layer = sma::Residual<sma::Chain<Map, sma::Tanh<kWidth>>>;
  using Layers = sma::Repeat<N, Layer>;
  static_assert(sma::uses_up_gradient<Layers, sma::Context<Double>>);
  static_assert(!sma::uses_up_gradient<Layer, sma::Context<Double>>);
  check_same<sma::Chain<Map, Layers, Near>, sma::Chain<Map, Kept<Layers>, Near>>();
  check_same<sma::Chain<Layers, Near>, sma::Chain<Kept<Layers>, Near>>();
  check_same<sma::Sum<Map, sma::Chain<Near, Layers, Map>>,
             sma::Sum<Map, sma::Chain<Near, Kept<Layers>, Map>>>();
  laws::check_module<sma::Chain<sma::TokenEmbedding<5, kWidth>, Layers, Map>, Double>(4);
}

}  // namespace

TEST_CASE("gradients between the layers of a repeat take turns in the memory of a chain's gradients") {
  check_repeat_in_a_chain<1>();
  check_repeat_in_a_chain<2>();
  check_repeat_in_a_chain<3>();
  using Wide = sma::Linear<96, 96>;
  using Layers = sma::Repeat<2, Wide>;
  check_same<sma::Chain<Wide, Layers, Wide>, sma::Chain<Wide, Kept<Layers>, Wide>>(0.93);
}

TEST_CASE("a router adds its branches to what is there") {
  using M = Mixture<sma::Confidence, sma::Branch<"skip", sma::Skip>, sma::Branch<"map", Map>,
                    sma::Branch<"near", Near>>;
  check_same<sma::Sum<Map, M>, sma::Sum<Map, Kept<M>>>();
  check_same<sma::Sum<M, Map>, sma::Sum<Kept<M>, Map>>();
  check_same<sma::Residual<M>, sma::Residual<Kept<M>>>();
  check_same<sma::Residual<sma::Sum<Map, M>>, sma::Residual<Kept<sma::Sum<Map, Kept<M>>>>>();
  laws::check_module<sma::Residual<M>, Double>(5);
}

TEST_CASE("layers in which lanes meet sum their gradients layer by layer") {
  using Layer = sma::Residual<sma::Chain<sma::BatchNorm<kWidth>, Map, sma::Tanh<kWidth>>>;
  using M = sma::Chain<Map, sma::Repeat<3, sma::Chain<Layer, sma::Repeat<2, Layer>>>, Map>;
  static_assert(M::part<1>::sums_gradients);
  const laws::Lengths lengths{40, 7, 0, 33, 1, 64, 20};
  using Net = sma::Network<M, Double>;
  Net whole(sma::Seed{1}, {.threads = 1, .lanes = 1});
  laws::randomize(whole, 3);
  const auto x = laws::random_input<Net>(lengths, 2);
  const auto dy = laws::random_output_gradient<Net>(lengths, 3);
  const auto buffers = laws::buffers_of(whole);
  const auto expected = laws::train(whole, x, dy);
  std::vector<double> first;
  for (const Index threads : {1, 2, 3, 5}) {
    Net net(sma::Seed{1}, {.threads = threads, .lanes = 5});
    net.set_parameters(laws::parameters_of(whole));
    net.set_buffers(buffers);
    for (int pass = 0; pass < 2; ++pass) {  // the second one finds what the first has left
      const auto found = laws::train(net, x, dy);
      if (pass == 0) laws::check_close_pass(found, expected, ", in lanes");
    }
    const std::vector<double> gradients(net.gradients().begin(), net.gradients().end());
    if (first.empty()) first = gradients;
    CHECK(gradients == first);
  }
}

namespace {

/// y = x, and throws in backward of lane 1 at the layer's second instance, when told to.
struct Thrower {
  static constexpr Index input_width = kWidth, output_width = kWidth;
  static inline bool throws = false;
  template <class S>
  struct Saved {
    Index instance;
  };
  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences&, sma::Rows<const S, kWidth> x, sma::Rows<S, kWidth> y,
                      sma::Weights<Thrower, S> w, Saved<S>& saved) {
    saved.instance = w.instance;
    ctx.launch(sma::ops::CopyRows<S, kWidth>{x, y});
  }
  template <class C, class S>
  static void backward(C& ctx, const sma::Sequences&, sma::Rows<const S, kWidth> dy, sma::Rows<S, kWidth> dx,
                       sma::Weights<Thrower, S>, sma::Gradients<Thrower, S>, Saved<S>& saved) {
    if (throws && ctx.shards().mine() == 1 && saved.instance < 12) throw sma::Error("backward of lane 1");
    if (dx) ctx.launch(sma::ops::CopyRows<S, kWidth>{dy, dx});
  }
};

}  // namespace

TEST_CASE("after an error in one lane's layer, gradients of the next pass are right, and add up") {
  using Layer = sma::Residual<sma::Chain<sma::BatchNorm<kWidth>, Map, Thrower>>;
  using M = sma::Chain<Map, sma::Repeat<3, Layer>, Map>;
  using Net = sma::Network<M, Double>;
  const laws::Lengths lengths{40, 7, 0, 33, 1, 64, 20};
  for (const Index threads : {1, 2}) {
    const sma::NetworkOptions options{.threads = threads, .lanes = 4};
    Net net(sma::Seed{1}, options);
    Net other(sma::Seed{1}, options);
    const auto x = laws::random_input<Net>(lengths, 2);
    const auto dy = laws::random_output_gradient<Net>(lengths, 3);
    const auto buffers = laws::buffers_of(net);
    const auto expected = laws::train(other, x, dy);
    net.train(x);
    Thrower::throws = true;
    CHECK_THROWS_WITH_AS(net.backward({dy.data(), x.rows()}), "backward of lane 1", sma::Error);
    Thrower::throws = false;
    net.set_buffers(buffers);
    const auto found = laws::train(net, x, dy);
    laws::check_same_bits(found.gradients, expected.gradients, "parameter gradients");
    laws::check_same_bits(found.dx, expected.dx, "input gradient");
    net.train(x);
    net.backward({dy.data(), x.rows()});
    auto twice = expected.gradients;
    for (double& g : twice) g *= 2;
    laws::check_close(laws::gradients_of(net), twice, 1e-12, "accumulated");
  }
}
