#pragma once

#include <algorithm>
#include <cstring>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/lanes.hpp>
#include <sma/kernels/ema.hpp>

/// The diagonal recurrence with channels across SIMD lanes and states in registers.
namespace sma {

namespace eigen {

/// Channels handled together.
template <class T>
inline constexpr Index kChannelGroup = static_cast<Index>(sizeof(Lanes<T>) / sizeof(T));

/// A row's numbers of the channels first .. first + group; zeros beyond the last channel. By reference: a vector as a result
/// has another ABI where processors lack such registers.
template <Index Channels, class T>
void load_group(const T* row, Index first, Lanes<T>& group) {
  if (first + kChannelGroup<T> <= Channels) {
    std::memcpy(&group, row + first, sizeof(group));
  } else {
    group = Lanes<T>{};
    for (Index l = 0; first + l < Channels; ++l) group[l] = row[first + l];
  }
}
template <Index Channels, class T>
void store_group(const Lanes<T>& group, T* row, Index first) {
  if (first + kChannelGroup<T> <= Channels)
    std::memcpy(row + first, &group, sizeof(group));
  else
    for (Index l = 0; first + l < Channels; ++l) row[first + l] = group[l];
}

/// Parameters of a channel group, one register a state: f(table entry).
template <class T, Index Channels, Index States>
struct GroupTable {
  Lanes<T> value[States];

  template <class F>
  GroupTable(const T* table, Index first, const F& f) {
    for (Index n = 0; n < States; ++n)
      for (Index l = 0; l < kChannelGroup<T>; ++l)
        value[n][l] = first + l < Channels ? f(table[(first + l) * States + n]) : T(0);
  }
  GroupTable(const T* table, Index first) : GroupTable(table, first, [](T x) { return x; }) {}

  [[nodiscard]] bool all_zero() const {
    for (Index n = 0; n < States; ++n)
      for (Index l = 0; l < kChannelGroup<T>; ++l)
        if (value[n][l] != 0) return false;
    return true;
  }
};

/// Calls step(t, left, whether a row leaves the kernel) for the rows of a sequence in the direction of the recurrence; `left` is
/// the row that does.
template <bool Reverse, class Step>
void for_each_step(const Sequences& s, Index sequence, Index truncation, const Step& step) {
  const Index length = s.length(sequence);
  const Index alone = truncation > 0 ? std::min(truncation, length) : length;
  const Index begin = Reverse ? s.end(sequence) - 1 : s.begin(sequence);
  constexpr Index direction = Reverse ? -1 : 1;
  for (Index i = 0; i < alone; ++i) step(begin + direction * i, Index{0}, std::false_type{});
  for (Index i = alone; i < length; ++i)
    step(begin + direction * i, begin + direction * (i - truncation), std::true_type{});
}

}  // namespace eigen

template <class T, Index Channels, Index States, bool Reverse, bool Accumulate>
void run(Context<Eigen<T>>&, const kernels::DecayForward<T, Channels, States, Reverse, Accumulate>& k) {
  using V = eigen::Lanes<T>;
  constexpr Index kSums =
      States < 4 ? States : 4;  // partial sums over states, so that additions do not wait for each other
  for (Index first = 0; first < Channels; first += eigen::kChannelGroup<T>) {
    const eigen::GroupTable<T, Channels, States> q(k.decay, first);
    const eigen::GroupTable<T, Channels, States> h(k.weight, first);
    const eigen::GroupTable<T, Channels, States> cut(k.decay, first, [&](T x) {
      return k.truncation > 0 ? kernels::vanishing_power(x, k.truncation) : T(0);
    });
    const Index truncation = cut.all_zero() ? 0 : k.truncation;
    for (Index sequence = 0; sequence < k.s.count; ++sequence) {
      V state[States] = {};
      eigen::for_each_step<Reverse>(k.s, sequence, truncation, [&](Index t, Index left, auto leaves) {
        V in, old, total[kSums] = {};
        eigen::load_group<Channels>(k.x.row(t), first, in);
        if constexpr (leaves) eigen::load_group<Channels>(k.x.row(left), first, old);
        if (Accumulate) eigen::load_group<Channels>(static_cast<const T*>(k.y.row(t)), first, total[0]);
        eigen::unrolled<States>([&](auto n) {
          if constexpr (leaves)
            state[n] = q.value[n] * state[n] + (in - cut.value[n] * old);
          else
            state[n] = q.value[n] * state[n] + in;
          total[n % kSums] += h.value[n] * state[n];
        });
        for (Index j = 1; j < kSums; ++j) total[0] += total[j];
        eigen::store_group<Channels>(total[0], k.y.row(t), first);
      });
    }
  }
}

template <class T, Index Channels, Index States, bool Reverse>
void run(Context<Eigen<T>>&, const kernels::DecayBackwardParameters<T, Channels, States, Reverse>& k) {
  using V = eigen::Lanes<T>;
  // States, slopes and both sums of a block stay in registers; the rows are read again for each block.
  constexpr Index kBlock = States % 4 == 0 ? 4 : 1;
  for (Index first = 0; first < Channels; first += eigen::kChannelGroup<T>) {
    const eigen::GroupTable<T, Channels, States> decay(k.decay, first);
    const eigen::GroupTable<T, Channels, States> cut_slope(k.decay, first, [&](T x) {
      return k.truncation > 0 ? static_cast<T>(k.truncation) * kernels::vanishing_power(x, k.truncation - 1)
                              : T(0);
    });
    const eigen::GroupTable<T, Channels, States> cut(k.decay, first, [&](T x) {
      return k.truncation > 0 ? kernels::vanishing_power(x, k.truncation) : T(0);
    });
    const Index truncation = cut.all_zero() && cut_slope.all_zero() ? 0 : k.truncation;
    for (Index n0 = 0; n0 < States; n0 += kBlock) {
      V q[kBlock], sum_decay[kBlock] = {}, sum_weight[kBlock] = {};
      for (Index n = 0; n < kBlock; ++n) q[n] = decay.value[n0 + n];
      for (Index sequence = 0; sequence < k.s.count; ++sequence) {
        V state[kBlock] = {}, slope[kBlock] = {};
        eigen::for_each_step<Reverse>(k.s, sequence, truncation, [&](Index t, Index left, auto leaves) {
          V in, d, old;
          eigen::load_group<Channels>(k.x.row(t), first, in);
          eigen::load_group<Channels>(k.dy.row(t), first, d);
          if constexpr (leaves) eigen::load_group<Channels>(k.x.row(left), first, old);
          eigen::unrolled<kBlock>([&](auto n) {
            if constexpr (leaves) {
              slope[n] = q[n] * slope[n] + (state[n] - cut_slope.value[n0 + n] * old);
              state[n] = q[n] * state[n] + (in - cut.value[n0 + n] * old);
            } else {
              slope[n] = q[n] * slope[n] + state[n];
              state[n] = q[n] * state[n] + in;
            }
            sum_decay[n] += d * slope[n];
            sum_weight[n] += d * state[n];
          });
        });
      }
      for (Index n = 0; n < kBlock; ++n)
        for (Index l = 0; l < eigen::kChannelGroup<T> && first + l < Channels; ++l) {
          const Index i = (first + l) * States + n0 + n;
          k.ddecay[i] += k.weight[i] * sum_decay[n][l];
          k.dweight[i] += sum_weight[n][l];
        }
    }
  }
}

}  // namespace sma
