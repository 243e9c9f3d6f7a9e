#include <seqboat/ema.hpp>
#include <type_traits>
#include <vector>

#include "thrust/system.hpp"

#if !defined(__CUDACC__)
#if defined(_OPENMP)
#include <omp.h>
#endif
#if __has_include(<tbb/version.h>)
#include <tbb/global_control.h>
#endif
#endif

namespace {

/// Every row-wise module of the slice but batch norm, which couples the batch.
struct RowWise : sma::Chain<sma::Linear<5, 7>, sma::LayerNorm<7>, sma::SiLU<7>, sma::ScaleNorm<7>,
                            sma::Linear<7, 5>, sma::RmsNorm<5>> {};
struct Coupled : sma::Chain<sma::Linear<3, 5>, sma::BatchNorm<5>, sma::SiLU<5>> {};
/// The EMA forward, in both directions, and each with a cut kernel.
struct Averages : sma::Sum<seqboat::Ema<3, 2, false>, seqboat::Ema<3, 4, true>, seqboat::Ema<3, 2, false, 5>,
                           seqboat::Ema<3, 3, true, 4>> {};

TEST_CASE("linear maps, row norms and SiLU: a batch is its sequences, in any order") {
  on::check_batch_is_its_sequences<RowWise>();
}

TEST_CASE("linear maps, row norms and SiLU: gradients are finite differences") {
  on::check_gradients<RowWise>();
}

TEST_CASE_TEMPLATE("linear maps, row norms and SiLU equal the reference backend's", S, float, double) {
  on::check_equals_reference<RowWise, S>();
}

TEST_CASE("batch norm: gradients are finite differences") { on::check_gradients<Coupled>(); }

TEST_CASE("batch norm equals the reference backend's, running statistics included") {
  on::check_equals_reference<Coupled, double>();
}

TEST_CASE("the EMA: a batch is its sequences, in any order") { on::check_batch_is_its_sequences<Averages>(); }

TEST_CASE("the EMA: gradients are finite differences") { on::check_gradients<Averages>(); }

TEST_CASE_TEMPLATE("the EMA equals the reference backend's", S, float, double) {
  on::check_equals_reference<Averages, S>();
}

/// Calls f while the system has `count` threads.
template <class F>
void with_threads([[maybe_unused]] int count, const F& f) {
#if !defined(__CUDACC__)
#if defined(_OPENMP)
  const int before = omp_get_max_threads();
  omp_set_num_threads(count);
#endif
#if __has_include(<tbb/version.h>)
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                  static_cast<std::size_t>(count));
#endif
#endif
  f();
#if !defined(__CUDACC__) && defined(_OPENMP)
  omp_set_num_threads(before);
#endif
}

TEST_CASE("no bit of a pass depends on the number of threads") {
  using Net = laws::Net<RowWise, on::Backend<float>>;
  const laws::Lengths lengths{300, 0, 1, 77};
  Net net(sma::Seed{1});
  laws::randomize(net, 1);
  const auto x = laws::random_input<Net>(lengths, 2);
  const auto dy = laws::random_output_gradient<Net>(lengths, 3);
  laws::Pass<Net> one, more;
  with_threads(1, [&] { one = laws::train(net, x, dy); });
  with_threads(3, [&] { more = laws::train(net, x, dy); });
  laws::check_same_bits(more.y, one.y, "output");
  laws::check_same_bits(more.dx, one.dx, "input gradient");
  laws::check_same_bits(more.gradients, one.gradients, "parameter gradients");
}

TEST_CASE("one lane runs, whatever the options ask for") {
  using Net = laws::Net<RowWise, on::Backend<float>>;
  const laws::Lengths lengths{30, 0, 1, 7};
  Net few(sma::Seed{1}, {.threads = 1, .lanes = 1});
  Net many(sma::Seed{1}, {4, 16});
  const auto x = laws::random_input<Net>(lengths, 2);
  const auto dy = laws::random_output_gradient<Net>(lengths, 3);
  laws::check_same_bits(laws::train(few, x, dy).gradients, laws::train(many, x, dy).gradients, "gradients");
}

}  // namespace
