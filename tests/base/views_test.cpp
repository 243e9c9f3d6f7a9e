#include <doctest/doctest.h>

#include <array>
#include <numeric>
#include <sma/base/views.hpp>
#include <type_traits>

using sma::Index;

TEST_CASE("rows are where their stride says, and blocks and columns are rows") {
  std::array<int, 24> numbers{};
  std::iota(numbers.begin(), numbers.end(), 0);
  const sma::Rows<int, 4> x{numbers.data(), 6};
  CHECK(x.contiguous());
  CHECK(x(5, 3) == 23);
  CHECK(x.row(2) == numbers.data() + 8);

  const auto block = x.block(2, 3);
  CHECK(block.rows == 3);
  CHECK(block(0, 0) == 8);
  CHECK(block.contiguous());

  const auto columns = x.columns<2>(1);
  static_assert(std::is_same_v<decltype(columns), const sma::Rows<int, 2>>);
  CHECK(columns.rows == 6);
  CHECK(columns(3, 1) == 14);
  CHECK_FALSE(columns.contiguous());
  CHECK(columns.block(5, 1).contiguous());  // of one row
  CHECK(columns.block(4, 2)(1, 0) == 21);
}

TEST_CASE("null rows stay null") {
  const sma::Rows<float, 3> none;
  CHECK_FALSE(static_cast<bool>(none));
  CHECK_FALSE(static_cast<bool>(none.block(2, 1)));
  CHECK(none.block(2, 1).rows == 1);
}

TEST_CASE("rows that may be written are rows that may be read, and not the other way round") {
  static_assert(std::is_convertible_v<sma::Rows<float, 3>, sma::Rows<const float, 3>>);
  static_assert(!std::is_convertible_v<sma::Rows<const float, 3>, sma::Rows<float, 3>>);
  static_assert(!std::is_convertible_v<sma::Rows<float, 3>, sma::Rows<const float, 4>>);
  static_assert(!std::is_convertible_v<sma::Rows<float, 3>, sma::Rows<const double, 3>>);
  std::array<float, 6> numbers{1, 2, 3, 4, 5, 6};
  const sma::Rows<const float, 3> x = sma::Rows<float, 3>{numbers.data(), 2};
  CHECK(x(1, 2) == 6);
}

TEST_CASE("a tensor is row-major") {
  std::array<double, 6> numbers{0, 1, 2, 3, 4, 5};
  const sma::Tensor<double, 2, 3> w{numbers.data()};
  static_assert(w.size == 6 && w.rank == 2);
  CHECK(w(1, 0) == 3);
  CHECK(w[4] == 4);
  w(0, 2) = 7;
  CHECK(numbers[2] == 7);
}
