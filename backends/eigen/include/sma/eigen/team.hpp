#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <sma/base/config.hpp>
#include <sma/base/error.hpp>
#include <sma/eigen/denormals.hpp>
#include <sma/eigen/fiber.hpp>
#include <sma/eigen/part.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace sma {
inline namespace SMA_ISA {
namespace eigen {

/// Runs the lanes of a batch on threads. At most `threads` lanes run at a time, whatever the number of lanes.
///
/// Independent lanes are taken one after another by `threads` workers. Coupled lanes (batch norm) must all be under way at once: each
/// is a fiber, and a worker's lanes l, l + threads, l + 2 threads, ... take turns in that order: one runs until it waits for the
/// others, then the next; when all have come so far the workers meet, and the next round begins.
/// Sums over lanes are taken in lane order, so that results are the same for every number of threads.
class Team {
 public:
  Team(Index threads, Index) : threads_(threads) { reducer_.team_ = this; }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  ~Team() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& t : pool_) t.join();
  }

  /// Sums shards' numbers; every lane of the running job calls it the same number of times.
  class Reducer {
   public:
    /// data[i] = sum over lanes of data[i], added in lane order.
    template <class T>
    void all_reduce(Index lane, T* data, Index count) {
      team_->all_reduce(lane, data, count);
    }
    /// total[i] += sum over lanes of what their `mine` hold, added in lane order, and 0 there then; each lane does so for a part.
    template <class T>
    void sum_into(Index lane, T* mine, T* total, Index count) {
      team_->sum_into(lane, mine, total, count);
    }

   private:
    friend class Team;
    Team* team_ = nullptr;
  };

  /// Null when there is nothing to meet.
  Reducer* reducer(Index lanes) { return lanes > 1 ? &reducer_ : nullptr; }

  /// Where a coupled lane runs: lanes of one place take turns and never run at the same time.
  [[nodiscard]] Index place(Index lane) const { return lane % threads_; }

  /// Calls task(lane, worker) for each lane; rethrows the first exception.
  template <class Task>
  void run(Index lanes, bool coupled, const Task& task) {
    run_job(lanes, coupled && lanes > 1,
            {[](const void* context, Index lane, Index worker) {
               (*static_cast<const Task*>(context))(lane, worker);
             },
             &task});
  }

 private:
  /// A coupled lane.
  struct Lane {
    Team* team;
    Index index;
    Fiber fiber;
    std::vector<unsigned char> data[2];
    std::size_t uses = 0;
    void* part = nullptr;
    Index numbers[2] = {};  // that it brings to a meeting, in turn as data
    std::size_t meetings = 0;

    Lane(Team* of, Index lane) : team(of), index(lane) {}
    static void run(void* self) {
      auto* const lane = static_cast<Lane*>(self);
      lane->team->guarded(lane->index, lane->index);
    }
  };
  /// Thrown in lanes that wait for one that failed.
  struct Abandoned {};
  /// A task without its type.
  struct Job {
    void (*call)(const void* task, Index lane, Index worker) = nullptr;
    const void* task = nullptr;
    void operator()(Index lane, Index worker) const { call(task, lane, worker); }
  };

  SMA_NOINLINE void run_job(Index lanes, bool coupled, const Job& job) {
    const Index workers = std::min(lanes, threads_);
    if (workers == 1 && !coupled) {
      const FlushDenormals arithmetic;
      for (Index lane = 0; lane < lanes; ++lane) job(lane, 0);
      return;
    }
    while (static_cast<Index>(pool_.size()) < workers - 1) {
      const auto id = static_cast<Index>(pool_.size()) + 1;
      pool_.emplace_back([this, id] { serve(id); });
    }
    {
      const std::lock_guard lock(mutex_);
      job_ = job;
      job_lanes_ = lanes;
      job_workers_ = workers;
      coupled_ = coupled;
      next_lane_ = 0;
      running_ = workers - 1;
      error_ = nullptr;
      if (coupled) begin_turns();
      ++generation_;
    }
    wake_.notify_all();
    work(0);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return running_ == 0; });
    if (error_) std::rethrow_exception(error_);
  }

  void serve(Index id) {
    std::uint64_t seen = 0;
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stop_ || generation_ != seen; });
        if (stop_) return;
        seen = generation_;
        if (id >= job_workers_) continue;
      }
      work(id);
      {
        const std::lock_guard lock(mutex_);
        if (--running_ == 0) done_.notify_all();
      }
    }
  }

  void work(Index worker) {
    if (coupled_) return work_in_turns(worker);
    for (Index lane = next_lane_.fetch_add(1); lane < job_lanes_; lane = next_lane_.fetch_add(1))
      guarded(lane, worker);
  }

  void guarded(Index lane, Index worker) {
    const FlushDenormals arithmetic;  // a fiber has a mode of its own
    try {
      job_(lane, worker);
    } catch (const Abandoned&) {
    } catch (...) {
      fail(std::current_exception());
    }
  }

  void fail(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
  }

  // ---- coupled lanes ----

  void begin_turns() {
    while (static_cast<Index>(lanes_.size()) < job_lanes_)
      lanes_.push_back(std::make_unique<Lane>(this, static_cast<Index>(lanes_.size())));
    for (Index lane = 0; lane < job_lanes_; ++lane) {
      lane_at(lane).uses = 0;
      lane_at(lane).meetings = 0;
      lane_at(lane).fiber.start(&Lane::run, &lane_at(lane));
    }
    unfinished_ = job_lanes_;
    abandoned_ = false;
  }

  Lane& lane_at(Index lane) { return *lanes_[static_cast<std::size_t>(lane)]; }

  void work_in_turns(Index worker) {
    do {
      for (Index lane = worker; lane < job_lanes_; lane += job_workers_) {
        Fiber& fiber = lane_at(lane).fiber;
        if (fiber.done()) continue;
        fiber.resume();
        if (fiber.done()) --unfinished_;
      }
    } while (!end_round());
  }

  /// Waits for all workers, each of whose lanes has met the others or is done; true when all of them are done.
  bool end_round() {
    const std::uint64_t round = round_;
    if (++arrived_ == job_workers_) {
      arrived_ = 0;
      if (unfinished_ != 0 && unfinished_ != job_lanes_ && !error_)
        fail(std::make_exception_ptr(
            Error("sma::eigen::Team: found lanes that wait for one that has ended, expected the "
                  "same number of meetings in all lanes of a batch")));
      abandoned_ = error_ != nullptr;
      over_ = unfinished_ == 0;
      ++round_;
      round_.notify_all();
    } else {
      // Workers come at about the same time: to sleep and be woken takes longer than most of these.
      for (int i = 0; i < kPatience && round_ == round; ++i) std::this_thread::yield();
      round_.wait(round);
    }
    return over_;
  }

  /// Returns, in every lane, when all lanes are here. Throws Error, in every lane, when they bring different counts of numbers.
  SMA_NOINLINE void meet(Index lane, Index numbers) {
    const std::size_t turn = lane_at(lane).meetings++ % 2;
    lane_at(lane).numbers[turn] = numbers;
    lane_at(lane).fiber.suspend();
    if (abandoned_) throw Abandoned{};
    for (Index other = 0; other < job_lanes_; ++other)
      if (const Index theirs = lane_at(other).numbers[turn]; theirs != numbers)
        throw Error("ctx.shards().all_reduce: found shards that bring " + std::to_string(std::abs(numbers)) +
                    " and " + std::to_string(std::abs(theirs)) +
                    " numbers, expected the same number from all");
  }

  template <class T>
  void all_reduce(Index lane, T* data, Index count) {
    // Two buffers a lane, used in turn: nobody writes buffer k again before all have arrived at k + 1, and so have read k.
    Lane& mine = lane_at(lane);
    const std::size_t turn = mine.uses++ % 2;
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    if (mine.data[turn].size() < bytes) mine.data[turn].resize(bytes);
    std::copy_n(reinterpret_cast<const unsigned char*>(data), bytes, mine.data[turn].data());
    meet(lane, count);
    for (Index i = 0; i < count; ++i) data[i] = T(0);
    for (Index other = 0; other < job_lanes_; ++other) {
      const T* theirs = reinterpret_cast<const T*>(lane_at(other).data[turn].data());
      for (Index i = 0; i < count; ++i) data[i] += theirs[i];
    }
  }

  template <class T>
  void sum_into(Index lane, T* mine, T* total, Index count) {
    lane_at(lane).part = mine;
    meet(lane, -count);  // no sum of all_reduce's
    const Index begin = count * lane / job_lanes_;
    const Index end = count * (lane + 1) / job_lanes_;
    for (Index other = 0; other < job_lanes_; ++other) {
      T* theirs = static_cast<T*>(lane_at(other).part);
      for (Index i = begin; i < end; ++i) total[i] += std::exchange(theirs[i], T(0));
    }
    meet(lane, -count);
  }

  static constexpr int kPatience = 200;

  Index threads_;
  Reducer reducer_;
  std::vector<std::thread> pool_;

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  bool stop_ = false;
  std::uint64_t generation_ = 0;
  Job job_;
  Index job_lanes_ = 0;
  Index job_workers_ = 0;
  Index running_ = 0;
  bool coupled_ = false;
  std::exception_ptr error_;
  std::atomic<Index> next_lane_{0};

  std::vector<std::unique_ptr<Lane>> lanes_;
  std::atomic<Index> unfinished_{0};
  std::atomic<Index> arrived_{0};  // workers at the end of this round
  std::atomic<std::uint64_t> round_{
      0};  // the last worker of a round writes what follows, and only then ends it
  bool abandoned_ = false;
  bool over_ = false;
};

}  // namespace eigen
}  // namespace SMA_ISA
}  // namespace sma
