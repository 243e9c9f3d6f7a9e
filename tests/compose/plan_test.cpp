#include <doctest/doctest.h>

#include <sma/compose/chain.hpp>
#include <sma/compose/plan.hpp>
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
  Index forward = 0, apply = 0, backward = 0;
};
Calls calls;  // one thread, one lane

/// y = x^2, which says how it was called.
struct Square {
  static constexpr Index input_width = kWidth, output_width = kWidth;
  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences&, sma::Rows<const S, kWidth> x, sma::Rows<S, kWidth> y,
                      sma::Weights<Square, S>, sma::NoState&) {
    ++calls.forward;
    ctx.launch(sma::ops::MultiplyRows<S, kWidth>{x, x, y});
  }
  template <class C, class S>
  static void apply(C& ctx, const sma::Sequences&, sma::Rows<const S, kWidth> x, sma::Rows<S, kWidth> y,
                    sma::Weights<Square, S>, sma::NoState&) {
    ++calls.apply;
    ctx.launch(sma::ops::MultiplyRows<S, kWidth>{x, x, y});
  }
  template <class C, class S>
  static void backward(C& ctx, const sma::Sequences&, sma::Rows<const S, kWidth> x,
                       sma::Rows<const S, kWidth> dy, sma::Rows<S, kWidth> dx, sma::Weights<Square, S>,
                       sma::Gradients<Square, S>, sma::NoState&) {
    ++calls.backward;
    if (!dx) return;
    ctx.launch(sma::ops::MultiplyRows<S, kWidth>{dy, x, dx});
    ctx.launch(sma::ops::AddRows<S, kWidth>{dx, dx});
  }
};

using Context = sma::Context<Double>;
using enum sma::Fate;

/// What becomes of the outputs between parts, and which facts the chain has itself.
constexpr sma::PartFacts kReads{.reads_input = true};
constexpr sma::PartFacts kNothing{};
constexpr sma::PartFacts kFromInput{.reads_input = true, .applies = true, .apply_reads_input = true};
constexpr sma::PartFacts kFromKept{.reads_input = true, .applies = true};
template <class... Facts>
consteval auto plan_of_facts(Facts... facts) {
  return sma::Plan<sizeof...(Facts)>({facts...});
}

}  // namespace

TEST_CASE("a plan keeps what is read and cannot be made once more") {
  constexpr auto plain = plan_of_facts(kReads, kReads, kNothing, kReads);
  static_assert(plain.fates[0] == kept && plain.fates[1] == forgotten && plain.fates[2] == kept);
  static_assert(plain.reads_input() && !plain.applies());

  constexpr auto alone = plan_of_facts(kFromInput);
  static_assert(alone.reads_input() && alone.applies() && alone.apply_reads_input());

  // What is made from a kept input is made alone; two in a row are made together, from the first's input.
  constexpr auto two = plan_of_facts(kReads, kFromInput, kFromInput, kReads);
  static_assert(two.fates[0] == kept && two.fates[1] == remade && two.fates[2] == remade);
  static_assert(two.makes_input(3) && !two.makes_input_alone(3) && two.first_made_with(2) == 1);
  static_assert(!two.makes_input(2) && !two.makes_input(1));

  // What is made from what a part keeps itself needs no input, so that the one before is made for its own reader.
  constexpr auto own = plan_of_facts(kReads, kFromInput, kFromKept, kReads);
  static_assert(own.makes_input_alone(3) && own.makes_input_alone(2));

  // Nobody reads it in backward, but what makes the next output does.
  constexpr sma::PartFacts only_apply{.reads_input = false, .applies = true, .apply_reads_input = true};
  constexpr auto source = plan_of_facts(kReads, only_apply, kReads);
  static_assert(source.fates[0] == kept && source.fates[1] == remade);
  constexpr auto first = plan_of_facts(only_apply, kReads);
  static_assert(first.reads_input() && first.is_source(0));

  // A chain's own output: from the last part's input, where that is kept.
  static_assert(plan_of_facts(kReads, kFromInput).applies());
  static_assert(!plan_of_facts(kReads, kFromInput).apply_reads_input());
  static_assert(!plan_of_facts(kFromInput, kFromInput).applies());
  static_assert(plan_of_facts(kFromInput, kFromKept).applies());
  static_assert(!plan_of_facts(kReads, only_apply).applies());
  CHECK(two.fates[3] == forgotten);
}

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
  static_assert(sma::Repeat<12, Layer>::between<Context> == remade);
  static_assert(sma::Repeat<12, KeptLayer>::between<Context> == kept);
  check_same<sma::Repeat<12, Layer>, sma::Repeat<12, KeptLayer>>(0.65);
}

