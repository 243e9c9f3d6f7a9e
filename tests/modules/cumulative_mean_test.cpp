#include <doctest/doctest.h>

#include <sma/eigen.hpp>
#include <sma/modules/cumulative_mean.hpp>
#include <support/laws.hpp>

TEST_CASE("the mean of what has come so far obeys the laws, and streams") {
  laws::check_streaming_module<sma::CumulativeMean<4>, sma::Eigen<double>>(1);
  laws::check_stream_is_whole<sma::CumulativeMean<4>, sma::Eigen<float>>(50, 2);
}

TEST_CASE("the mean of what has come so far starts anew with each sequence") {
  sma::Network<sma::CumulativeMean<2>, sma::Eigen<double>> net(sma::Seed{1});
  sma::Batch<double, 2> x;
  x.append(std::vector<double>{1, 2, 3, 4, 8, 9});
  x.append(std::vector<double>{-1, 7});
  CHECK(laws::values_of(net.infer(x)) == std::vector<double>{1, 2, 2, 3, 4, 5, -1, 7});
}
