#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/lanes.hpp>
#include <sma/kernels/ema.hpp>

/// The diagonal recurrence with channels across SIMD lanes and states in registers.
///
/// A sequence is walked in tiles of rows, and a tile one group of channels after another: rows come from the nearest cache, and
/// the states of the other groups wait in memory.
namespace sma {

namespace eigen {

/// Channels handled together.
template <class T>
inline constexpr Index kChannelGroup = static_cast<Index>(sizeof(Lanes<T>) / sizeof(T));

/// Groups in a row, the last one perhaps not full.
template <class T, Index Channels>
inline constexpr Index kGroups = (Channels + kChannelGroup<T> - 1) / kChannelGroup<T>;

/// Rows of a tile.
inline constexpr Index kDecayTile = 64;

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

/// Lanes below `smallest` become 0.
template <class T>
void vanish(Lanes<T>& x, T smallest) {
  x = ((x < smallest) & (x > -smallest)) ? Lanes<T>{} : x;
}

/// kernels::vanishing_power of each lane, the highest bit of n first: no step has a result below the normal numbers, but for
/// rare ones.
template <class T>
void vanishing_powers(const Lanes<T>& x, Index n, Lanes<T>& power) {
  constexpr T smallest = kernels::smallest_normal<T>;
  power = Lanes<T>{} + T(1);
  for (auto bit = std::bit_floor(static_cast<std::uint64_t>(n)); bit > 0; bit >>= 1) {
    vanish<T>(power, std::sqrt(smallest));
    power *= power;
    if (static_cast<std::uint64_t>(n) & bit) power *= x;
  }
  vanish<T>(power, smallest);
}

/// The parameters as registers (Directions, groups, States).
template <class T, Index Directions, Index Channels, Index States>
struct DecayTables {
  static constexpr Index direction_size = kGroups<T, Channels> * States;
  static constexpr Index size = Directions * direction_size;

  Lanes<T>* decay;      // q
  Lanes<T>* weight;     // h
  Lanes<T>* cut;        // q^K
  Lanes<T>* cut_slope;  // K q^{K-1}, for gradients
  Index truncation;     // K, or 0 where all that would be cut has vanished

  DecayTables(Context<Eigen<T>>& ctx, const T* decays, const T* weights, Index k)
      : decay(ctx.template scratch<Lanes<T>>(size)),
        weight(ctx.template scratch<Lanes<T>>(size)),
        cut(ctx.template scratch<Lanes<T>>(size)),
        cut_slope(ctx.template scratch<Lanes<T>>(size)),
        truncation(0) {
    transpose(decays, decay);
    transpose(weights, weight);
    if (k == 0) return;
    Lanes<T> largest{};
    for (Index i = 0; i < size; ++i) {
      Lanes<T> before;
      vanishing_powers<T>(decay[i], k - 1, before);
      cut_slope[i] = static_cast<T>(k) * before;
      cut[i] = decay[i] * before;
      vanish<T>(cut[i], kernels::smallest_normal<T>);
      largest = before > largest ? before : -before > largest ? -before : largest;
    }
    for (Index l = 0; l < kChannelGroup<T>; ++l)
      if (largest[l] > 0) truncation = k;
  }

