#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <sma/device/finite.hpp>
#include <vector>

using sma::Index;

namespace {

struct Host {
  static void download(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
  static void wait() {}
};

}  // namespace

TEST_CASE_TEMPLATE("NaN and infinity are found wherever they stand", T, float, double) {
  using Limits = std::numeric_limits<T>;
  std::vector<T> x(70, Limits::max());
  x[3] = Limits::denorm_min();
  x[4] = -Limits::max();
  CHECK(sma::detail::all_finite(x.data(), 70));
  CHECK(sma::detail::all_finite(x.data(), 0));
  for (const T bad : {Limits::quiet_NaN(), -Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()})
    for (std::size_t i = 0; i < x.size(); ++i) {
      const T before = x[i];
      x[i] = bad;
      CHECK_FALSE(sma::detail::all_finite(x.data(), 70));
      CHECK(sma::detail::all_finite(x.data(), static_cast<Index>(i)));
      x[i] = before;
    }
}

TEST_CASE("a watch keeps the first module and row that it has seen fail") {
  const std::array<std::int32_t, 3> ids{10, 11, 12};
  const sma::Sequences s{3, 1, nullptr, nullptr, ids.data()};
  std::array<float, 12> y{};  // three rows of 2, 4 apart
  sma::Watch watch;
  Host host;
  watch.look(host, Index{7}, s, y.data(), 3, 2, 4);
  CHECK(watch.instance == -1);
  y[2] = std::nanf("");  // between rows: nobody's
  watch.look(host, Index{7}, s, y.data(), 3, 2, 4);
  CHECK(watch.instance == -1);
  y[5] = -std::numeric_limits<float>::infinity();
  y[8] = std::nanf("");
  watch.look(host, Index{8}, s, y.data(), 3, 2, 4);
  CHECK(watch.instance == 8);
  CHECK(watch.row == 11);
  CHECK(watch.value == -std::numeric_limits<double>::infinity());
  y[0] = std::nanf("");
  watch.look(host, Index{9}, s, y.data(), 3, 2, 4);
  CHECK(watch.instance == 8);
  CHECK(watch.row == 11);
}
