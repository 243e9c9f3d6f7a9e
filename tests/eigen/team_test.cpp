// labels: threads
#include <doctest/doctest.h>

#include <sma/base/error.hpp>
#include <sma/eigen.hpp>
#include <string>
#include <vector>

using sma::Index;

TEST_CASE("coupled lanes sum what each brings, in every meeting, for every number of lanes and threads") {
  for (const Index threads : {1, 2, 3, 9}) {
    sma::eigen::Team team(threads, 8);
    for (const Index lanes : {1, 2, 5, 8}) {
      CAPTURE(threads);
      CAPTURE(lanes);
      std::vector<std::vector<double>> sums(static_cast<std::size_t>(lanes));
      team.run(lanes, true, [&](Index lane, Index) {
        for (Index round = 0; round < 20; ++round) {
          double mine[2] = {static_cast<double>(lane + round), 1.0};
          if (auto* reducer = team.reducer(lanes)) reducer->all_reduce(lane, mine, 2);
          sums[static_cast<std::size_t>(lane)].push_back(mine[0] + 1000 * mine[1]);
        }
      });
      for (const auto& of_lane : sums)
        for (std::size_t round = 0; round < 20; ++round)
          CHECK(of_lane[round] ==
                static_cast<double>(lanes * (lanes - 1) / 2 + lanes * Index(round) + 1000 * lanes));
    }
  }
}

TEST_CASE("when a lane fails the others stop, its error is rethrown, and the team runs again") {
  for (const Index threads : {1, 2, 3})
    for (const Index failing : {0, 1, 4})
      for (const Index at : {0, 1, 3}) {
        CAPTURE(threads);
        CAPTURE(failing);
        CAPTURE(at);
        sma::eigen::Team team(threads, 5);
        const auto run = [&](bool fails) {
          Index met = 0;
          team.run(5, true, [&](Index lane, Index) {
            for (Index round = 0; round < 4; ++round) {
              if (fails && lane == failing && round == at) throw sma::Error("lane " + std::to_string(lane));
              double one = 1;
              team.reducer(5)->all_reduce(lane, &one, 1);
              if (lane == 0) met = round + 1;
            }
          });
          return met;
        };
        CHECK_THROWS_WITH_AS(run(true), ("lane " + std::to_string(failing)).c_str(), sma::Error);
        CHECK(run(false) == 4);
      }
}

TEST_CASE("a lane that meets the others less often than they do is an error, not a deadlock") {
  for (const Index threads : {1, 2, 5}) {
    CAPTURE(threads);
    sma::eigen::Team team(threads, 5);
    CHECK_THROWS_WITH_AS(
        team.run(5, true,
                 [&](Index lane, Index) {
                   for (Index round = 0; round < (lane == 3 ? 1 : 2); ++round) {
                     double one = 1;
                     team.reducer(5)->all_reduce(lane, &one, 1);
                   }
                 }),
        "sma::eigen::Team: found lanes that wait for one that has ended, expected the same number of "
        "meetings in all lanes of a batch",
        sma::Error);
  }
}

TEST_CASE("sums into the whole: each lane adds a part, in lane order") {
  for (const Index threads : {1, 2, 3}) {
    sma::eigen::Team team(threads, 4);
    std::vector<double> total(7, 100.0);
    std::vector<std::vector<double>> parts(4, std::vector<double>(7));
    team.run(4, true, [&](Index lane, Index) {
      std::vector<double>& mine = parts[static_cast<std::size_t>(lane)];
      for (int round = 0; round < 3; ++round) {
        for (std::size_t i = 0; i < 7; ++i) mine[i] = static_cast<double>(lane * 10) + static_cast<double>(i);
        team.reducer(4)->sum_into(lane, mine.data(), total.data(), 7);
      }
    });
    for (std::size_t i = 0; i < 7; ++i) CHECK(total[i] == 100.0 + 3 * (60.0 + 4 * static_cast<double>(i)));
    for (const auto& mine : parts) CHECK(mine == std::vector<double>(7));  // cleared
  }
}
