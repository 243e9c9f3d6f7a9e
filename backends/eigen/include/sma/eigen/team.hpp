#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <sma/core/config.hpp>
#include <sma/core/error.hpp>
#include <thread>
#include <vector>

namespace sma::eigen {

/// Runs the lanes of a batch on threads. At most `threads` lanes run at a time, whatever the number of lanes.
///
/// Independent lanes are taken one after another by `threads` workers. Coupled lanes (batch norm) must all be under way at
/// once: each gets a thread of its own, and lanes l, l + threads, l + 2 threads, ... take turns in that order: one runs until
/// it waits for the others, then the next. Only the thread whose turn it is wakes, so that those of one group tend to share
/// a processor, and none waits where another one runs.
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
    /// total[i] += sum over lanes of what their `mine` hold, added in lane order; each lane adds a part of them.
    template <class T>
    void sum_into(Index lane, const T* mine, T* total, Index count) {
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
    coupled = coupled && lanes > 1;
    const Index workers = coupled ? lanes : std::min(lanes, threads_);
    if (workers == 1) {
      for (Index lane = 0; lane < lanes; ++lane) task(lane, Index{0});
      return;
    }
    while (static_cast<Index>(pool_.size()) < workers - 1) {
      const auto id = static_cast<Index>(pool_.size()) + 1;
      pool_.emplace_back([this, id] { serve(id); });
    }
    {
      const std::lock_guard lock(mutex_);
      job_ = [](void* context, Index lane, Index worker) {
        (*static_cast<const Task*>(context))(lane, worker);
      };
      job_context_ = const_cast<void*>(static_cast<const void*>(&task));
      job_lanes_ = lanes;
      job_workers_ = workers;
      coupled_ = coupled;
      next_lane_ = 0;
      running_ = workers - 1;
      arrived_ = 0;
      failed_ = false;
      error_ = nullptr;
      slots_.resize(std::max(slots_.size(),
                             static_cast<std::size_t>(lanes)));  // never shrinks: nothing is allocated twice
      for (auto& slot : slots_) slot.restart();
      turns_.resize(static_cast<std::size_t>(threads_));
      for (Index group = 0; group < threads_; ++group) turns_[static_cast<std::size_t>(group)] = group;
      ++generation_;
    }
    wake_.notify_all();
    work(0);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return running_ == 0; });
    if (error_) std::rethrow_exception(error_);
  }

 private:
  struct Slot {
    std::vector<unsigned char> data[2];
    std::size_t uses = 0;
    const void* part = nullptr;
    bool done = false;
    std::unique_ptr<std::condition_variable> wake = std::make_unique<std::condition_variable>();

    void restart() {
      uses = 0;
      done = false;
    }
  };
  /// Thrown in lanes that wait for one that failed.
  struct Abandoned {};

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
    if (coupled_) {
      wait_for_turn(worker);
      guarded(worker, worker);
      const std::lock_guard lock(mutex_);
      slot_of(worker).done = true;
      give_turn(worker);
      return;
    }
    for (Index lane = next_lane_.fetch_add(1); lane < job_lanes_; lane = next_lane_.fetch_add(1))
      guarded(lane, worker);
  }

  void guarded(Index lane, Index worker) {
    try {
      job_(job_context_, lane, worker);
    } catch (const Abandoned&) {
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      failed_ = true;
      if (coupled_) wake_turns();
    }
  }

  Slot& slot_of(Index lane) { return slots_[static_cast<std::size_t>(lane)]; }
  Index& turn_of(Index lane) { return turns_[static_cast<std::size_t>(lane % threads_)]; }

  void wait_for_turn(Index lane) {
    std::unique_lock lock(mutex_);
    slot_of(lane).wake->wait(lock, [&] { return turn_of(lane) == lane; });
  }

  /// The round is complete, or will never be: the lane whose turn it is, in each group, looks. Called with the lock.
  void wake_turns() {
    for (const Index lane : turns_)
      if (lane < job_lanes_) slot_of(lane).wake->notify_one();
  }

  /// To the next lane of the group that is not done. Called with the lock.
  void give_turn(Index lane) {
    Index next = lane;
    do {
      next += threads_;
      if (next >= job_lanes_) next = lane % threads_;
    } while (next != lane && slot_of(next).done);
    turn_of(lane) = next;
    slot_of(next).wake->notify_one();
  }

  template <class T>
  void all_reduce(Index lane, T* data, Index count) {
    // Two buffers a lane, used in turn: nobody writes buffer k again before all have arrived at k + 1, and so have read k.
    Slot& mine = slot_of(lane);
    const std::size_t turn = mine.uses++ % 2;
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    if (mine.data[turn].size() < bytes) mine.data[turn].resize(bytes);
    std::copy_n(reinterpret_cast<const unsigned char*>(data), bytes, mine.data[turn].data());
    meet(lane);
    for (Index i = 0; i < count; ++i) data[i] = T(0);
    for (Index other = 0; other < job_lanes_; ++other) {
      const T* theirs = reinterpret_cast<const T*>(slot_of(other).data[turn].data());
      for (Index i = 0; i < count; ++i) data[i] += theirs[i];
    }
  }

  template <class T>
  void sum_into(Index lane, const T* mine, T* total, Index count) {
    slot_of(lane).part = mine;
    meet(lane);
    const Index begin = count * lane / job_lanes_;
    const Index end = count * (lane + 1) / job_lanes_;
    for (Index other = 0; other < job_lanes_; ++other) {
      const T* theirs = static_cast<const T*>(slot_of(other).part);
      for (Index i = begin; i < end; ++i) total[i] += theirs[i];
    }
    meet(lane);
  }

  /// Waits, while others take their turns, until every lane is here.
  void meet(Index lane) {
    std::unique_lock lock(mutex_);
    if (failed_) throw Abandoned{};
    const std::uint64_t round = meetings_;
    if (++arrived_ == job_lanes_) {
      arrived_ = 0;
      ++meetings_;
      wake_turns();
    }
    give_turn(lane);
    slot_of(lane).wake->wait(lock, [&] { return turn_of(lane) == lane && (meetings_ != round || failed_); });
    if (meetings_ == round) throw Abandoned{};
  }

  Index threads_;
  Reducer reducer_;
  std::vector<std::thread> pool_;

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  bool stop_ = false;
  std::uint64_t generation_ = 0;
  std::uint64_t meetings_ = 0;
  void (*job_)(void*, Index, Index) = nullptr;
  void* job_context_ = nullptr;
  Index job_lanes_ = 0;
  Index job_workers_ = 0;
  Index running_ = 0;
  std::vector<Index> turns_;  // (threads), the lane that runs
  Index arrived_ = 0;
  bool coupled_ = false;
  bool failed_ = false;
  std::exception_ptr error_;
  std::atomic<Index> next_lane_{0};
  std::vector<Slot> slots_;
};

}  // namespace sma::eigen
