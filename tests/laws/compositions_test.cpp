#include <doctest/doctest.h>

#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <support/harsh.hpp>
#include <support/neighbour.hpp>

/// The contract of modules, held against compositions: what they hand their parts, and what they are themselves.

using sma::Index;

namespace {

constexpr Index kWidth = 12;
const laws::Lengths kLengths{23, 0, 1, 70};
using Map = sma::Linear<kWidth, kWidth>;
using Near = user::Neighbour<kWidth>;
using Drop = sma::Dropout<kWidth, std::ratio<1, 4>>;

template <class Rule, class Estimator, class... Branches>
using Mixture = sma::Router<sma::LatentConfigurator<kWidth, Rule, Estimator>, Branches...>;

template <class M>
void check() {
  laws::check_contract<M, sma::Eigen<double>>(kLengths, 1);
  laws::check_contract<M, sma::Eigen<double>>({0, 0}, 2);
  laws::check_reach<M, sma::Eigen<double>>(kLengths, 3);
}

/// A batch in another order of its sequences.
template <class M>
void check_order(const laws::Lengths& lengths, const std::vector<std::size_t>& order) {
  using Net = sma::Network<M, sma::Eigen<double>>;
  Net net(sma::Seed{1}, {.threads = 1, .lanes = 3});
  laws::randomize(net, 1);
  const auto buffers = laws::buffers_of(net);
  const auto x = laws::random_input<Net>(lengths, 1);
  const auto dy = laws::random_output_gradient<Net>(lengths, 1);
  const sma::Sequences s = x.sequences();
  const auto expected = laws::train(net, x, dy);
  const auto reordered = [&](const auto& values, Index width) {
    std::vector<double> to;
    for (const std::size_t q : order) {
      const auto begin = values.begin() + static_cast<std::ptrdiff_t>(s.begin(static_cast<Index>(q)) * width);
      to.insert(to.end(), begin, begin + static_cast<std::ptrdiff_t>(lengths[q] * width));
    }
    return to;
  };
  laws::Lengths other_lengths;
  for (const std::size_t q : order) other_lengths.push_back(lengths[q]);
  laws::Input<Net> other{std::span<const Index>(other_lengths)};
  std::ranges::copy(reordered(x.values(), Net::input_width), other.values().begin());
  net.set_buffers(buffers);
  const auto found = laws::train(net, other, reordered(dy, Net::output_width));
  laws::check_close(found.y, reordered(expected.y, Net::output_width), 1e-12, "output");
  laws::check_close(found.dx, reordered(expected.dx, Net::input_width), 1e-12, "input gradient");
  laws::check_close(found.gradients, expected.gradients, 1e-12, "parameter gradients");
  laws::check_close(found.buffers, expected.buffers, 1e-12, "running statistics");
}

}  // namespace

TEST_CASE("a batch that is coupled is the same in any order of its sequences") {
  using M = sma::Chain<Map, sma::Repeat<2, sma::Residual<sma::Chain<sma::BatchNorm<kWidth>, Near>>>, Map>;
  check_order<M>({23, 0, 1, 70, 9}, {3, 0, 4, 1, 2});
  check_order<M>({23, 0, 1, 70, 9}, {4, 3, 2, 1, 0});
}

TEST_CASE("a chain of parts that remake, forget and keep keeps the contract") {
  check<sma::Chain<sma::LayerNorm<kWidth>, Map, sma::SiLU<kWidth>, Drop, Near, sma::Tanh<kWidth>>>();
  // Its last part makes its output again from what is kept.
  check<sma::Chain<Map, sma::SiLU<kWidth>>>();
}

TEST_CASE("sums and residuals keep the contract") {
  check<sma::Residual<sma::Sum<Map, Near, sma::LayerNorm<kWidth>>>>();
}

TEST_CASE("repeated layers keep the contract, remade ones and kept ones") {
  check<sma::Repeat<3, sma::Chain<sma::Residual<Map>, sma::SiLU<kWidth>>>>();
  check<sma::Repeat<3, Near>>();
}

TEST_CASE(
    "routers keep the contract, with branches that are kept and that are compressed again, and with none") {
  check<Mixture<sma::Independent, sma::Confidence, sma::Branch<"map", Map>, sma::SkipBranch,
                sma::Branch<"near", Near>>>();
  check<Mixture<sma::TopK<2>, sma::StraightThrough, sma::Branch<"a", Map>,
                sma::Branch<"b", sma::Chain<Map, Drop>>, sma::SkipBranch>>();
}

TEST_CASE("a tied embedding keeps the contract") {
  check<sma::TiedEmbedding<9, sma::Chain<sma::LayerNorm<kWidth>, Near>, kWidth, 2>>();
}
