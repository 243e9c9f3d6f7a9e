#pragma once

#include <sma/eigen/backend.hpp>
#include <sma/kernels/ema.hpp>

/// The diagonal recurrence with channels across SIMD lanes and states in registers.
namespace sma {

namespace eigen {

/// Channels handled together; one or two SIMD registers.
template <class T>
inline constexpr Index kChannelGroup = 64 / static_cast<Index>(sizeof(T));

/// Parameters of a channel group, channels innermost and padded with zeros: [state][channel].
template <class T, Index Channels, Index States>
struct GroupTable {
  static constexpr Index kWidth = kChannelGroup<T>;
  alignas(64) T value[States][kWidth];

  GroupTable(const T* table, Index first) {
    for (Index n = 0; n < States; ++n)
      for (Index l = 0; l < kWidth; ++l)
        value[n][l] = first + l < Channels ? table[(first + l) * States + n] : T(0);
  }
};

/// One row's slice of a channel group, padded with zeros at the last group.
template <Index Channels, Index Width, class T>
inline void load_group(const T* row, Index first, T (&to)[Width]) {
  if (first + Width <= Channels) {
    for (Index l = 0; l < Width; ++l) to[l] = row[first + l];
  } else {
    for (Index l = 0; l < Width; ++l) to[l] = first + l < Channels ? row[first + l] : T(0);
  }
}

}  // namespace eigen

template <class T, Index Channels, Index States, bool Reverse, bool Accumulate>
void run(Context<Eigen<T>>&, const kernels::DecayForward<T, Channels, States, Reverse, Accumulate>& k) {
  constexpr Index kWidth = eigen::kChannelGroup<T>;
  for (Index first = 0; first < Channels; first += kWidth) {
    const eigen::GroupTable<T, Channels, States> q(k.decay, first);
    const eigen::GroupTable<T, Channels, States> h(k.weight, first);
    alignas(64) T cut[States][kWidth] = {};
    if (k.truncation > 0)
      for (Index n = 0; n < States; ++n)
        for (Index l = 0; l < kWidth; ++l) cut[n][l] = kernels::integer_power(q.value[n][l], k.truncation);
    for (Index sequence = 0; sequence < k.s.count; ++sequence) {
      alignas(64) T state[States][kWidth] = {};
      const Index length = k.s.length(sequence);
      for (Index step = 0; step < length; ++step) {
        const Index t = Reverse ? k.s.end(sequence) - 1 - step : k.s.begin(sequence) + step;
        alignas(64) T in[kWidth];
        alignas(64) T total[kWidth] = {};
        eigen::load_group<Channels>(k.x.row(t), first, in);
        if (k.truncation > 0 && step >= k.truncation) {
          alignas(64) T old[kWidth];
          eigen::load_group<Channels>(k.x.row(Reverse ? t + k.truncation : t - k.truncation), first, old);
          for (Index n = 0; n < States; ++n)
            for (Index l = 0; l < kWidth; ++l) {
              state[n][l] = q.value[n][l] * state[n][l] + in[l] - cut[n][l] * old[l];
              total[l] += h.value[n][l] * state[n][l];
            }
        } else {
          for (Index n = 0; n < States; ++n)
            for (Index l = 0; l < kWidth; ++l) {
              state[n][l] = q.value[n][l] * state[n][l] + in[l];
              total[l] += h.value[n][l] * state[n][l];
            }
        }
        T* y = k.y.row(t) + first;
        const Index width = first + kWidth <= Channels ? kWidth : Channels - first;
        if (width == kWidth) {
          for (Index l = 0; l < kWidth; ++l) y[l] = (Accumulate ? y[l] : T(0)) + total[l];
        } else {
          for (Index l = 0; l < width; ++l) y[l] = (Accumulate ? y[l] : T(0)) + total[l];
        }
      }
    }
  }
}

template <class T, Index Channels, Index States, bool Reverse>
void run(Context<Eigen<T>>&, const kernels::DecayBackwardParameters<T, Channels, States, Reverse>& k) {
  constexpr Index kWidth = eigen::kChannelGroup<T>;
  for (Index first = 0; first < Channels; first += kWidth) {
    const eigen::GroupTable<T, Channels, States> q(k.decay, first);
    alignas(64) T cut[States][kWidth] = {};
    alignas(64) T cut_slope[States][kWidth] = {};
    if (k.truncation > 0)
      for (Index n = 0; n < States; ++n)
        for (Index l = 0; l < kWidth; ++l) {
          const T before = kernels::integer_power(q.value[n][l], k.truncation - 1);
          cut[n][l] = before * q.value[n][l];
          cut_slope[n][l] = static_cast<T>(k.truncation) * before;
        }
    alignas(64) T sum_decay[States][kWidth] = {};
    alignas(64) T sum_weight[States][kWidth] = {};
    for (Index sequence = 0; sequence < k.s.count; ++sequence) {
      alignas(64) T state[States][kWidth] = {};
      alignas(64) T slope[States][kWidth] = {};
      const Index length = k.s.length(sequence);
      for (Index step = 0; step < length; ++step) {
        const Index t = Reverse ? k.s.end(sequence) - 1 - step : k.s.begin(sequence) + step;
        alignas(64) T in[kWidth];
        alignas(64) T d[kWidth];
        eigen::load_group<Channels>(k.x.row(t), first, in);
        eigen::load_group<Channels>(k.dy.row(t), first, d);
        if (k.truncation > 0 && step >= k.truncation) {
          alignas(64) T old[kWidth];
          eigen::load_group<Channels>(k.x.row(Reverse ? t + k.truncation : t - k.truncation), first, old);
          for (Index n = 0; n < States; ++n)
            for (Index l = 0; l < kWidth; ++l) {
              slope[n][l] = q.value[n][l] * slope[n][l] + state[n][l] - cut_slope[n][l] * old[l];
              state[n][l] = q.value[n][l] * state[n][l] + in[l] - cut[n][l] * old[l];
              sum_decay[n][l] += d[l] * slope[n][l];
              sum_weight[n][l] += d[l] * state[n][l];
            }
        } else {
          for (Index n = 0; n < States; ++n)
            for (Index l = 0; l < kWidth; ++l) {
              slope[n][l] = q.value[n][l] * slope[n][l] + state[n][l];
              state[n][l] = q.value[n][l] * state[n][l] + in[l];
              sum_decay[n][l] += d[l] * slope[n][l];
              sum_weight[n][l] += d[l] * state[n][l];
            }
        }
      }
    }
    for (Index l = 0; l < kWidth && first + l < Channels; ++l)
      for (Index n = 0; n < States; ++n) {
        const Index i = (first + l) * States + n;
        k.ddecay[i] += k.weight[i] * sum_decay[n][l];
        k.dweight[i] += sum_weight[n][l];
      }
  }
}

}  // namespace sma
