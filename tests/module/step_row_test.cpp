#include <doctest/doctest.h>

#include <cstdint>
#include <sma/eigen.hpp>
#include <sma/module/step_row.hpp>

TEST_CASE(
    "the row between two modules of a step lies where it is declared, and a long one in the context's "
    "memory") {
  sma::Context<sma::Eigen<float>> ctx;
  sma::StepRow<float, 5> small(ctx);
  CHECK(small.row().rows == 1);
  CHECK(reinterpret_cast<std::uintptr_t>(small.row().data) % 64 == 0);
  CHECK(ctx.scratch_bytes() == 0);
  sma::StepRow<float, 100000> large(ctx);
  CHECK(ctx.scratch_bytes() >= 400000);
  large.row()(0, 99999) = 1;
  CHECK(large.row().row(0)[99999] == 1);
}
