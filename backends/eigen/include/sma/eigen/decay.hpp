#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/gemm.hpp>
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
inline constexpr Index kChannelGroup = kRegisterWidth<T>;

/// Groups in a row, the last one perhaps not full.
template <class T, Index Channels>
inline constexpr Index kGroups = (Channels + kChannelGroup<T> - 1) / kChannelGroup<T>;

/// States whose `kept` numbers each stay in registers together: a power of two that divides States.
template <Index States>
constexpr Index states_at_once(Index kept) {
  Index count = 1;
  while (States % (2 * count) == 0 && 2 * count * kept <= kRegisterCount - 6) count *= 2;
  return count;
}

/// Rows of a tile.
inline constexpr Index kDecayTile = 64;

/// A row's numbers of the channels first .. first + group; zeros beyond the last channel. By reference: a vector as a result
/// has another ABI where processors lack such registers. Inlined: g++ before 12.4 makes one function of those for several
/// `Channels` and believes the smallest one's range of `first` (GCC bug 113907).
template <Index Channels, class T>
[[gnu::always_inline]] inline void load_group(const T* row, Index first, Register<T>& group) {
  if (first + kChannelGroup<T> <= Channels) {
    std::memcpy(&group, row + first, sizeof(group));
  } else {
    group = Register<T>{};
    for (Index l = 0; first + l < Channels; ++l) group[l] = row[first + l];
  }
}
template <Index Channels, class T>
[[gnu::always_inline]] inline void store_group(const Register<T>& group, T* row, Index first) {
  if (first + kChannelGroup<T> <= Channels)
    std::memcpy(row + first, &group, sizeof(group));
  else
    for (Index l = 0; first + l < Channels; ++l) row[first + l] = group[l];
}

/// Lanes below `smallest` become 0.
template <class T>
void vanish(Register<T>& x, T smallest) {
  x = ((x < smallest) & (x > -smallest)) ? Register<T>{} : x;
}

