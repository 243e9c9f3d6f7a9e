#pragma once

#include <limits>
#include <sma/base/precision.hpp>
#include <sma/base/sequences.hpp>
#include <sma/device/backend.hpp>

/// Sums of damped exponentials over a sequence (a diagonal linear recurrence with a scalar input a channel).
///
/// With decays q (Channels x States) and weights h (Channels x States), for each channel:
///     s_n[t] = q_n s_n[t-1] + x[t] - q_n^K x[t-K]        y[t] = sum_n h_n s_n[t]
/// so y[t] = sum_{0 <= m < K} (sum_n h_n q_n^m) x[t-m]. K = 0: not truncated. `Reverse` runs from the last row to the first.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

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

/// y = skip x + recurrence(x) + (Bidirectional ? recurrence(x) in the opposite direction : 0), the parameters of the second
/// direction after those of the first. One index is one (sequence, channel).
template <class T, Index Channels, Index States, bool Reverse, bool Bidirectional>
struct DecayForward {
  static constexpr Index directions = Bidirectional ? 2 : 1;

  Sequences s;
  Rows<const T, Channels> x;
  Rows<T, Channels> y;
  const compute_of<T>* decay;   // (directions, Channels, States), q
  const compute_of<T>* weight;  // (directions, Channels, States), h
  const compute_of<T>* skip;    // (Channels)
  Index truncation;             // K, 0 for none

  SMA_HD Index extent() const { return s.count * Channels; }
  SMA_HD void operator()(Index e) const {
    const Index sequence = e / Channels;
    const Index c = e % Channels;
    for (Index t = s.begin(sequence); t < s.end(sequence); ++t) y(t, c) = skip[c] * x(t, c);
    add<Reverse>(sequence, c, c * States);
    if constexpr (Bidirectional) add<!Reverse>(sequence, c, (Channels + c) * States);
  }

 private:
  template <bool Backwards>
  SMA_HD void add(Index sequence, Index c, Index parameters) const {
    const compute_of<T>* q = decay + parameters;
    const compute_of<T>* h = weight + parameters;
    const Index length = s.length(sequence);
    compute_of<T> state[array_bound<States>] = {};
    compute_of<T> cut[array_bound<States>];
    for (Index n = 0; n < States; ++n)
      cut[n] = truncation > 0 ? vanishing_power(q[n], truncation) : compute_of<T>(0);
    for (Index step = 0; step < length; ++step) {
      const Index t = Backwards ? s.end(sequence) - 1 - step : s.begin(sequence) + step;
      const compute_of<T> in = x(t, c);
      const bool leaves = truncation > 0 && step >= truncation;
      const compute_of<T> old = leaves ? x(Backwards ? t + truncation : t - truncation, c) : T(0);
      compute_of<T> total = y(t, c);
      for (Index n = 0; n < States; ++n) {
        state[n] = q[n] * state[n] + in - cut[n] * old;
        total += h[n] * state[n];
      }
      y(t, c) = total;
    }
  }
};

/// The gradients of DecayForward's parameters (Reverse = false), added to:
///     ddecay += sum_t dy[t] h ds[t]/dq     dweight += sum_t dy[t] s[t]     dskip += sum_t dy[t] x[t]
/// by forward sensitivities
///     r_n[t] = q_n r_n[t-1] + s_n[t-1] - K q_n^{K-1} x[t-K],   ds_n/dq_n = r_n,
/// so that no state is kept from the forward pass. As sum_t dy[t] x[t+m] = sum_t x[t] dy[t-m], the opposite direction is the
/// same with x and dy exchanged. One index is one (direction, channel); sequences are visited in order.
template <class T, Index Channels, Index States, bool Bidirectional>
struct DecayBackwardParameters {
  static constexpr Index directions = Bidirectional ? 2 : 1;

  Sequences s;
  Rows<const T, Channels> x, dy;
  const compute_of<T>* decay;   // (directions, Channels, States)
  const compute_of<T>* weight;  // (directions, Channels, States)
  Index truncation;
  compute_of<T>* ddecay;   // (directions, Channels, States), added to
  compute_of<T>* dweight;  // (directions, Channels, States), added to
  compute_of<T>* dskip;    // (Channels), added to

