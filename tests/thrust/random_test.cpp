#include "system.hpp"

/// Random numbers are the same bits wherever they are drawn, and a pass in used memory is the pass in fresh memory.

namespace {

using sma::Index;

/// to[i] = number `column` of row id i.
struct Draw {
  sma::RandomStream random;
  Index column;
  double* to;
  Index count;
  SMA_HD Index extent() const { return count; }
  SMA_HD void operator()(Index i) const {
    to[i] = random.uniform(static_cast<std::int32_t>(i * 1000003 % 2147483647), column);
  }
};

template <class B>
std::vector<double> drawn(std::uint64_t step, Index instance, Index column) {
  constexpr Index kCount = 100;
  sma::Context<B> ctx;
  ctx.settings.seed = 0xFEDCBA9876543210U;
  ctx.settings.step = step;
  double* to = ctx.template scratch<double>(kCount);
  ctx.launch(Draw{ctx.random(instance, 3), column, to, kCount});
  std::vector<double> host(static_cast<std::size_t>(kCount));
  ctx.backend().download(host.data(), to, host.size() * sizeof(double));
  ctx.wait();
  return host;
}

struct Noisy : sma::Router<sma::LatentConfigurator<6, sma::Independent, sma::GumbelHard>,
                           sma::Branch<"map", sma::Linear<6, 6>>, sma::Branch<"same", sma::Identity<6>>> {};
using Model =
    sma::Chain<sma::Linear<6, 6>, sma::Dropout<6, std::ratio<1, 4>>, sma::Residual<Noisy>, sma::BatchNorm<6>>;

/// Which elements dropout keeps, and which branches run where.
template <class B>
std::pair<std::vector<bool>, std::vector<bool>> choices() {
  sma::Network<sma::Dropout<6, std::ratio<1, 4>>, B> dropout(sma::Seed{7});
  const sma::Batch<float, 6> ones{40, 0, 3};
  auto x = ones;
  for (float& value : x.values()) value = 1;
  dropout.settings().step = 11;
  std::vector<bool> kept;
  for (const float value : laws::values_of(dropout.train(x))) kept.push_back(value != 0);
  sma::Network<Noisy, B> router(sma::Seed{7});
  router.settings().step = 11;
  return {kept, laws::decisions_of(router, laws::random_input<sma::Network<Noisy, B>>({40, 0, 3}, 1), true)};
}

}  // namespace

TEST_CASE("a random stream has the same bits on every backend") {
  for (const std::uint64_t step : {std::uint64_t{0}, std::uint64_t{1} << 45})
    for (const Index instance : {0, 70000})
      for (const Index column : {0, 6})
        laws::check_same_bits(drawn<on::Backend<float>>(step, instance, column),
                              drawn<on::Reference<float>>(step, instance, column), "random numbers");
}

TEST_CASE("dropout keeps the same elements and Gumbel noise takes the same decisions on every backend") {
  const auto found = choices<on::Backend<float>>();
  const auto expected = choices<on::Reference<float>>();
  CHECK(found.first == expected.first);
  CHECK(found.second == expected.second);
  CHECK(std::count(found.second.begin(), found.second.end(), true) > 0);
  CHECK(std::count(found.second.begin(), found.second.end(), false) > 0);
}

TEST_CASE("a second pass, in memory that the first has used, gives the same bits") {
  using Net = sma::Network<Model, on::Backend<double>>;
  for (const laws::Lengths& lengths : {laws::Lengths{}, {40, 0, 3}}) {
    Net net(sma::Seed{1});
    laws::randomize(net, 1);
    const auto buffers = laws::buffers_of(net);
    const auto x = laws::random_input<Net>(lengths, 1);
    const auto larger = laws::random_input<Net>({90, 5}, 2);
    const auto dy = laws::random_output_gradient<Net>(lengths, 1);
    const auto first = laws::train(net, x, dy);
    net.infer(larger);  // leaves other numbers everywhere
    net.set_buffers(buffers);
    const auto second = laws::train(net, x, dy);
    laws::check_same_bits(second.y, first.y, "output");
    laws::check_same_bits(second.dx, first.dx, "input gradient");
    laws::check_same_bits(second.gradients, first.gradients, "parameter gradients");
    laws::check_same_bits(second.buffers, first.buffers, "running statistics");
    laws::check_same_bits(second.metrics, first.metrics, "metrics");
  }
}