/// kernels::vanishing_power of each lane, the highest bit of n first: no step has a result below the normal numbers, but for
/// rare ones.
template <class T>
void vanishing_powers(const Register<T>& x, Index n, Register<T>& power) {
  constexpr T smallest = kernels::smallest_normal<T>;
  power = Register<T>{} + T(1);
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

  Register<T>* decay;      // q
  Register<T>* weight;     // h
  Register<T>* cut;        // q^K
  Register<T>* cut_slope;  // K q^{K-1}, for gradients
  Index truncation;        // K, or 0 where all that would be cut has vanished

  DecayTables(Context<Eigen<T>>& ctx, const T* decays, const T* weights, Index k)
      : decay(ctx.template scratch<Register<T>>(size)),
        weight(ctx.template scratch<Register<T>>(size)),
        cut(ctx.template scratch<Register<T>>(size)),
        cut_slope(ctx.template scratch<Register<T>>(size)),
        truncation(0) {
    transpose(decays, decay);
    transpose(weights, weight);
    if (k == 0) return;
    Register<T> largest{};
    for (Index i = 0; i < size; ++i) {
      Register<T> before;
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
  static void transpose(const T* from, Register<T>* to) {
    for (Index direction = 0; direction < Directions; ++direction, from += Channels * States)
      for (Index first = 0; first < Channels; first += kChannelGroup<T>) {
        pack_rows<kChannelGroup<T>>(from + first * States, States, Channels - first, States,
                                    reinterpret_cast<T*>(to));
        to += States;
      }
  }
};

/// Steps of a sequence. `leaves`: in each of them row i - truncation leaves the kernel; otherwise in none.
struct DecayTile {
  Index begin, count;
  bool leaves;
};
template <class Visit>
void for_each_decay_tile(Index length, Index truncation, const Visit& visit) {
  for (Index begin = 0, end = 0; begin < length; begin = end) {
    const bool leaves = truncation > 0 && begin >= truncation;
    end = std::min(begin + kDecayTile, length);
    if (!leaves && truncation > 0) end = std::min(end, truncation);
    visit(DecayTile{begin, end - begin, leaves});
  }
}

/// out[i] += sum_n h_n s_n[i], s_n[i] = q_n s_n[i-1] + in[i] - cut_n old[i], for `Block` states and the rows of a tile, a register
/// of channels wide. States, q and h stay in registers.
template <Index Block, bool Leaves, class T>
[[gnu::noinline, gnu::flatten]] void decay_tile(Index rows, const Register<T>* in, const Register<T>* old,
                                                const Register<T>* decay, const Register<T>* weight,
                                                const Register<T>* cut, Register<T>* states,
                                                Register<T>* out) {
  using V = Register<T>;
  constexpr Index kSums = std::min<Index>(Block, 2);  // so that additions wait less for each other
  V q[Block], h[Block], state[Block];
  unrolled<Block>([&](auto n) {
    q[n] = decay[n];
    h[n] = weight[n];
    state[n] = states[n];
  });
  for (Index i = 0; i < rows; ++i) {
    V total[kSums] = {out[i]};
    const V x = in[i];
    V leaving{};
    if constexpr (Leaves) leaving = old[i];
    unrolled<Block>([&](auto n) {
      if constexpr (Leaves)
        state[n] = q[n] * state[n] + (x - cut[n] * leaving);
      else
        state[n] = q[n] * state[n] + x;
      total[n % kSums] += h[n] * state[n];
    });
    if constexpr (kSums == 2) total[0] += total[1];
    out[i] = total[0];
  }
  unrolled<Block>([&](auto n) { states[n] = state[n]; });
}

/// One direction of DecayForward for one sequence: the first sets y, the second adds to it. `states` (groups, States) is room
/// for the recurrence.
template <bool Reverse, bool Second, class Kernel, class T, Index Directions, Index Channels, Index States>
void decay_direction(const Kernel& k, Index sequence,
                     const DecayTables<T, Directions, Channels, States>& tables, Register<T>* states) {
  using V = Register<T>;
  constexpr Index kBlock = states_at_once<States>(3);
  const Index start = Reverse ? k.s.end(sequence) - 1 : k.s.begin(sequence);
  std::fill_n(states, tables.direction_size, V{});
  for_each_decay_tile(k.s.length(sequence), tables.truncation, [&](const DecayTile& tile) {
    const auto row = [&](Index i) { return Reverse ? start - tile.begin - i : start + tile.begin + i; };
    const Index back = Reverse ? tables.truncation : -tables.truncation;
    for (Index g = 0; g < kGroups<T, Channels>; ++g) {
      const Index first = g * kChannelGroup<T>;
      V in[kDecayTile], old[kDecayTile], out[kDecayTile], skip;
      load_group<Channels>(k.skip, first, skip);
      for (Index i = 0; i < tile.count; ++i) {
        load_group<Channels>(k.x.row(row(i)), first, in[i]);
        if (tile.leaves) load_group<Channels>(k.x.row(row(i) + back), first, old[i]);
        if constexpr (Second)
          load_group<Channels>(static_cast<const T*>(k.y.row(row(i))), first, out[i]);
        else
          out[i] = skip * in[i];
      }
      for (Index n = g * States; n < (g + 1) * States; n += kBlock) {
        const Index at = n + (Second ? tables.direction_size : 0);
        const auto run = tile.leaves ? decay_tile<kBlock, true, T> : decay_tile<kBlock, false, T>;
        run(tile.count, in, old, tables.decay + at, tables.weight + at, tables.cut + at, states + n, out);
      }
      for (Index i = 0; i < tile.count; ++i) store_group<Channels>(out[i], k.y.row(row(i)), first);
    }
  });
}

}  // namespace eigen

template <class T, Index Channels, Index States, bool Reverse, bool Bidirectional>
void run(Context<Eigen<T>>& ctx,
         const kernels::DecayForward<T, Channels, States, Reverse, Bidirectional>& k) {
  auto scope = ctx.scope();
  const eigen::DecayTables<T, Bidirectional ? 2 : 1, Channels, States> tables(ctx, k.decay, k.weight,
                                                                              k.truncation);
  auto* states = ctx.template scratch<eigen::Register<T>>(tables.direction_size);
  for (Index sequence = 0; sequence < k.s.count; ++sequence) {
    eigen::decay_direction<Reverse, false>(k, sequence, tables, states);
    if constexpr (Bidirectional) eigen::decay_direction<!Reverse, true>(k, sequence, tables, states);
  }
}

namespace eigen {

/// What DecayBackwardParameters carries from tile to tile, (directions, groups, States) each.
template <class T>
struct DecaySums {
  Register<T>*state, *slope, *decay, *weight;
};

/// DecayBackwardParameters for `Block` states, whose numbers are at `at` in the tables, and the rows of a tile: `in` drives the
/// recurrence, `old` leaves it, `out` is what states are multiplied with. States, slopes and both sums stay in registers.
template <Index Block, bool Leaves, class T, class Tables>
[[gnu::noinline, gnu::flatten]] void decay_sums(const Tables& tables, const DecaySums<T>& sums, Index at,
                                                Index rows, const Register<T>* in, const Register<T>* old,
                                                const Register<T>* out) {
  using V = Register<T>;
  const V* cut = tables.cut + at;
  const V* cut_slope = tables.cut_slope + at;
  V q[Block], state[Block], slope[Block], sum_decay[Block] = {}, sum_weight[Block] = {};
  unrolled<Block>([&](auto n) {
    q[n] = tables.decay[at + n];
    state[n] = sums.state[at + n];
    slope[n] = sums.slope[at + n];
  });
  for (Index i = 0; i < rows; ++i) {
    const V x = in[i];
    const V d = out[i];
    V leaving{};
    if constexpr (Leaves) leaving = old[i];
    unrolled<Block>([&](auto n) {
      if constexpr (Leaves) {
        slope[n] = q[n] * slope[n] + (state[n] - cut_slope[n] * leaving);
        state[n] = q[n] * state[n] + (x - cut[n] * leaving);
      } else {
        slope[n] = q[n] * slope[n] + state[n];
        state[n] = q[n] * state[n] + x;
      }
      sum_decay[n] += d * slope[n];
      sum_weight[n] += d * state[n];
    });
  }
  unrolled<Block>([&](auto n) {
    sums.state[at + n] = state[n];
    sums.slope[at + n] = slope[n];
    sums.decay[at + n] += sum_decay[n];
    sums.weight[at + n] += sum_weight[n];
  });
}

/// The same for a group of channels of one direction.
template <Index States, class T, class Tables>
void decay_group_sums(const Tables& tables, const DecaySums<T>& sums, Index at, const DecayTile& tile,
                      const Register<T>* in, const Register<T>* old, const Register<T>* out) {
  constexpr Index kBlock = states_at_once<States>(5);
  const auto run = tile.leaves ? decay_sums<kBlock, true, T, Tables> : decay_sums<kBlock, false, T, Tables>;
  for (Index n = 0; n < States; n += kBlock) run(tables, sums, at + n, tile.count, in, old, out);
}

}  // namespace eigen

/// Sums of a tile's rows at a time keep single precision honest over long batches.
template <class T, Index Channels, Index States, bool Bidirectional>
void run(Context<Eigen<T>>& ctx,
         const kernels::DecayBackwardParameters<T, Channels, States, Bidirectional>& k) {
  using V = eigen::Register<T>;
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
    std::fill_n(sums.state, tables.size, V{});
    std::fill_n(sums.slope, tables.size, V{});
    eigen::for_each_decay_tile(k.s.length(sequence), tables.truncation, [&](const eigen::DecayTile& tile) {
      for (Index g = 0; g < kGroups; ++g) {
        V x[kTile], dy[kTile], old_x[kTile], old_dy[kTile], product{};
        for (Index i = 0; i < tile.count; ++i) {
          const Index row = start + tile.begin + i;
          eigen::load_group<Channels>(k.x.row(row), g * kGroup, x[i]);
          eigen::load_group<Channels>(k.dy.row(row), g * kGroup, dy[i]);
          product += x[i] * dy[i];
          if (!tile.leaves) continue;
          eigen::load_group<Channels>(k.x.row(row - tables.truncation), g * kGroup, old_x[i]);
          if constexpr (Bidirectional)
            eigen::load_group<Channels>(k.dy.row(row - tables.truncation), g * kGroup, old_dy[i]);
        }
        sum_skip[g] += product;
        const Index at = g * States;
        eigen::decay_group_sums<States>(tables, sums, at, tile, x, old_x, dy);
        if constexpr (Bidirectional)
          eigen::decay_group_sums<States>(tables, sums, tables.direction_size + at, tile, dy, old_dy, x);
      }
    });
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
