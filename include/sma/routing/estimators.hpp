#pragma once

#include <cmath>
#include <sma/base/config.hpp>
#include <sma/ops/gate.hpp>

/// Estimators: how a branch's probability becomes the weight of its output, and how gradient crosses that. A type with
///
///     static constexpr Gate gate;                          // how logits become probabilities
///     template <class T> SMA_HD static T weight(T p);      // weight of an active branch's output
///     template <class T> SMA_HD static T slope(T p);       // d weight / d p that backward uses
/// and, optionally,
///     static constexpr bool noisy = true;                  // Gumbel noise on the logits in training
///     static double temperature(double progress);          // replaces the learned temperature; progress 0..1
///
/// A skipped branch has weight 0 and passes no gradient. An estimator of yours plugs in the same way.
namespace sma {

/// SeqBoat's estimator: the weight is the probability of the decision, and gradient flows through it.
struct Confidence {
  static constexpr Gate gate = Gate::softmax;
  template <class T>
  SMA_HD static T weight(T p) {
    return p;
  }
  template <class T>
  SMA_HD static T slope(T) {
    return 1;
  }
};

/// The weight is exactly 1; gradient flows as if it were the probability.
struct StraightThrough {
  static constexpr Gate gate = Gate::softmax;
  template <class T>
  SMA_HD static T weight(T) {
    return 1;
  }
  template <class T>
  SMA_HD static T slope(T) {
    return 1;
  }
};

/// The weight is the probability; no gradient reaches the configurator through it.
struct Blocked {
  static constexpr Gate gate = Gate::softmax;
  template <class T>
  SMA_HD static T weight(T p) {
    return p;
  }
  template <class T>
  SMA_HD static T slope(T) {
    return 0;
  }
};

/// One logit a branch: weight sigmoid(u), active above 1/2 under `Independent`.
struct SigmoidConfidence {
  static constexpr Gate gate = Gate::sigmoid;
  template <class T>
  SMA_HD static T weight(T p) {
    return p;
  }
  template <class T>
  SMA_HD static T slope(T) {
    return 1;
  }
};

/// Gumbel-softmax (Jang et al., 2017): softmax((u + g) / t) with Gumbel noise g in training; t falls from 2 to 0.5,
/// exponentially over the first half of training, and stays. In inference there is no noise.
/// Soft: the weight is the relaxed probability. Hard: the weight is 1 forward, the soft gradient backward.
template <bool Hard>
struct GumbelSoftmax {
  static constexpr Gate gate = Gate::softmax;
  static constexpr bool noisy = true;
  static double temperature(double progress) {
    const double done = progress < 0.5 ? 2.0 * progress : 1.0;
    return 2.0 * std::pow(0.25, done);
  }
  template <class T>
  SMA_HD static T weight(T p) {
    return Hard ? T(1) : p;
  }
  template <class T>
  SMA_HD static T slope(T) {
    return 1;
  }
};
using GumbelSoft = GumbelSoftmax<false>;
using GumbelHard = GumbelSoftmax<true>;

}  // namespace sma
