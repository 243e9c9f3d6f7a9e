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

}  // namespace

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
