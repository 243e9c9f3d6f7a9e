#pragma once

#include <limits>
#include <sma/core/sequences.hpp>

/// Sums of damped exponentials over a sequence (a diagonal linear recurrence with a scalar input a channel).
///
/// With decays q (Channels x States) and weights h (Channels x States), for each channel:
///     s_n[t] = q_n s_n[t-1] + x[t] - q_n^K x[t-K]        y[t] = sum_n h_n s_n[t]
/// so y[t] = sum_{0 <= m < K} (sum_n h_n q_n^m) x[t-m]. K = 0: not truncated. `Reverse` runs from the last row to the first.
namespace sma::kernels {

/// x^n for an integer n >= 0.
template <class T>
SMA_HD T integer_power(T x, Index n) {
  T result = 1;
  while (n > 0) {
    if (n & 1) result *= x;
    x *= x;
    n >>= 1;
  }
  return result;
}

/// The smallest normal number. A variable, because nvcc calls no function of the standard library on a device.
template <class T>
inline constexpr T smallest_normal = std::numeric_limits<T>::min();

/// x^n, or 0 where that is below the normal numbers: processors work on such numbers a hundred times slower, and what they add
/// is far below rounding.
template <class T>
SMA_HD T vanishing_power(T x, Index n) {
  const T power = integer_power(x, n);
  return power < smallest_normal<T> && power > -smallest_normal<T> ? T(0) : power;
}

/// y = (Accumulate ? y : 0) + recurrence(x). One index is one (sequence, channel).
template <class T, Index Channels, Index States, bool Reverse, bool Accumulate>
struct DecayForward {
  Sequences s;
  Rows<const T, Channels> x;
  Rows<T, Channels> y;
  const T* decay;    // (Channels, States), q
  const T* weight;   // (Channels, States), h
  Index truncation;  // K, 0 for none

  SMA_HD Index extent() const { return s.count * Channels; }
  SMA_HD void operator()(Index e) const {
    const Index sequence = e / Channels;
    const Index c = e % Channels;
    const T* q = decay + c * States;
    const T* h = weight + c * States;
    const Index length = s.length(sequence);
    T state[States] = {};
    T cut[States];
    for (Index n = 0; n < States; ++n) cut[n] = truncation > 0 ? vanishing_power(q[n], truncation) : T(0);
    for (Index step = 0; step < length; ++step) {
      const Index t = Reverse ? s.end(sequence) - 1 - step : s.begin(sequence) + step;
      const T in = x(t, c);
      const bool leaves = truncation > 0 && step >= truncation;
      const T old = leaves ? x(Reverse ? t + truncation : t - truncation, c) : T(0);
      T total = Accumulate ? y(t, c) : T(0);
      for (Index n = 0; n < States; ++n) {
        state[n] = q[n] * state[n] + in - cut[n] * old;
        total += h[n] * state[n];
      }
      y(t, c) = total;
    }
  }
};

/// ddecay += sum_t dy[t] h ds[t]/dq and dweight += sum_t dy[t] s[t], by forward sensitivities
///     r_n[t] = q_n r_n[t-1] + s_n[t-1] - K q_n^{K-1} x[t-K],   ds_n/dq_n = r_n,
/// so that no state is kept from the forward pass. One index is one channel; sequences are visited in order.
template <class T, Index Channels, Index States, bool Reverse>
struct DecayBackwardParameters {
  Sequences s;
  Rows<const T, Channels> x, dy;
  const T* decay;
  const T* weight;
  Index truncation;
  T* ddecay;   // (Channels, States), added to
  T* dweight;  // (Channels, States), added to

  SMA_HD Index extent() const { return Channels; }
  SMA_HD void operator()(Index c) const {
    const T* q = decay + c * States;
    const T* h = weight + c * States;
    T cut[States];
    T cut_slope[States];
    T sum_decay[States] = {};
    T sum_weight[States] = {};
    for (Index n = 0; n < States; ++n) {
      const T before = truncation > 0 ? vanishing_power(q[n], truncation - 1) : T(0);
      cut[n] = before * q[n];
      cut_slope[n] = static_cast<T>(truncation) * before;
    }
    for (Index sequence = 0; sequence < s.count; ++sequence) {
      T state[States] = {};
      T slope[States] = {};
      const Index length = s.length(sequence);
      for (Index step = 0; step < length; ++step) {
        const Index t = Reverse ? s.end(sequence) - 1 - step : s.begin(sequence) + step;
        const T in = x(t, c);
        const T d = dy(t, c);
        const bool leaves = truncation > 0 && step >= truncation;
        const T old = leaves ? x(Reverse ? t + truncation : t - truncation, c) : T(0);
        for (Index n = 0; n < States; ++n) {
          slope[n] = q[n] * slope[n] + state[n] - cut_slope[n] * old;
          state[n] = q[n] * state[n] + in - cut[n] * old;
          sum_decay[n] += d * slope[n];
          sum_weight[n] += d * state[n];
        }
      }
    }
    for (Index n = 0; n < States; ++n) {
      ddecay[c * States + n] += h[n] * sum_decay[n];
      dweight[c * States + n] += sum_weight[n];
    }
  }
};

/// One streaming step of the causal recurrence. One index is one channel.
template <class T, Index Channels, Index States>
struct DecayStep {
  const T* x;        // (Channels)
  T* y;              // (Channels), written
  const T* decay;    // (Channels, States)
  const T* weight;   // (Channels, States)
  T* state;          // (Channels, States)
  const T* cut;      // (Channels, States) q^K, used when something leaves
  const T* leaving;  // (Channels) x[t-K], or null

  SMA_HD Index extent() const { return Channels; }
  SMA_HD void operator()(Index c) const {
    T total = 0;
    for (Index n = 0; n < States; ++n) {
      const Index i = c * States + n;
      T next = decay[i] * state[i] + x[c];
      if (leaving != nullptr) next -= cut[i] * leaving[c];
      state[i] = next;
      total += weight[i] * next;
    }
    y[c] = total;
  }
};

}  // namespace sma::kernels
