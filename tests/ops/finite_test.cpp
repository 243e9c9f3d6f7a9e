#include <doctest/doctest.h>

#include <limits>
#include <sma/ops/finite.hpp>
#include <vector>

TEST_CASE_TEMPLATE("each part says whether its numbers are finite", T, float, double) {
  using Limits = std::numeric_limits<T>;
  constexpr sma::Index kParts = 3;
  for (const sma::Index count : {0, 1, 2, 3, 10}) {
    std::vector<T> x(static_cast<std::size_t>(count), Limits::max());
    std::vector<std::uint8_t> finite(kParts, 7);
    const auto run = [&] {
      const sma::ops::FiniteParts<T> op{x.data(), count, kParts, finite.data()};
      REQUIRE(op.extent() == kParts);
      for (sma::Index p = 0; p < kParts; ++p) op(p);
    };
    run();
    CHECK(finite == std::vector<std::uint8_t>(kParts, 1));
    for (const T bad : {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()})
      for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] = bad;
        run();
        for (std::size_t p = 0; p < kParts; ++p) CHECK((finite[p] == 0) == (p == i % kParts));
        x[i] = Limits::lowest();
      }
  }
}
