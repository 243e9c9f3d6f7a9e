#include <doctest/doctest.h>

#include <ratio>
#include <seqboat/gated_attention.hpp>
#include <sma/eigen.hpp>
#include <support/laws.hpp>

/// The attention unit works on a block of rows at a time: where blocks begin must not show.

namespace {

template <class Scalar, class Position, class Rate>
void check_blocks() {
  using Backend = sma::Eigen<Scalar>;
  using Unit = seqboat::GatedAttention<6, 4, 5, seqboat::Window<3>, seqboat::Softmax, Position, false, Rate>;
  using Net = sma::Network<Unit, Backend>;
  const laws::Lengths lengths{Backend::row_block + 900, 1500, 0, 40};  // blocks end inside of sequences
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
  check_blocks<Scalar, seqboat::NoPosition, std::ratio<0>>();
  check_blocks<Scalar, seqboat::NoPosition, std::ratio<1, 4>>();
  check_blocks<Scalar, seqboat::RotaryPosition, std::ratio<1, 4>>();
}
