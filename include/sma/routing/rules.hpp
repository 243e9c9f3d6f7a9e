#pragma once

#include <sma/base/config.hpp>
#include <sma/ops/gate.hpp>

/// Selection rules: which branches run, given each branch's probability. A rule is a type with
///
///     static constexpr bool causal;         // step t is decided by steps 0..t alone
///     static constexpr Competition competition;
///     template <class T, Index M> SMA_HD static void select(const T* p, std::uint8_t* active);      // one step
/// or, for a rule that looks at a whole sequence (`p` and `active` hold `length` steps of M entries),
///     template <class T, Index M> SMA_HD static void select_sequence(const T* p, Index length, std::uint8_t* active);
///
/// and, optionally,
///     static constexpr Index least_branches;      // a router with fewer does not compile
///     static constexpr Index chosen;              // of competing branches it always runs so many: a router with no more does not compile,
///                                                 // because there is nothing to choose
///
/// A rule of yours plugs in the same way. Decisions carry no gradient; what crosses them is the estimator's business.
namespace sma {

/// Sparse Modular Activation: any subset of the branches, branch i when it is likelier run than skipped. A tie skips.
struct Independent {
  static constexpr bool causal = true;
  static constexpr Competition competition = Competition::each;
  template <class T, Index M>
  SMA_HD static void select(const T* p, std::uint8_t* active) {
    for (Index i = 0; i < M; ++i) active[i] = p[i] > T(0.5) ? 1 : 0;
  }
};

/// Any subset: branch i when its probability exceeds `Limit` (a std::ratio).
template <class Limit>
struct Threshold {
  static constexpr bool causal = true;
  static constexpr Competition competition = Competition::each;
  template <class T, Index M>
  SMA_HD static void select(const T* p, std::uint8_t* active) {
    for (Index i = 0; i < M; ++i) active[i] = p[i] > T(Limit::num) / T(Limit::den) ? 1 : 0;
  }
};

/// The K most probable branches; of equals the first.
template <Index K>
struct TopK {
  static_assert(K > 0, "sma::TopK<K> requires K > 0");
  static constexpr bool causal = true;
  static constexpr Competition competition = Competition::among;
  static constexpr Index least_branches = K;
  static constexpr Index chosen = K;
  template <class T, Index M>
  SMA_HD static void select(const T* p, std::uint8_t* active) {
    for (Index i = 0; i < M; ++i) {
      Index before = 0;
      for (Index j = 0; j < M; ++j) before += (p[j] > p[i] || (same_number(p[j], p[i]) && j < i)) ? 1 : 0;
      active[i] = before < K ? 1 : 0;
    }
  }
};

/// The one most probable branch (Switch Transformer).
using Switch = TopK<1>;

}  // namespace sma
