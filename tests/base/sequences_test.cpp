#include <doctest/doctest.h>

#include <sma/base/sequences.hpp>
#include <vector>

using sma::Index;

TEST_CASE("a packed batch holds sequences one after another, with offsets, times and ids") {
  sma::Batch<float, 2> batch;
  CHECK(batch.count() == 0);
  CHECK(batch.rows() == 0);
  batch.append(std::vector<float>{1, 2, 3, 4});
  batch.append(std::vector<float>{});
  batch.append(std::vector<float>{5, 6, 7, 8, 9, 10});
  CHECK(batch.count() == 3);
  CHECK(batch.rows() == 5);
  CHECK(batch.length(0) == 2);
  CHECK(batch.length(1) == 0);
  CHECK(batch.length(2) == 3);
  const sma::Sequences s = batch.sequences();
  CHECK(std::vector<std::int32_t>(s.offsets, s.offsets + 4) == std::vector<std::int32_t>{0, 2, 2, 5});
  CHECK(std::vector<sma::Position>(s.positions, s.positions + 5) ==
        std::vector<sma::Position>{0, 1, 0, 1, 2});
  CHECK(std::vector<std::int32_t>(s.ids, s.ids + 5) == std::vector<std::int32_t>{0, 1, 2, 3, 4});
  CHECK(batch(3, 1) == 8.0F);
  CHECK(batch.view()(4, 0) == 9.0F);
}

TEST_CASE("a batch made from lengths is zero and a cleared one is empty") {
  sma::Batch<double, 3> batch{2, 0, 1};
  CHECK(batch.rows() == 3);
  for (const double value : batch.values()) CHECK(value == 0.0);
  batch.clear();
  CHECK(batch.count() == 0);
  CHECK(batch.rows() == 0);
  const std::vector<Index> lengths{4, 4};
  batch.resize(lengths);
  CHECK(batch.rows() == 8);
  CHECK(batch.sequences().positions[7] == 3);
}

TEST_CASE("a sequence that is not whole rows is refused in words") {
  sma::Batch<float, 3> batch;
  const std::vector<float> wrong(7);
  CHECK_THROWS_WITH_AS(batch.append(wrong), "sma::Batch::append: found 7 elements, expected a multiple of 3",
                       sma::Error);
  CHECK(batch.count() == 0);
}

TEST_CASE("lengths below 0 and beyond what 32 bits count are refused in words, and the batch is as it was") {
  CHECK_THROWS_WITH_AS((sma::Batch<float, 4>{3, -2}),
                       "sma::Batch: sequence 1: found length -2, expected 0 to 2147483644", sma::Error);
  sma::Batch<float, 1> batch{5};
  for (const std::vector<Index>& lengths : {std::vector<Index>{-1}, {1, 2147483647}, {2147483648}}) {
    CHECK_THROWS_AS(batch.resize(lengths), sma::Error);
    CHECK(batch.count() == 1);
    CHECK(batch.rows() == 5);
  }
}

TEST_CASE("a block of columns is a view with the rows' stride") {
  sma::Batch<int, 4> batch;
  batch.append(std::vector<int>{0, 1, 2, 3, 10, 11, 12, 13});
  const auto block = batch.view().columns<2>(1);
  CHECK(block(0, 0) == 1);
  CHECK(block(1, 1) == 12);
  CHECK_FALSE(block.contiguous());
  CHECK(batch.view().contiguous());
  block(1, 0) = 42;
  CHECK(batch(1, 1) == 42);
}
