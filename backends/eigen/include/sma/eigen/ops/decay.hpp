#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/gemm.hpp>
#include <sma/eigen/ops/decay_tables.hpp>
#include <sma/eigen/part.hpp>
#include <sma/eigen/simd/lanes.hpp>
#include <sma/ops/decay.hpp>

/// The diagonal recurrence with channels across SIMD lanes and states in registers.
///
/// A sequence is walked in tiles of rows, and a tile one group of channels after another: rows come from the nearest cache, and
/// the states of the other groups wait in memory.
namespace sma {

inline namespace SMA_ISA {
namespace eigen {

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

/// One register of each row of a tile: row i's at first + i * step. Backwards in time the step is negative.
template <class T>
struct Walk {
  T* first;
  Index step;

  [[nodiscard]] T* operator[](Index i) const { return first + i * step; }
};

/// One group of channels of a tile's rows, walked in place; where the row has fewer channels left, a copy with zeros.
template <Index Channels, class T>
class GroupRows {
 public:
  /// `rows` of `count` rows, the first of which is `start`, in steps of `step` rows.
  template <class Element>
  GroupRows(const Rows<Element, Channels>& rows, Index start, Index step, Index count, Index group)
      : at_(group * kChannelGroup<T>) {
    static_assert(std::is_same_v<std::remove_const_t<Element>, T>);
    source_ = {const_cast<T*>(rows.row(start)), step * rows.stride};
    if (whole()) return;
    for (Index i = 0; i < count; ++i) load_group<Channels>(static_cast<const T*>(source_[i]), at_, copy_[i]);
  }

  [[nodiscard]] Walk<const T> read() const {
    if (whole()) return {source_.first + at_, source_.step};
    return {reinterpret_cast<const T*>(copy_), kChannelGroup<T>};
  }
  /// To be written by a tile; `finish` brings the rows what it wrote.
  [[nodiscard]] Walk<T> write() {
    if (whole()) return {source_.first + at_, source_.step};
    return {reinterpret_cast<T*>(copy_), kChannelGroup<T>};
  }
  void finish(Index count) const {
    if (whole()) return;
    for (Index i = 0; i < count; ++i) store_group<Channels>(copy_[i], source_[i], at_);
  }

 private:
  [[nodiscard]] bool whole() const {
    return Channels % kChannelGroup<T> == 0 || at_ + kChannelGroup<T> <= Channels;
  }

  Walk<T> source_;
  Index at_;
  Register<T> copy_[Channels % kChannelGroup<T> == 0 ? 1 : kDecayTile];
};

/// What a tile of one group of channels reads and writes: `in` drives the recurrence, `old` leaves it, the sums go to `out`.
template <class T>
struct TileRows {
  Index count;
  Walk<const T> in;
  Walk<const T> old;
  Walk<T> out;
};

/// out[i] = start + sum_n h_n s_n[i], s_n[i] = q_n s_n[i-1] + in[i] - cut_n old[i], for `Block` states and the rows of a tile, a
/// register of channels wide. The start is skip in[i] for the `First` states, or what is there. States stay in registers, q and
/// h where there are enough.
template <Index Block, bool Leaves, bool First, class T>
[[gnu::noinline, gnu::flatten]] void decay_tile(const TileRows<T>& tile, const Register<T>& skip,
                                                const Register<T>* decay, const Register<T>* weight,
                                                const Register<T>* cut, Register<T>* states) {
  using V = Register<T>;
  constexpr Index kSums = std::min<Index>(Block, 2);  // so that additions wait less for each other
  constexpr Index kHeld = kHoldsDecay ? Block : 1;
  V held_q[array_bound<kHeld>], held_h[array_bound<kHeld>], state[array_bound<Block>];
  unrolled<Block>([&](auto n) { state[n] = states[n]; });
  if constexpr (kHoldsDecay)
    unrolled<Block>([&](auto n) {
      held_q[n] = decay[n];
      held_h[n] = weight[n];
    });
  const V* q = kHoldsDecay ? held_q : decay;
  const V* h = kHoldsDecay ? held_h : weight;
  const TileRows<T> rows = tile;  // a copy, which nothing that is written can change
  for (Index i = 0; i < rows.count; ++i) {
    V x, total[array_bound<kSums>] = {};
    WholeLoad<T>{}(rows.in[i], x);
    if constexpr (First)
      total[0] = skip * x;
    else
      WholeLoad<T>{}(rows.out[i], total[0]);
    V leaving{};
    if constexpr (Leaves) WholeLoad<T>{}(rows.old[i], leaving);
    unrolled<Block>([&](auto n) {
      if constexpr (Leaves)
        state[n] = q[n] * state[n] + (x - cut[n] * leaving);
      else
        state[n] = q[n] * state[n] + x;
      total[n % kSums] += h[n] * state[n];
    });
    if constexpr (kSums == 2) total[0] += total[1];
    std::memcpy(rows.out[i], &total[0], sizeof(total[0]));
  }
  unrolled<Block>([&](auto n) { states[n] = state[n]; });
}

/// Calls visit(tile, start, step) for the tiles of a sequence: their rows are start, start + step, ...
template <bool Reverse, class Visit>
void for_each_decay_tile(const Sequences& s, Index sequence, Index truncation, const Visit& visit) {
  constexpr Index kStep = Reverse ? -1 : 1;
  const Index first = Reverse ? s.end(sequence) - 1 : s.begin(sequence);
  for_each_decay_tile(s.length(sequence), truncation,
                      [&](const DecayTile& tile) { visit(tile, first + kStep * tile.begin, kStep); });
}

/// One direction of DecayForward for one sequence: the first sets y, the second adds to it. `states` (groups, States) is room
/// for the recurrence.
template <bool Reverse, bool Second, class Kernel, class T, Index Directions, Index Channels, Index States>
void decay_direction(const Kernel& k, Index sequence,
                     const DecayTables<T, Directions, Channels, States>& tables, Register<T>* states) {
  constexpr Index kBlock = states_at_once<States>(kHoldsDecay ? 3 : 1);
  std::fill_n(states, tables.direction_size, Register<T>{});
  for_each_decay_tile<Reverse>(
      k.s, sequence, tables.truncation, [&](const DecayTile& tile, Index start, Index step) {
        for (Index g = 0; g < kGroups<T, Channels>; ++g) {
          Register<T> skip;
          load_group<Channels>(k.skip, g * kChannelGroup<T>, skip);
          const GroupRows<Channels, T> in(k.x, start, step, tile.count, g);
          const GroupRows<Channels, T> old(k.x, tile.leaves ? start - step * tables.truncation : start, step,
                                           tile.leaves ? tile.count : 0, g);
          GroupRows<Channels, T> out(k.y, start, step, tile.count, g);
          const TileRows<T> rows{tile.count, in.read(), old.read(), out.write()};
          for (Index n = g * States; n < (g + 1) * States; n += kBlock) {
            const Index at = n + (Second ? tables.direction_size : 0);
            const bool first = !Second && n == g * States;
            const auto run =
                tile.leaves
                    ? (first ? decay_tile<kBlock, true, true, T> : decay_tile<kBlock, true, false, T>)
                    : (first ? decay_tile<kBlock, false, true, T> : decay_tile<kBlock, false, false, T>);
            run(rows, skip, tables.decay + at, tables.weight + at, tables.cut + at, states + n);
          }
          out.finish(tile.count);
        }
      });
}

/// As many channels at a time as a register has lanes, of which each gets a channel's sum; then one by one.
template <bool Leaving, class T, Index Channels, Index States>
[[gnu::flatten]] void decay_step(const ops::DecayStep<T, Channels, States>& k) {
  using V = Register<T>;
  constexpr Index kWidth = kRegisterWidth<T>;
  const auto add = [&](Index c) {
    V sum{};
    const V in = V{} + k.x[c];
    [[maybe_unused]] V out{};
    if constexpr (Leaving) out += k.leaving[c];
    for (Index i = c * States; i < (c + 1) * States; i += kWidth) {
      V decay, weight, state;
      std::memcpy(&decay, k.decay + i, sizeof(V));
      std::memcpy(&weight, k.weight + i, sizeof(V));
      std::memcpy(&state, k.state + i, sizeof(V));
      state = decay * state + in;
      if constexpr (Leaving) {
        V cut;
        std::memcpy(&cut, k.cut + i, sizeof(V));
        state -= cut * out;
      }
      std::memcpy(k.state + i, &state, sizeof(V));
      sum += weight * state;
    }
    return sum;
  };
  constexpr Index kWhole = Channels / kWidth * kWidth;
  for (Index c = 0; c < kWhole; c += kWidth) {
    V sums[array_bound<kWidth>];
    unrolled<kWidth>([&](auto r) { sums[r] = add(c + r); });
    sum_each_lanes<T>(sums);
    V skip, x;
    std::memcpy(&skip, k.skip + c, sizeof(V));
    std::memcpy(&x, k.x + c, sizeof(V));
    const V y = skip * x + sums[0];
    std::memcpy(k.y + c, &y, sizeof(V));
  }
  for (Index c = kWhole; c < Channels; ++c) {
    V sum = add(c);
    sum_lanes<T>(sum);
    k.y[c] = k.skip[c] * k.x[c] + sum[0];
  }
}

}  // namespace eigen
}  // namespace SMA_ISA

template <class T, Index Channels, Index States, bool Reverse, bool Bidirectional>
void run(Context<Eigen<T>>& ctx, const ops::DecayForward<T, Channels, States, Reverse, Bidirectional>& k) {
  auto scope = ctx.scope();
  const eigen::DecayTables<T, Bidirectional ? 2 : 1, Channels, States> tables(ctx, k.s, k.decay, k.weight,
                                                                              k.truncation);
  auto* states = ctx.template scratch<eigen::Register<T>>(tables.direction_size);
  for (Index sequence = 0; sequence < k.s.count; ++sequence) {
    eigen::decay_direction<Reverse, false>(k, sequence, tables, states);
    if constexpr (Bidirectional) eigen::decay_direction<!Reverse, true>(k, sequence, tables, states);
  }
}

inline namespace SMA_ISA {
namespace eigen {

/// What DecayBackward carries from tile to tile: states and their slopes (groups, States) within a sequence, and the sums
/// (directions, groups, States).
template <class T>
struct DecaySums {
  Register<T>*state, *slope, *decay, *weight;
};

/// decay_tile, and the gradients of its parameters: with r_n[i] = q_n r_n[i-1] + s_n[i-1] - cut_slope_n old[i] the sums over the
/// tile of with[i] r_n[i] and with[i] s_n[i], and for the `First` states of with[i] in[i]. All of a state's numbers stay in registers.
template <Index Block, bool Leaves, bool First, class T>
[[gnu::noinline, gnu::flatten]] void decay_backward_tile(
    const TileRows<T>& tile, const Walk<const T>& factors, const Register<T>& skip,
    const DecayPlaces<T>& tables, Index at, Index state_at, const DecaySums<T>& sums, Register<T>& sum_skip) {
  using V = Register<T>;
  const V* cut = tables.cut + at;
  const V* cut_slope = tables.cut_slope + at;
  V q[array_bound<Block>], h[array_bound<Block>], state[array_bound<Block>], slope[array_bound<Block>];
  V sum_decay[array_bound<Block>] = {}, sum_weight[array_bound<Block>] = {};
  unrolled<Block>([&](auto n) {
    q[n] = tables.decay[at + n];
    h[n] = tables.weight[at + n];
    state[n] = sums.state[state_at + n];
    slope[n] = sums.slope[state_at + n];
  });
  const TileRows<T> rows = tile;  // copies, which nothing that is written can change
  const Walk<const T> with = factors;
  V product{};
  for (Index i = 0; i < rows.count; ++i) {
    V x, w, total;
    WholeLoad<T>{}(rows.in[i], x);
    WholeLoad<T>{}(with[i], w);
    if constexpr (First) {
      total = skip * x;
      product += w * x;
    } else {
      WholeLoad<T>{}(rows.out[i], total);
    }
    V leaving{};
    if constexpr (Leaves) WholeLoad<T>{}(rows.old[i], leaving);
    unrolled<Block>([&](auto n) {
      if constexpr (Leaves) {
        slope[n] = q[n] * slope[n] + (state[n] - cut_slope[n] * leaving);
        state[n] = q[n] * state[n] + (x - cut[n] * leaving);
      } else {
        slope[n] = q[n] * slope[n] + state[n];
        state[n] = q[n] * state[n] + x;
      }
      total += h[n] * state[n];
      sum_decay[n] += w * slope[n];
      sum_weight[n] += w * state[n];
    });
    std::memcpy(rows.out[i], &total, sizeof(total));
  }
  unrolled<Block>([&](auto n) {
    sums.state[state_at + n] = state[n];
    sums.slope[state_at + n] = slope[n];
    sums.decay[at + n] += sum_decay[n];
    sums.weight[at + n] += sum_weight[n];
  });
  if constexpr (First) sum_skip += product;
}

/// One direction of DecayBackward for one sequence: the first sets dx and adds to `sum_skip` (groups), the second adds to dx.
template <bool Reverse, bool Second, class Kernel, class T, Index Directions, Index Channels, Index States>
void decay_backward_direction(const Kernel& k, const Rows<T, Channels>& dx, Index sequence,
                              const DecayTables<T, Directions, Channels, States>& tables,
                              const DecaySums<T>& sums, Register<T>* sum_skip) {
  constexpr Index kBlock = states_at_once<States>(6);
  std::fill_n(sums.state, tables.direction_size, Register<T>{});
  std::fill_n(sums.slope, tables.direction_size, Register<T>{});
  for_each_decay_tile<Reverse>(
      k.s, sequence, tables.truncation, [&](const DecayTile& tile, Index start, Index step) {
        for (Index g = 0; g < kGroups<T, Channels>; ++g) {
          Register<T> skip;
          load_group<Channels>(k.skip, g * kChannelGroup<T>, skip);
          const GroupRows<Channels, T> in(k.dy, start, step, tile.count, g);
          const GroupRows<Channels, T> with(k.x, start, step, tile.count, g);
          const GroupRows<Channels, T> old(k.dy, tile.leaves ? start - step * tables.truncation : start, step,
                                           tile.leaves ? tile.count : 0, g);
          GroupRows<Channels, T> out(dx, start, step, tile.count, g);
          const TileRows<T> rows{tile.count, in.read(), old.read(), out.write()};
          for (Index n = g * States; n < (g + 1) * States; n += kBlock) {
            const bool first = !Second && n == g * States;
            const auto run = tile.leaves ? (first ? decay_backward_tile<kBlock, true, true, T>
                                                  : decay_backward_tile<kBlock, true, false, T>)
                                         : (first ? decay_backward_tile<kBlock, false, true, T>
                                                  : decay_backward_tile<kBlock, false, false, T>);
            run(rows, with.read(), skip, tables, n + (Second ? tables.direction_size : 0), n, sums,
                sum_skip[g]);
          }
          out.finish(tile.count);
        }
      });
}

}  // namespace eigen
}  // namespace SMA_ISA

/// Sums of a tile's rows at a time keep single precision honest over long batches.
template <class T, Index Channels, Index States, bool Bidirectional>
void run(Context<Eigen<T>>& ctx, const ops::DecayBackward<T, Channels, States, Bidirectional>& k) {
  using V = eigen::Register<T>;
  constexpr Index kGroups = eigen::kGroups<T, Channels>;
  constexpr Index kGroup = eigen::kChannelGroup<T>;
  auto scope = ctx.scope();
  const eigen::DecayTables<T, Bidirectional ? 2 : 1, Channels, States> tables(ctx, k.s, k.decay, k.weight,
                                                                              k.truncation);
  const eigen::DecaySums<T> sums{ctx.template scratch<V>(tables.direction_size),
                                 ctx.template scratch<V>(tables.direction_size),
                                 ctx.template scratch<V>(tables.size), ctx.template scratch<V>(tables.size)};
  const Rows<T, Channels> dx = k.dx ? k.dx : ctx.template scratch_rows<Channels>(k.dy.rows);
  V sum_skip[array_bound<kGroups>] = {};
  std::fill_n(sums.decay, tables.size, V{});
  std::fill_n(sums.weight, tables.size, V{});
  for (Index sequence = 0; sequence < k.s.count; ++sequence) {
    eigen::decay_backward_direction<true, false>(k, dx, sequence, tables, sums, sum_skip);
    if constexpr (Bidirectional)
      eigen::decay_backward_direction<false, true>(k, dx, sequence, tables, sums, sum_skip);
  }
  for (Index e = 0; e < k.parameters().extent(); ++e) {
    const Index g = e / Channels * kGroups + e % Channels / kGroup;
    const Index l = e % Channels % kGroup;
    for (Index n = 0; n < States; ++n) {
      k.ddecay[e * States + n] += k.weight[e * States + n] * sums.decay[g * States + n][l];
      k.dweight[e * States + n] += sums.weight[g * States + n][l];
    }
    if (e < Channels) k.dskip[e] += sum_skip[g][l];
  }
}

template <class T, Index Channels, Index States>
  requires(States % eigen::kRegisterWidth<T> == 0)
void run(Context<Eigen<T>>&, const ops::DecayStep<T, Channels, States>& k) {
  if (k.leaving == nullptr)
    eigen::decay_step<false>(k);
  else
    eigen::decay_step<true>(k);
}

}  // namespace sma
