#include <doctest/doctest.h>

#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <support/harsh.hpp>
#include <support/neighbour.hpp>

/// The contract of modules (docs/dsl.md), held against the library's own.

using sma::Index;

namespace {

constexpr Index kWidth = 35;  // two registers and a rest
const laws::Lengths kLengths{23, 0, 1, 70};

template <class M, class S = double>
void check() {
  laws::check_contract<M, sma::Eigen<S>>(kLengths, 1);
  laws::check_contract<M, sma::Eigen<S>>({}, 2);
  if constexpr (sma::sequences_per_output<M>() == 0) laws::check_reach<M, sma::Eigen<S>>(kLengths, 3);
}

}  // namespace

TEST_CASE("linear maps keep the contract") {
  check<sma::Linear<kWidth, 50>, float>();
  check<sma::LinearWithoutBias<kWidth, 2>>();
}

TEST_CASE("norms keep the contract") {
  check<sma::LayerNorm<kWidth>>();
  check<sma::LayerNorm<32, false>, float>();
  check<sma::RmsNorm<kWidth>, float>();
  check<sma::ScaleNorm<kWidth>>();
  check<sma::BatchNorm<kWidth>>();
}

TEST_CASE("activations keep the contract") {
  check<sma::SiLU<kWidth>, float>();
  check<sma::GELU<kWidth>>();
}

TEST_CASE("dropout keeps the contract, at widths with and without whole bytes of mask") {
  check<sma::Dropout<kWidth, std::ratio<1, 4>>>();
  check<sma::Dropout<32, std::ratio<1, 4>>, float>();
}

TEST_CASE("embeddings, positions and pooling keep the contract") {
  check<sma::TokenEmbedding<9, kWidth, 4, 2>>();
  check<sma::RealEmbedding<kWidth>>();
  check<sma::AbsolutePosition<34>>();
  check<sma::MeanPool<kWidth>>();
  laws::check_contract<sma::Chain<sma::MeanPool<kWidth>, sma::PairFeatures<kWidth>>, sma::Eigen<double>>(
      kLengths, 1);
}

TEST_CASE("a module of a user's keeps the contract") { check<user::Neighbour<kWidth>>(); }