TEST_CASE("two cheap parts at a layer's end: the layer's output is kept, what is between them is not") {
  using Layer = sma::Chain<sma::Residual<Map>, sma::SiLU<kWidth>, sma::LayerNorm<kWidth>>;
  using KeptLayer = sma::Chain<sma::Residual<Map>, Kept<sma::SiLU<kWidth>>, Kept<sma::LayerNorm<kWidth>>>;
  static_assert(!sma::applies<Layer, Context>);
  check_same<sma::Repeat<12, Layer>, sma::Repeat<12, KeptLayer>>(0.85);
}

TEST_CASE("a sum and a residual read their input where it lies in backward, if a part of them does") {
  using Inner = sma::Sum<Map, sma::Residual<sma::Chain<sma::SiLU<kWidth>, Map>>>;
  using Drop = sma::Dropout<kWidth, std::ratio<1, 4>>;
  static_assert(sma::reads_input<Inner, Context> && sma::reads_input<sma::Sum<Drop, Near>, Context>);
  static_assert(!sma::reads_input<sma::Sum<Drop, sma::Residual<Drop>>, Context>);
  check_same<sma::Chain<sma::LayerNorm<kWidth>, Inner>, sma::Chain<Kept<sma::LayerNorm<kWidth>>, Inner>>();
  check_same<sma::Chain<sma::LayerNorm<kWidth>, sma::Sum<Map, Near>>,
             sma::Chain<Kept<sma::LayerNorm<kWidth>>, sma::Sum<Map, Near>>>();
}

TEST_CASE("nobody keeps what dropout gets, and gradients are right") {
  using Drop = sma::Dropout<kWidth, std::ratio<1, 4>>;
  static_assert(!sma::reads_input<Drop, Context>);
  using M = sma::Repeat<8, sma::Chain<sma::Residual<Near>, Drop>>;
  using Reference = sma::Repeat<8, sma::Chain<sma::Residual<Near>, Kept<Drop>>>;
  check_same<M, Reference>(0.7, false);  // masks belong to a module's number, and Kept is a module
  laws::check_module<M, Double>(6);
}

TEST_CASE("a router compresses again for a branch that reads its input") {
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
  net.infer(x);
  CHECK(calls.forward == 4);
  CHECK(calls.apply == 0);
  calls = {};
  net.train(x);
  CHECK(calls.forward == 4);
  CHECK(calls.apply == 0);
  net.backward({dy.data(), x.rows(), kWidth});
  CHECK(calls.forward == 4);
  CHECK(calls.apply == 3);  // the last one's output is the network's
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
    net.infer(x);
    net.infer(x);
    return net.workspace_bytes();
  };
  const auto pooled = bytes(std::type_identity<sma::Chain<Map, Pool>>{});
  CHECK(bytes(std::type_identity<sma::Chain<Map, Pool, Head>>{}) < 2 * pooled);
  CHECK(bytes(std::type_identity<
              sma::Chain<Map, Pool, sma::Linear<kWidth, 64 * kWidth>, sma::Tanh<64 * kWidth>>>{}) <
        2 * pooled);
}
