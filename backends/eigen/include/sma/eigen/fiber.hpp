#pragma once

#include <sma/eigen/part.hpp>

#include <condition_variable>
#include <mutex>
#include <thread>
#if defined(__GLIBC__)
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <new>
#endif

/// Calls that stop in their middle and go on later. Lanes that meet are such calls: those of one thread take turns on it without
/// that the system's scheduler has a say, which wakes a thread where another one runs and leaves a processor idle for milliseconds.
///
/// A fiber has `start(body, argument)`, `resume()`, from its own call `suspend()`, and `done()`. The body throws nothing, and suspends in
/// no catch block: of exceptions that are being handled there is one list a thread. A fiber that has been started is resumed until it
/// is done; then it can be started again.
namespace sma {
inline namespace SMA_ISA {
namespace eigen {

/// What a fiber runs.
class FiberCall {
 public:
  using Body = void (*)(void*);
  void start(Body body, void* argument) {
    body_ = body;
    argument_ = argument;
    done_ = false;
  }
  [[nodiscard]] bool done() const { return done_; }

 protected:
  void run() {
    body_(argument_);
    done_ = true;
  }

 private:
  Body body_ = nullptr;
  void* argument_ = nullptr;
  bool done_ = true;
};

/// On a thread of its own that only runs while somebody waits in `resume`: wherever there are threads.
class ThreadFiber : public FiberCall {
 public:
  ThreadFiber() : thread_([this] { serve(); }) {}
  ThreadFiber(const ThreadFiber&) = delete;
  ThreadFiber& operator=(const ThreadFiber&) = delete;
  ~ThreadFiber() {
    stop_ = true;
    give(true);
    thread_.join();
  }

  void resume() {
    give(true);
    wait(false);
  }
  void suspend() {
    give(false);
    wait(true);
  }

 private:
  void serve() {
    for (;;) {
      wait(true);
      if (stop_) return;
      run();
      give(false);
    }
  }
  void give(bool inside) {
    const std::lock_guard lock(mutex_);
    inside_ = inside;
    turn_.notify_all();
  }
  void wait(bool inside) {
    std::unique_lock lock(mutex_);
    turn_.wait(lock, [&] { return inside_ == inside; });
  }

  bool stop_ = false;
  bool inside_ = false;  // whose turn it is: the fiber's, or of who resumes it
  std::mutex mutex_;
  std::condition_variable turn_;
  std::thread thread_;
};

#if defined(__GLIBC__)

/// On a stack of its own, as large as a thread's; a page takes memory once it is touched. Throws std::bad_alloc.
class ContextFiber : public FiberCall {
 public:
  ContextFiber() : page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {
    stack_ = ::mmap(nullptr, page_ + kStack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack_ == MAP_FAILED) throw std::bad_alloc();
    void* const bottom = static_cast<char*>(stack_) + page_;  // behind a page that nobody may touch
    if (::mprotect(bottom, kStack, PROT_READ | PROT_WRITE) != 0 || ::getcontext(&inside_) != 0) {
      ::munmap(stack_, page_ + kStack);
      throw std::bad_alloc();
    }
    inside_.uc_stack.ss_sp = bottom;
    inside_.uc_stack.ss_size = kStack;
    inside_.uc_link = nullptr;
    unsigned half[2] = {};  // makecontext passes on nothing but ints
    ContextFiber* const self = this;
    std::memcpy(half, &self, sizeof(void*));
    ::makecontext(&inside_, reinterpret_cast<void (*)()>(&ContextFiber::serve), 2, half[0], half[1]);
  }
  ContextFiber(const ContextFiber&) = delete;
  ContextFiber& operator=(const ContextFiber&) = delete;
  ~ContextFiber() { ::munmap(stack_, page_ + kStack); }

  void resume() { ::swapcontext(&outside_, &inside_); }
  void suspend() { ::swapcontext(&inside_, &outside_); }

 private:
  static constexpr std::size_t kStack = std::size_t{8} << 20U;
  static_assert(sizeof(void*) <= 2 * sizeof(unsigned));

  static void serve(unsigned first, unsigned second) {
    const unsigned half[2] = {first, second};
    ContextFiber* self = nullptr;
    std::memcpy(&self, half, sizeof(void*));
    for (;;) {
      self->run();
      self->suspend();
    }
  }

  std::size_t page_;
  void* stack_ = nullptr;
  ucontext_t inside_{};
  ucontext_t outside_{};
};

#endif

// Sanitizers know threads, but no stacks that a program changes by itself.
#if !defined(__GLIBC__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
using Fiber = ThreadFiber;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
using Fiber = ThreadFiber;
#else
using Fiber = ContextFiber;
#endif
#else
using Fiber = ContextFiber;
#endif

}  // namespace eigen
}  // namespace SMA_ISA
}  // namespace sma
