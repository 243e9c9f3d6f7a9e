#include <doctest/doctest.h>

#include <sma/compose/feed_forward.hpp>
#include <sma/eigen.hpp>
#include <sma/modules/linear.hpp>
#include <support/laws.hpp>

using sma::Index;
using Double = sma::Eigen<double>;

namespace {

/// y = x W^T + b element by element.
template <class M, class B>
void check_formula(bool has_bias, double tolerance) {
  using Net = sma::Network<M, B>;
  Net net(sma::Seed{1});
  laws::randomize(net, 1);
  const auto w = laws::parameters_of(net);
  const auto x = laws::random_input<Net>({3, 0, 300}, 1);
  const auto y = net.infer(x);
  std::vector<double> expected;
  for (Index i = 0; i < x.rows(); ++i)
    for (Index o = 0; o < Net::output_width; ++o) {
      double sum =
          has_bias
              ? static_cast<double>(w[static_cast<std::size_t>(Net::output_width * Net::input_width + o)])
              : 0.0;
      for (Index k = 0; k < Net::input_width; ++k)
        sum += static_cast<double>(x(i, k)) *
               static_cast<double>(w[static_cast<std::size_t>(o * Net::input_width + k)]);
      expected.push_back(sum);
    }
  laws::check_close(laws::values_of(y), expected, tolerance, "x W^T + b");
}

}  // namespace

TEST_CASE("a linear map is its formula") {
  check_formula<sma::Linear<5, 3>, Double>(true, 1e-13);
  check_formula<sma::Linear<5, 3>, sma::Eigen<float>>(true, 1e-6);
  check_formula<sma::LinearWithoutBias<3, 5>, Double>(false, 1e-13);
}

TEST_CASE("a linear map with bias obeys the laws") {
  laws::check_streaming_module<sma::Linear<5, 3>, Double>(1);
}
TEST_CASE("a linear map without bias obeys the laws") {
  laws::check_streaming_module<sma::LinearWithoutBias<3, 5>, Double>(2);
}
TEST_CASE("a feed-forward block obeys the laws") {
  laws::check_streaming_module<sma::FeedForward<4, 6, sma::functions::GELU>, Double>(3);
}

TEST_CASE("a feed-forward block is up, activation, down") {
  using M = sma::FeedForward<4, 6>;
  const auto entries = sma::parameter_entries<M>();
  REQUIRE(entries.size() == 4);
  CHECK(entries[0].name == "up.weight");
  CHECK(entries[0].shape == std::vector<Index>{6, 4});
  CHECK(entries[3].name == "down.bias");
  CHECK(entries[3].shape == std::vector<Index>{4});
}
