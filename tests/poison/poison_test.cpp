#include <doctest/doctest.h>

#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <support/laws.hpp>
#include <support/neighbour.hpp>

// Here all memory that a module asks for is full of NaN (SMA_POISON_FRESH_MEMORY), and the laws hold all the same: nothing is
// read before it is written. An executable of its own, because the definition changes an inline function.

namespace {

using sma::Index;
using Double = sma::Eigen<double>;

struct Mixture : sma::Router<sma::LatentConfigurator<6, sma::Independent, sma::Confidence>,
                             sma::Branch<"mlp", sma::FeedForward<6, 5>>,
                             sma::Branch<"neighbour", sma::Chain<sma::RmsNorm<6>, user::Neighbour<6>>>> {};
using Body = sma::Repeat<2, sma::Residual<sma::Chain<sma::LayerNorm<6>, Mixture>>>;
using Pooled = sma::Chain<sma::TokenEmbedding<5, 6>, sma::AbsolutePosition<6>, Body, sma::ScaleNorm<6>,
                          sma::MeanPool<6>, sma::PairFeatures<6>, sma::Linear<24, 2>>;

struct Causal : seqboat::LayerDefaults {
  static constexpr Index width = 6, query_width = 4, hidden_width = 8, states = 3;
  using span = seqboat::Window<3>;
  using position = seqboat::SimplePosition<32>;
  static constexpr bool causal = true;
};
struct Bidirectional : Causal {
  using attention = seqboat::Relu2;
  template <Index Width>
  using norm = sma::BatchNorm<Width>;
  static constexpr bool causal = false;
};

constexpr laws::Decision kDecisions[] = {laws::Decision::mixed, laws::Decision::none, laws::Decision::all};

struct Skipping : sma::Router<sma::LatentConfigurator<6, sma::Switch, sma::Confidence>, sma::SkipBranch,
                              sma::Branch<"map", sma::Linear<6, 6>>> {};

}  // namespace

TEST_CASE("a router reads no gradient of a branch that runs nothing") {
  laws::check_gradients<Skipping, Double>({9, 0, 4}, 5);
}

TEST_CASE("fresh memory is full of NaN here") {
  sma::Context<Double> ctx;
  CHECK(std::isnan(ctx.scratch<double>(3)[2]));
  CHECK(std::isnan(ctx.keep<double>(1)[0]));
}

TEST_CASE("routers, norms, embeddings and pooling read nothing before it is written") {
  for (const auto decision : kDecisions) {
    laws::check_gradients<Pooled, Double>({5, 0, 1, 3}, 1, laws::Force{decision});
    for (const auto& lengths : laws::shapes_of<Pooled>())
      laws::check_batch_is_its_sequences<Pooled, Double>(lengths, 1, laws::Force{decision});
  }
  laws::check_stream_is_whole<Body, Double>(30, 2);
}

TEST_CASE("a causal SeqBoat layer reads nothing before it is written") {
  for (const auto decision : kDecisions)
    laws::check_gradients<seqboat::Layer<Causal>, Double>({5, 0, 1}, 3, laws::Force{decision});
  laws::check_stream_is_whole<seqboat::Layer<Causal>, Double>(30, 3);
}

TEST_CASE("a bidirectional SeqBoat layer with batch norm reads nothing before it is written") {
  for (const auto decision : kDecisions)
    laws::check_threads<seqboat::Layer<Bidirectional>, Double>({20, 0, 1, 7}, 4, laws::Force{decision});
}
