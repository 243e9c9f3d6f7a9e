#pragma once

#include <concepts>
#include <cstddef>
#include <sma/base/sequences.hpp>

namespace sma {

namespace detail {
struct ProbeKernel {
  SMA_HD void operator()(Index) const {}
};
}  // namespace detail

/// What runs a network: memory, index-parallel kernels, and a team of shards.
///
/// `for_each_index(n, f)` calls f(i) for i in 0..n-1 in any order; f is a functor over views, callable where the backend
/// runs. `Team::max_lanes`, where there is one, is the most shards that a team runs.
/// A kernel is a struct with `extent()` and `operator()(Index)`; `run(context, kernel)` runs it. A backend that can do
/// better overloads `run` for that kernel type.
template <class B>
concept Backend = requires(void* p, const void* q, std::size_t n, Index i, detail::ProbeKernel f) {
  typename B::Scalar;
  typename B::Team;
  { B::host_accessible } -> std::convertible_to<bool>;
  { B::allocate(n) } -> std::same_as<void*>;
  B::deallocate(p);
  B::upload(p, q, n);    // host to backend
  B::download(p, q, n);  // backend to host
  B::for_each_index(i, f);
};

/// What `run` gives where it takes a kernel's plain form, or a problem's plain parts: tests list these, so that no form of a backend's
/// vanishes unseen.
struct PlainForm {};

/// Runs a kernel in a context: f(0) .. f(extent - 1), in any order. A backend overloads this, for its own context type, for
/// the kernels it does better; nothing else decides which form runs.
template <class C, class Kernel>
PlainForm run(C&, const Kernel& kernel) {
  C::Backend::for_each_index(kernel.extent(), kernel);
  return {};
}

/// Told of each launch. It does nothing; a test that wants to know specialises it, in a program of its own.
template <class C, class Kernel>
struct Launched {
  static void note(const C&, const Kernel&) {}
};

}  // namespace sma
