#include <doctest/doctest.h>

#include <ratio>
#include <seqboat/gated_attention.hpp>
#include <sma/eigen.hpp>
#include <support/laws.hpp>

/// The attention unit works on a block of rows at a time: where blocks begin must not show.

namespace {

// Blocks end inside of sequences.
const laws::Lengths kLong{2 * sma::Eigen<float>::row_block + 900, 1500, 0, 40};

template <class Scalar, class Span, class Position, bool Causal, class Rate>
void check_blocks(const laws::Lengths& lengths = kLong) {
  using Backend = sma::Eigen<Scalar>;
  using Unit = seqboat::GatedAttention<6, 4, 5, Span, seqboat::Softmax, Position, Causal, Rate>;
  using Net = sma::Network<Unit, Backend>;
  Net together(sma::Seed{1}, {.threads = 1, .lanes = 1});
  Net apart(sma::Seed{1}, {.threads = 1, .lanes = 4});
  laws::randomize(together, 2);
  apart.set_parameters(laws::parameters_of(together));
  const auto x = laws::random_input<Net>(lengths, 3);
  const auto dy = laws::random_output_gradient<Net>(lengths, 4);
  laws::check_close_pass(laws::train(together, x, dy), laws::train(apart, x, dy), ", in one lane or in four");
}

}  // namespace

TEST_CASE_TEMPLATE("blocks of rows do not show in the attention unit", Scalar, float, double) {
  using seqboat::Window;
  check_blocks<Scalar, Window<3>, seqboat::SimplePosition<50>, false, std::ratio<0>>();
  check_blocks<Scalar, Window<3>, seqboat::RotaryPosition, false, std::ratio<1, 4>>();
}

TEST_CASE("blocks grow with the window") {
  check_blocks<float, seqboat::Window<400>, seqboat::LocalPosition<400>, true, std::ratio<1, 4>>();
}

TEST_CASE("with full attention a batch is one block") {
  check_blocks<double, seqboat::Full, seqboat::NoPosition, false, std::ratio<0>>(
      laws::Lengths(2 * sma::Eigen<double>::row_block / 400 + 1, 410));
}