  SMA_HD Index extent() const { return directions * Channels; }
  SMA_HD void operator()(Index e) const {
    const Index c = e % Channels;
    const Rows<const T, Channels>& from = e < Channels ? x : dy;
    const Rows<const T, Channels>& to = e < Channels ? dy : x;
    const compute_of<T>* q = decay + e * States;
    const compute_of<T>* h = weight + e * States;
    compute_of<T> cut[array_bound<States>];
    compute_of<T> cut_slope[array_bound<States>];
    compute_of<T> sum_decay[array_bound<States>] = {};
    compute_of<T> sum_weight[array_bound<States>] = {};
    compute_of<T> sum_skip = 0;
    for (Index n = 0; n < States; ++n) {
      const compute_of<T> before = truncation > 0 ? vanishing_power(q[n], truncation - 1) : compute_of<T>(0);
      cut[n] = before * q[n];
      cut_slope[n] = static_cast<compute_of<T>>(truncation) * before;
    }
    for (Index sequence = 0; sequence < s.count; ++sequence) {
      compute_of<T> state[array_bound<States>] = {};
      compute_of<T> slope[array_bound<States>] = {};
      for (Index t = s.begin(sequence); t < s.end(sequence); ++t) {
        const compute_of<T> in = from(t, c);
        const compute_of<T> d = to(t, c);
        const bool leaves = truncation > 0 && t - s.begin(sequence) >= truncation;
        const compute_of<T> old = leaves ? from(t - truncation, c) : T(0);
        for (Index n = 0; n < States; ++n) {
          slope[n] = q[n] * slope[n] + state[n] - cut_slope[n] * old;
          state[n] = q[n] * state[n] + in - cut[n] * old;
          sum_decay[n] += d * slope[n];
          sum_weight[n] += d * state[n];
        }
        sum_skip += d * in;
      }
    }
    for (Index n = 0; n < States; ++n) {
      ddecay[e * States + n] += h[n] * sum_decay[n];
      dweight[e * States + n] += sum_weight[n];
    }
    if (e < Channels) dskip[c] += sum_skip;
  }
};

/// All gradients of DecayForward (Reverse = false): dx, and those of DecayBackwardParameters. A problem rather than a kernel: plainly
/// it is the two kernels one after the other; a backend may share the recurrence over dy between them, since
///     u_n[t] = q_n u_n[t+1] + dy[t] - q_n^K dy[t+K],   dx[t] = sum_n h_n u_n[t],   dweight_n = sum_t x[t] u_n[t]
/// and ddecay takes u's sensitivity to q_n in the same way. dx may be null.
template <class T, Index Channels, Index States, bool Bidirectional>
struct DecayBackward {
  Sequences s;
  Rows<const T, Channels> x, dy;
  Rows<T, Channels> dx;
  const compute_of<T>* decay;   // (directions, Channels, States)
  const compute_of<T>* weight;  // (directions, Channels, States)
  const compute_of<T>* skip;    // (Channels)
  Index truncation;             // K, 0 for none
  compute_of<T>* ddecay;        // (directions, Channels, States), added to
  compute_of<T>* dweight;       // (directions, Channels, States), added to
  compute_of<T>* dskip;         // (Channels), added to

  [[nodiscard]] auto parameters() const {
    return DecayBackwardParameters<T, Channels, States, Bidirectional>{
        s, x, dy, decay, weight, truncation, ddecay, dweight, dskip};
  }
  [[nodiscard]] auto input() const {
    return DecayForward<T, Channels, States, true, Bidirectional>{s, dy, dx, decay, weight, skip, truncation};
  }
};

/// One streaming step of the causal DecayForward. One index is one channel.
template <class T, Index Channels, Index States>
struct DecayStep {
  const T* x;                   // (Channels)
  T* y;                         // (Channels), written
  const compute_of<T>* decay;   // (Channels, States)
  const compute_of<T>* weight;  // (Channels, States)
  const compute_of<T>* skip;    // (Channels)
  compute_of<T>* state;         // (Channels, States)
  const compute_of<T>* cut;     // (Channels, States) q^K, used when something leaves
  const T* leaving;             // (Channels) x[t-K], or null

  SMA_HD Index extent() const { return Channels; }
  SMA_HD void operator()(Index c) const {
    compute_of<T> total = skip[c] * x[c];
    for (Index n = 0; n < States; ++n) {
      const Index i = c * States + n;
      compute_of<T> next = decay[i] * state[i] + x[c];
      if (leaving != nullptr) next -= cut[i] * leaving[c];
      state[i] = next;
      total += weight[i] * next;
    }
    y[c] = total;
  }
};

}  // namespace ops
}  // namespace SMA_ISA

template <class C, class T, Index Channels, Index States, bool Bidirectional>
PlainForm run(C& ctx, const ops::DecayBackward<T, Channels, States, Bidirectional>& problem) {
  ctx.launch(problem.parameters());
  if (problem.dx) ctx.launch(problem.input());
  return {};
}

}  // namespace sma
