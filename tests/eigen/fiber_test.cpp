#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <sma/eigen.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

template <class Fiber>
struct Counter {
  Fiber* fiber;
  int steps;
  std::vector<int>* log;
  int id;
  double sum = 0;

  static void run(void* self) {
    auto& c = *static_cast<Counter*>(self);
    double local[64] = {};  // lives on the fiber's stack from turn to turn
    for (int i = 0; i < c.steps; ++i) {
      c.log->push_back(c.id);
      local[i % 64] += i;
      c.fiber->suspend();
    }
    for (const double x : local) c.sum += x;
  }
};

/// Bytes of stack that a lane may well use.
int deep(int depth) {
  volatile char frame[4096];
  frame[0] = static_cast<char>(depth);
  frame[4095] = frame[0];
  return depth == 0 ? frame[4095] : deep(depth - 1) + (frame[0] == frame[4095] ? 0 : 1);
}

}  // namespace

TEST_CASE_TEMPLATE("fibers take turns, keep what is on their stacks, and can be started again", Fiber,
                   sma::eigen::Fiber, sma::eigen::ThreadFiber) {
  std::array<Fiber, 3> fibers;
  for (int again = 0; again < 3; ++again) {
    std::vector<int> log;
    std::vector<Counter<Fiber>> counters;
    for (int id = 0; id < 3; ++id)
      counters.push_back({&fibers[static_cast<std::size_t>(id)], 100 + id + again, &log, id});
    for (auto& c : counters) {
      CHECK(c.fiber->done());
      c.fiber->start(&Counter<Fiber>::run, &c);
      CHECK_FALSE(c.fiber->done());
    }
    bool left = true;
    while (left) {
      left = false;
      for (auto& c : counters) {
        if (c.fiber->done()) continue;
        c.fiber->resume();
        left = left || !c.fiber->done();
      }
    }
    for (std::size_t turn = 0; turn < 300; ++turn) CHECK(log[turn] == static_cast<int>(turn % 3));
    for (const auto& c : counters) CHECK(c.sum == c.steps * (c.steps - 1) / 2);
  }
}

TEST_CASE_TEMPLATE("exceptions are thrown and caught inside fibers while others are suspended", Fiber,
                   sma::eigen::Fiber, sma::eigen::ThreadFiber) {
  struct Call {
    Fiber fiber;
    std::string caught;
    static void run(void* self) {
      auto& call = *static_cast<Call*>(self);
      for (int i = 0; i < 3; ++i) {
        const auto owned = std::make_unique<std::string>("error " + std::to_string(i));
        try {
          call.fiber.suspend();
          throw std::runtime_error(*owned);
        } catch (const std::runtime_error& error) {
          call.caught += error.what();
        }
      }
    }
  };
  Call a;
  Call b;
  for (Call* call : {&a, &b}) call->fiber.start(&Call::run, call);
  while (!a.fiber.done() || !b.fiber.done())
    for (Call* call : {&a, &b})
      if (!call->fiber.done()) call->fiber.resume();
  CHECK(a.caught == "error 0error 1error 2");
  CHECK(b.caught == a.caught);
}

TEST_CASE_TEMPLATE("a fiber has a thread's stack, and may be started from another thread than before", Fiber,
                   sma::eigen::Fiber, sma::eigen::ThreadFiber) {
  struct Call {
    Fiber fiber;
    int result = -1;
    static void run(void* self) {
      auto& call = *static_cast<Call*>(self);
      call.fiber.suspend();
      call.result = deep(1000);
    }
  };
  Call call;
  for (int i = 0; i < 2; ++i) {
    std::thread([&] {
      call.result = -1;
      call.fiber.start(&Call::run, &call);
      call.fiber.resume();
      call.fiber.resume();
    }).join();
    CHECK(call.fiber.done());
    CHECK(call.result == 0);
  }
}
