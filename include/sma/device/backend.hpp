#pragma once

#include <concepts>
#include <cstddef>
#include <new>
#include <sma/base/sequences.hpp>

namespace sma {

namespace detail {
struct ProbeKernel {
  SMA_HD void operator()(Index) const {}
};
}  // namespace detail

/// What runs a network: an object with a queue. Memory, copies and kernels belong to it; what is queued runs in order, and the host
/// may go on meanwhile. Functions may be static where there is nothing to wait for.
///
/// `upload(to, from, bytes)`: the host's memory may be changed when it returns. `download(to, from, bytes)`: the host's memory holds
/// the numbers after `wait()`. `for_each_index(n, f)` calls f(i) for i in 0..n-1 in any order; f is a functor over views, callable where
/// the backend runs. `Team::max_lanes`, where there is one, is the most shards that a team runs.
/// Optional: `record()`, a mark in the queue, with `wait(mark)`, for what was queued before it; `allocate_host(bytes)` and
/// `deallocate_host(p)`, host memory that copies reach without the host's help.
/// A kernel is a struct with `extent()` and `operator()(Index)`; `run(context, kernel)` runs it. A backend that can do
/// better overloads `run` for that kernel type.
template <class B>
concept Backend = std::default_initializable<B> && std::move_constructible<B> &&
                  requires(B& b, void* p, const void* q, std::size_t n, Index i, detail::ProbeKernel f) {
                    typename B::Scalar;
                    typename B::Team;
                    { B::host_accessible } -> std::convertible_to<bool>;
                    { b.allocate(n) } -> std::same_as<void*>;
                    b.deallocate(p);
                    b.upload(p, q, n);    // host to backend
                    b.download(p, q, n);  // backend to host
                    b.wait();
                    b.for_each_index(i, f);
                  };

namespace detail {

/// Stands for the end of the queue where a backend marks no place in it.
struct EndOfQueue {};

/// A backend's host memory, as an arena takes it.
template <class B>
class HostMemory {
 public:
  explicit HostMemory(B& backend) : backend_(&backend) {}
  void* allocate(std::size_t bytes) {
    if constexpr (requires { backend_->allocate_host(bytes); })
      return backend_->allocate_host(bytes);
    else
      return ::operator new(bytes, std::align_val_t{64});
  }
  void deallocate(void* data) {
    if constexpr (requires { backend_->deallocate_host(data); })
      backend_->deallocate_host(data);
    else
      ::operator delete(data, std::align_val_t{64});
  }
  template <class F>
  void for_each_index(Index count, const F& f) {
    for (Index i = 0; i < count; ++i) f(i);
  }

 private:
  B* backend_;
};

}  // namespace detail

/// What `run` gives where it takes a kernel's plain form, or a problem's plain parts: tests list these, so that no form of a backend's
/// vanishes unseen.
struct PlainForm {};

/// Runs a kernel in a context: f(0) .. f(extent - 1), in any order. A backend overloads this, for its own context type, for
/// the kernels it does better; nothing else decides which form runs.
template <class C, class Kernel>
PlainForm run(C& ctx, const Kernel& kernel) {
  ctx.backend().for_each_index(kernel.extent(), kernel);
  return {};
}

/// Told of each launch. It does nothing; a test that wants to know specialises it, in a program of its own.
template <class C, class Kernel>
struct Launched {
  static void note(const C&, const Kernel&) {}
};

}  // namespace sma
