#include <doctest/doctest.h>

#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <support/harsh.hpp>

/// The contract of modules, held against SeqBoat's.

using sma::Index;

namespace {

const laws::Lengths kLengths{23, 0, 1, 70};

template <class M, class S = double>
void check() {
  laws::check_contract<M, sma::Eigen<S>>(kLengths, 1);
  laws::check_contract<M, sma::Eigen<S>>({0, 0}, 2);
  laws::check_reach<M, sma::Eigen<S>>(kLengths, 3);
}

struct Causal : seqboat::LayerDefaults {
  static constexpr Index width = 12, query_width = 6, hidden_width = 10, states = 3, truncation = 20;
  using span = seqboat::Window<5>;
  using position = seqboat::SimplePosition<16>;
  using hidden_dropout = std::ratio<1, 4>;
  static constexpr bool causal = true;
};
struct Bidirectional : Causal {
  using attention = seqboat::Relu2;
  template <Index Width>
  using norm = sma::BatchNorm<Width>;
  static constexpr bool causal = false, prenorm = false;
};

}  // namespace

TEST_CASE("the moving average keeps the contract") {
  check<seqboat::Ema<18, 4, false, 30>, float>();
  check<seqboat::Ema<18, 4, true>>();
}

TEST_CASE("attention keeps the contract") {
  check<seqboat::GatedAttention<12, 6, 10, seqboat::Window<5>, seqboat::Softmax, seqboat::SimplePosition<8>,
                                true, std::ratio<1, 4>>>();
  check<seqboat::GatedAttention<12, 6, 10, seqboat::Full, seqboat::Relu2, seqboat::RotaryPosition>, float>();
}

TEST_CASE("layers keep the contract") {
  check<seqboat::Layer<Causal>>();
  check<seqboat::Layer<Bidirectional>>();
}