 private:
  static void transpose(const T* from, Lanes<T>* to) {
    for (Index direction = 0; direction < Directions; ++direction, from += Channels * States)
      for (Index first = 0; first < Channels; first += kChannelGroup<T>)
        for (Index n = 0; n < States; ++n, ++to)
          for (Index l = 0; l < kChannelGroup<T>; ++l)
            (*to)[l] = first + l < Channels ? from[(first + l) * States + n] : T(0);
  }
};

/// Calls step(i, whether a row leaves the kernel) for begin <= i < end; row i - truncation leaves.
template <class Step>
void for_each_step(Index begin, Index end, Index truncation, const Step& step) {
  const Index alone = truncation > 0 ? std::clamp(truncation, begin, end) : end;
  for (Index i = begin; i < alone; ++i) step(i, std::false_type{});
  for (Index i = alone; i < end; ++i) step(i, std::true_type{});
}

/// One direction of DecayForward for one sequence: the first sets y, the second adds to it. `states` (groups, States) is room
/// for the recurrence.
template <bool Reverse, bool Second, class Kernel, class T, Index Directions, Index Channels, Index States>
void decay_direction(const Kernel& k, Index sequence,
                     const DecayTables<T, Directions, Channels, States>& tables, Lanes<T>* states) {
  using V = Lanes<T>;
  constexpr Index kSums = std::min<Index>(States, 2);  // so that additions wait less for each other
  const Index length = k.s.length(sequence);
  const Index start = Reverse ? k.s.end(sequence) - 1 : k.s.begin(sequence);
  const auto row = [&](Index i) { return Reverse ? start - i : start + i; };
  std::fill_n(states, tables.direction_size, V{});
  for (Index begin = 0; begin < length; begin += kDecayTile) {
    const Index end = std::min(begin + kDecayTile, length);
    for (Index g = 0; g < kGroups<T, Channels>; ++g) {
      const Index first = g * kChannelGroup<T>;
      const Index at = g * States + (Second ? tables.direction_size : 0);
      const V* cut = tables.cut + at;
      V q[States], h[States], state[States], skip;
      for (Index n = 0; n < States; ++n) {
        q[n] = tables.decay[at + n];
        h[n] = tables.weight[at + n];
        state[n] = states[g * States + n];
      }
      load_group<Channels>(k.skip, first, skip);
      for_each_step(begin, end, tables.truncation, [&](Index i, auto leaves) {
        V in, old, total[kSums] = {};
        load_group<Channels>(k.x.row(row(i)), first, in);
        if constexpr (leaves) load_group<Channels>(k.x.row(row(i - tables.truncation)), first, old);
        if constexpr (Second)
          load_group<Channels>(static_cast<const T*>(k.y.row(row(i))), first, total[0]);
        else
          total[0] = skip * in;
        unrolled<States>([&](auto n) {
          if constexpr (leaves)
            state[n] = q[n] * state[n] + (in - cut[n] * old);
          else
            state[n] = q[n] * state[n] + in;
          total[n % kSums] += h[n] * state[n];
        });
        for (Index j = 1; j < kSums; ++j) total[0] += total[j];
        store_group<Channels>(total[0], k.y.row(row(i)), first);
      });
      for (Index n = 0; n < States; ++n) states[g * States + n] = state[n];
    }
  }
}

}  // namespace eigen

template <class T, Index Channels, Index States, bool Reverse, bool Bidirectional>
void run(Context<Eigen<T>>& ctx,
         const kernels::DecayForward<T, Channels, States, Reverse, Bidirectional>& k) {
  auto scope = ctx.scope();
  const eigen::DecayTables<T, Bidirectional ? 2 : 1, Channels, States> tables(ctx, k.decay, k.weight,
                                                                              k.truncation);
  auto* states = ctx.template scratch<eigen::Lanes<T>>(tables.direction_size);
  for (Index sequence = 0; sequence < k.s.count; ++sequence) {
    eigen::decay_direction<Reverse, false>(k, sequence, tables, states);
    if constexpr (Bidirectional) eigen::decay_direction<!Reverse, true>(k, sequence, tables, states);
  }
}

namespace eigen {

/// What DecayBackwardParameters carries from tile to tile, (directions, groups, States) each.
template <class T>
struct DecaySums {
  Lanes<T>*state, *slope, *decay, *weight;
};

/// DecayBackwardParameters for steps begin .. end of a sequence whose first row is `start`, one channel group of one direction,
/// whose numbers are at `at` in the tables. `in` and `out` are the tile's rows of that group: what drives the recurrence, from
/// `rows`, and what its states are multiplied with.
template <class T, Index Directions, Index Channels, Index States>
void decay_sums(const DecayTables<T, Directions, Channels, States>& tables, const DecaySums<T>& sums,
                Index at, const Rows<const T, Channels>& rows, Index first, Index start, Index begin,
                Index end, const Lanes<T>* in, const Lanes<T>* out) {
  using V = Lanes<T>;
  // States, slopes and both sums of a block stay in registers.
  constexpr Index kBlock = States % 4 == 0 ? 4 : 1;
  for (const Index last = at + States; at < last; at += kBlock) {
    const V* cut = tables.cut + at;
    const V* cut_slope = tables.cut_slope + at;
    V q[kBlock], state[kBlock], slope[kBlock];
    V sum_decay[kBlock] = {}, sum_weight[kBlock] = {};
    for (Index n = 0; n < kBlock; ++n) {
      q[n] = tables.decay[at + n];
      state[n] = sums.state[at + n];
      slope[n] = sums.slope[at + n];
    }
    for_each_step(begin, end, tables.truncation, [&](Index i, auto leaves) {
      const V x = in[i - begin], d = out[i - begin];
      V old;
      if constexpr (leaves) load_group<Channels>(rows.row(start + i - tables.truncation), first, old);
      unrolled<kBlock>([&](auto n) {
        if constexpr (leaves) {
          slope[n] = q[n] * slope[n] + (state[n] - cut_slope[n] * old);
          state[n] = q[n] * state[n] + (x - cut[n] * old);
        } else {
          slope[n] = q[n] * slope[n] + state[n];
          state[n] = q[n] * state[n] + x;
        }
        sum_decay[n] += d * slope[n];
        sum_weight[n] += d * state[n];
      });
    });
    for (Index n = 0; n < kBlock; ++n) {
      sums.state[at + n] = state[n];
      sums.slope[at + n] = slope[n];
      sums.decay[at + n] += sum_decay[n];
      sums.weight[at + n] += sum_weight[n];
    }
  }
}

}  // namespace eigen

/// Sums of a tile's rows at a time keep single precision honest over long batches.
template <class T, Index Channels, Index States, bool Bidirectional>
void run(Context<Eigen<T>>& ctx,
         const kernels::DecayBackwardParameters<T, Channels, States, Bidirectional>& k) {
  using V = eigen::Lanes<T>;
  constexpr Index kGroups = eigen::kGroups<T, Channels>;
  constexpr Index kGroup = eigen::kChannelGroup<T>;
  constexpr Index kTile = eigen::kDecayTile;
  auto scope = ctx.scope();
  const eigen::DecayTables<T, Bidirectional ? 2 : 1, Channels, States> tables(ctx, k.decay, k.weight,
                                                                              k.truncation);
  const eigen::DecaySums<T> sums{ctx.template scratch<V>(tables.size), ctx.template scratch<V>(tables.size),
                                 ctx.template scratch<V>(tables.size), ctx.template scratch<V>(tables.size)};
  V sum_skip[kGroups] = {};
  std::fill_n(sums.decay, tables.size, V{});
  std::fill_n(sums.weight, tables.size, V{});
  for (Index sequence = 0; sequence < k.s.count; ++sequence) {
    const Index start = k.s.begin(sequence);
    const Index length = k.s.length(sequence);
    std::fill_n(sums.state, tables.size, V{});
    std::fill_n(sums.slope, tables.size, V{});
    for (Index begin = 0; begin < length; begin += kTile) {
      const Index end = std::min(begin + kTile, length);
      for (Index g = 0; g < kGroups; ++g) {
        V x[kTile], dy[kTile], product{};
        for (Index i = begin; i < end; ++i) {
          eigen::load_group<Channels>(k.x.row(start + i), g * kGroup, x[i - begin]);
          eigen::load_group<Channels>(k.dy.row(start + i), g * kGroup, dy[i - begin]);
          product += x[i - begin] * dy[i - begin];
        }
        sum_skip[g] += product;
        const Index at = g * States;
        eigen::decay_sums(tables, sums, at, k.x, g * kGroup, start, begin, end, x, dy);
        if constexpr (Bidirectional)
          eigen::decay_sums(tables, sums, tables.direction_size + at, k.dy, g * kGroup, start, begin, end, dy,
                            x);
      }
    }
  }
  for (Index e = 0; e < k.extent(); ++e) {
    const Index g = e / Channels * kGroups + e % Channels / kGroup;
    const Index l = e % Channels % kGroup;
    for (Index n = 0; n < States; ++n) {
      k.ddecay[e * States + n] += k.weight[e * States + n] * sums.decay[g * States + n][l];
      k.dweight[e * States + n] += sums.weight[g * States + n][l];
    }
    if (e < Channels) k.dskip[e] += sum_skip[g][l];
  }
}

}  // namespace sma
