#include <doctest/doctest.h>

#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/loss.hpp>
#include <sma/train/optimizer.hpp>
#include <support/counted_new.hpp>
#include <support/laws.hpp>
#include <support/neighbour.hpp>

namespace {

using sma::Index;

struct Mixture
    : sma::Router<sma::LatentConfigurator<8, sma::Independent, sma::Confidence>,
                  sma::Branch<"mlp", sma::FeedForward<8, 12>>, sma::Branch<"neighbour", user::Neighbour<8>>> {
};
using Layer = sma::Residual<sma::Chain<sma::LayerNorm<8>, Mixture, sma::Dropout<8, std::ratio<1, 10>>>>;
using Model = sma::Chain<sma::TokenEmbedding<9, 8>, sma::Repeat<2, Layer>, sma::BatchNorm<8>,
                         sma::MeanPool<8>, sma::Linear<8, 3>>;
using Net = sma::Network<Model, sma::Eigen<float>>;

/// Allocations in `count` calls of f, after a first one with every branch active (the most memory that f can need) and a
/// second one, in which what overflowed becomes one block.
template <class N, class F>
long allocations_in(N& net, int count, const F& f) {
  const auto w = laws::parameters_of(net);
  laws::Force{laws::Decision::all}(net);
  f();
  f();
  net.set_parameters(w);
  const long before = counted::all();
  for (int i = 0; i < count; ++i) f();
  return counted::all() - before;
}

const laws::Lengths kLengths{300, 0, 1, 2000, 40};

}  // namespace

TEST_CASE("the counter counts") {
  const long before = counted::allocations;
  const std::vector<double> some(100);
  [[maybe_unused]] static const void* volatile escaped = nullptr;
  escaped = some.data();  // so that no compiler leaves the allocation out
  CHECK(counted::allocations == before + 1);
  void* aligned = sma::Eigen<float>::allocate(10);
  CHECK(counted::allocations == before + 2);
  sma::Eigen<float>::deallocate(aligned);
  const long both = counted::all();
  void* large = sma::Eigen<float>::allocate(std::size_t{1} << 20);
  CHECK(counted::all() == both + 1);
  CHECK(reinterpret_cast<std::uintptr_t>(large) % 64 == 0);
  sma::Eigen<float>::deallocate(large);
}

TEST_CASE("forward and backward allocate nothing after warm-up, whatever the number of threads") {
  for (const Index threads : {1, 2}) {
    Net net(sma::Seed{1}, {.threads = threads, .lanes = 4});
    laws::randomize(net, 1);
    const auto x = laws::random_input<Net>(kLengths, 1);
    const std::vector<float> dy(5 * 3, 1.0F);
    CHECK(allocations_in(net, 5, [&] {
            net.train(x);
            net.backward({dy.data(), 5});
            net.settings().step += 1;
          }) == 0);
  }
}

TEST_CASE("a training step, accumulate and AdamW, allocates nothing after warm-up") {
  for (const Index threads : {1, 2}) {
    Net net(sma::Seed{1}, {.threads = threads, .lanes = 4});
    laws::randomize(net, 1);
    sma::AdamW<Net> optimizer(net);
    const auto x = laws::random_input<Net>(kLengths, 1);
    const std::vector<std::int32_t> targets{0, 1, 2, 1, 0};
    CHECK(allocations_in(net, 5, [&] {
            net.zero_gradients();
            net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy{}, 0.2);
            optimizer.step(1e-4, sma::clip_factor(optimizer.gradient_norm(), 1.0));
            net.settings().step += 1;
          }) == 0);
  }
}

TEST_CASE(
    "it does not matter which thread's turn it is: one that slept through warm-up allocates nothing either") {
  // Without batch norm lanes are taken by whichever thread is free, so that over many steps each runs the longest one.
  using Uncoupled =
      sma::Network<sma::Chain<sma::TokenEmbedding<9, 8>, Layer, sma::MeanPool<8>>, sma::Eigen<float>>;
  Uncoupled net(sma::Seed{1}, {.threads = 3, .lanes = 5});
  laws::randomize(net, 1);
  const auto x = laws::random_input<Uncoupled>({30, 1, 2, 3000, 40, 2, 1, 900, 1, 1, 800}, 1);
  const std::vector<std::int32_t> targets(11);
  CHECK(allocations_in(net, 60, [&] {
          net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy{}, 0.2);
        }) == 0);
}

TEST_CASE("an inference pass allocates nothing after warm-up, smaller batches neither") {
  Net net(sma::Seed{1}, {.threads = 2, .lanes = 4});
  laws::randomize(net, 1);
  const auto x = laws::random_input<Net>(kLengths, 1);
  const auto smaller = laws::random_input<Net>({100, 3, 0}, 2);
  CHECK(allocations_in(net, 5, [&] {
          net.infer(x);
          net.infer(smaller);
        }) == 0);
}

TEST_CASE("a streaming step allocates nothing after the first, and a stream is reset in place") {
  using Streaming =
      sma::Network<sma::Chain<sma::TokenEmbedding<9, 8>, sma::Repeat<2, Layer>>, sma::Eigen<float>>;
  Streaming net(sma::Seed{1});
  laws::randomize(net, 1);
  auto stream = net.stream();
  const sma::Token x[1] = {3};
  float y[8];
  CHECK(allocations_in(net, 50, [&] {
          net.step(stream, x, y);
          if (stream.time() == 20) stream.reset();
        }) == 0);
}
