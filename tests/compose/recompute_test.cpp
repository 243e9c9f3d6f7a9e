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
#include <sma/modules/pool.hpp>
#include <sma/routing/router.hpp>
#include <support/kept.hpp>
#include <support/neighbour.hpp>
#include <type_traits>

/// What compositions do not keep for backward: results must not show it, and memory of deep ones must.

using sma::Index;
using Double = sma::Eigen<double>;
using laws::check_same;
using laws::Kept;

namespace {

constexpr Index kWidth = 8;
using Map = sma::Linear<kWidth, kWidth>;
using Near = user::Neighbour<kWidth>;  // of a user's, which offers nothing: its input and output are kept

struct Calls {
  Index forward = 0, again = 0, rebase = 0, backward = 0;
};
Calls calls;  // one thread, one lane

/// y = x^2, which says how it was called.
struct Square {
  static constexpr Index input_width = kWidth, output_width = kWidth;
  static constexpr sma::Recompute recompute = sma::Recompute::from_input;
  template <class S>
  struct Saved {
    sma::Rows<const S, kWidth> x;
  };
  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences&, sma::Rows<const S, kWidth> x, sma::Rows<S, kWidth> y,
                      sma::Weights<Square, S>, Saved<S>& saved) {
    ++calls.forward;
    saved.x = x;
    ctx.launch(sma::ops::MultiplyRows<S, kWidth>{x, x, y});
  }
  template <class S>
  static void rebase(Saved<S>& saved, sma::Rows<const S, kWidth> x) {
    ++calls.rebase;
    saved.x = x;
  }
  template <class C, class S>
  static void again(C& ctx, const sma::Sequences&, sma::Rows<const S, kWidth> x, sma::Rows<S, kWidth> y,
                    sma::Weights<Square, S>, Saved<S>&) {
    ++calls.again;
    ctx.launch(sma::ops::MultiplyRows<S, kWidth>{x, x, y});
  }
  template <class C, class S>
  static void backward(C& ctx, const sma::Sequences&, sma::Rows<const S, kWidth> dy, sma::Rows<S, kWidth> dx,
                       sma::Weights<Square, S>, sma::Gradients<Square, S>, Saved<S>& saved) {
    ++calls.backward;
    if (!dx) return;
    ctx.launch(sma::ops::MultiplyRows<S, kWidth>{dy, saved.x, dx});
    ctx.launch(sma::ops::AddRows<S, kWidth>{dx, dx});
  }
};

}  // namespace

TEST_CASE("what a chain makes again is what it would have kept") {
  check_same<sma::Chain<Map, sma::SiLU<kWidth>, Map>, sma::Chain<Map, Kept<sma::SiLU<kWidth>>, Map>>();
  check_same<sma::Chain<Near, sma::SiLU<kWidth>, sma::LayerNorm<kWidth>, Map>,
             sma::Chain<Near, Kept<sma::SiLU<kWidth>>, Kept<sma::LayerNorm<kWidth>>, Map>>();
  check_same<sma::Chain<sma::RmsNorm<kWidth>, Near, sma::ScaleNorm<kWidth>, sma::Tanh<kWidth>, Map>,
             sma::Chain<Kept<sma::RmsNorm<kWidth>>, Kept<Near>, Kept<sma::ScaleNorm<kWidth>>,
                        Kept<sma::Tanh<kWidth>>, Map>>();
  check_same<sma::Chain<Map, sma::BatchNorm<kWidth>, Map, sma::GELU<kWidth>>,
             sma::Chain<Map, Kept<sma::BatchNorm<kWidth>>, Map, Kept<sma::GELU<kWidth>>>>();
}

TEST_CASE("layers of a repeat pass on what they make again, at half of the memory") {
  using Layer = sma::Chain<sma::Residual<sma::Chain<sma::LayerNorm<kWidth>, Map>>, sma::SiLU<kWidth>>;
  using KeptLayer =
      sma::Chain<sma::Residual<sma::Chain<Kept<sma::LayerNorm<kWidth>>, Kept<Map>>>, Kept<sma::SiLU<kWidth>>>;
  static_assert(sma::Repeat<12, Layer>::made_again && !sma::Repeat<12, KeptLayer>::made_again);
  check_same<sma::Repeat<12, Layer>, sma::Repeat<12, KeptLayer>>(0.65);
}

TEST_CASE("two cheap parts at a layer's end: the layer's output is kept, what is between them is not") {
  using Layer = sma::Chain<sma::Residual<Map>, sma::SiLU<kWidth>, sma::LayerNorm<kWidth>>;
  using KeptLayer = sma::Chain<sma::Residual<Map>, Kept<sma::SiLU<kWidth>>, Kept<sma::LayerNorm<kWidth>>>;
  static_assert(sma::recompute_of<Layer>() == sma::Recompute::never);
  check_same<sma::Repeat<12, Layer>, sma::Repeat<12, KeptLayer>>(0.85);
}

