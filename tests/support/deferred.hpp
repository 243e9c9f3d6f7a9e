#pragma once

#include <cstddef>
#include <cstring>
#include <functional>
#include <new>
#include <sma/device/context.hpp>
#include <sma/shards/one_lane.hpp>
#include <utility>
#include <vector>

/// A backend that does nothing before it is waited for: whoever reads what was downloaded without waiting, or changes what is still to
/// be read, shows. As far as the library can tell, a GPU with an endlessly slow queue.
namespace deferred {

template <class ScalarType>
class Deferred {
 public:
  using Scalar = ScalarType;
  using Team = sma::OneLaneTeam;
  static constexpr bool host_accessible = false;
  /// Entries of the queue that stand before it.
  struct Mark {
    std::size_t end;
  };

  static inline int waits = 0;  // for something, and not nothing

  void* allocate(std::size_t bytes) {
    void* data = ::operator new(bytes, kAlign);
    std::memset(data, 0xFF, bytes);
    return data;
  }
  /// Waits, as cudaFree does.
  void deallocate(void* data) {
    run_to(done_ + queue_.size());
    ::operator delete(data, kAlign);
  }
  void upload(void* to, const void* from, std::size_t bytes) {
    const auto* first = static_cast<const unsigned char*>(from);
    queue_.push_back([to, copy = std::vector<unsigned char>(first, first + bytes)] {
      if (!copy.empty()) std::memcpy(to, copy.data(), copy.size());
    });
  }
  void download(void* to, const void* from, std::size_t bytes) {
    if (bytes == 0) return;
    std::memset(to, 0xFF, bytes);
    queue_.push_back([=] { std::memcpy(to, from, bytes); });
  }
  template <class F>
  void for_each_index(sma::Index count, const F& f) {
    queue_.push_back([=] {
      for (sma::Index i = 0; i < count; ++i) f(i);
    });
  }
  void wait() { wait({done_ + queue_.size()}); }
  void wait(Mark mark) {
    if (mark.end > done_) ++waits;
    run_to(mark.end);
  }
  [[nodiscard]] Mark record() const { return {done_ + queue_.size()}; }

 private:
  static constexpr std::align_val_t kAlign{64};

  void run_to(std::size_t end) {
    const std::size_t count = end > done_ ? end - done_ : 0;
    for (std::size_t i = 0; i < count; ++i) queue_[i]();
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(count));
    done_ += count;
  }

  std::vector<std::function<void()>> queue_;
  std::size_t done_ = 0;
};
static_assert(sma::Backend<Deferred<float>>);

}  // namespace deferred