TEST_CASE("a sum and a residual give their parts the new place of their input") {
  using Inner = sma::Sum<Map, sma::Residual<sma::Chain<sma::SiLU<kWidth>, Map>>>;
  static_assert(sma::rebases<Inner>() && !sma::rebases<sma::Sum<Map, Near>>() && !sma::rebases<Kept<Map>>());
  check_same<sma::Chain<sma::LayerNorm<kWidth>, Inner>, sma::Chain<Kept<sma::LayerNorm<kWidth>>, Inner>>();
  check_same<sma::Chain<sma::LayerNorm<kWidth>, sma::Sum<Map, Near>>,
             sma::Chain<Kept<sma::LayerNorm<kWidth>>, sma::Sum<Map, Near>>>();
}

TEST_CASE("nobody keeps what dropout gets, and gradients are right") {
  using Drop = sma::Dropout<kWidth, std::ratio<1, 4>>;
  static_assert(sma::forgets_input<Drop>());
  using M = sma::Repeat<8, sma::Chain<sma::Residual<Near>, Drop>>;
  using Reference = sma::Repeat<8, sma::Chain<sma::Residual<Near>, Kept<Drop>>>;
  check_same<M, Reference>(0.7, false);  // masks belong to a module's number, and Kept is a module
  laws::check_module<M, Double>(6);
}

TEST_CASE("a router compresses again for a branch that takes its input elsewhere") {
  using Configurator = sma::LatentConfigurator<kWidth, sma::Independent, sma::Confidence>;
  using M = sma::Chain<sma::LayerNorm<kWidth>,
                       sma::Router<Configurator, sma::Branch<"map", Map>, sma::Branch<"near", Near>,
                                   sma::Branch<"skip", sma::Skip>>>;
  using Reference = sma::Chain<Kept<sma::LayerNorm<kWidth>>,
                               sma::Router<Configurator, sma::Branch<"map", Kept<Map>>,
                                           sma::Branch<"near", Near>, sma::Branch<"skip", sma::Skip>>>;
  check_same<M, Reference>();
  laws::check_module<M, Double>(4);
}

TEST_CASE("a user's module is asked once, and in training only") {
  using M = sma::Chain<Map, Square, Square, Map, Square, Near, Square>;
  sma::Network<M, Double> net(sma::Seed{1}, {.threads = 1, .lanes = 1});
  laws::randomize(net, 1);
  const auto x = laws::random_input<sma::Network<M, Double>>(laws::kKeptLengths, 2);
  const auto dy = laws::random_output_gradient<sma::Network<M, Double>>(laws::kKeptLengths, 3);
  calls = {};
  net.forward(x);
  CHECK(calls.forward == 4);
  CHECK(calls.again == 0);
  net.training(true);
  calls = {};
  net.forward(x);
  CHECK(calls.again == 0);
  CHECK(calls.rebase == 0);
  net.backward({dy.data(), x.rows(), kWidth});
  CHECK(calls.forward == 4);
  CHECK(
      calls.again ==
      2);  // the two that stand before a Square and a Map; Near keeps its input, the last one's is the output
  CHECK(calls.rebase == 1);  // the second Square's input
  CHECK(calls.backward == 4);
  laws::check_module<sma::Chain<Map, Square, Square, Map>, Double>(5);
}

TEST_CASE("what is behind a pool takes the pool's few rows of memory") {
  using Pool = sma::MeanPool<kWidth>;
  using Head =
      sma::Chain<sma::Linear<kWidth, 64 * kWidth>, sma::Tanh<64 * kWidth>, sma::Linear<64 * kWidth, 2>>;
  const auto bytes = []<class M>(std::type_identity<M>) {
    sma::Network<M, Double> net(sma::Seed{1}, {.threads = 1, .lanes = 1});
    const sma::Batch<double, kWidth> x{20000};
    net.forward(x);
    net.forward(x);
    return net.workspace_bytes();
  };
  const auto pooled = bytes(std::type_identity<sma::Chain<Map, Pool>>{});
  CHECK(bytes(std::type_identity<sma::Chain<Map, Pool, Head>>{}) < 2 * pooled);
  CHECK(bytes(std::type_identity<
              sma::Chain<Map, Pool, sma::Linear<kWidth, 64 * kWidth>, sma::Tanh<64 * kWidth>>>{}) <
        2 * pooled);
}
