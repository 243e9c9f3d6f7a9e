#pragma once

#include <bit>
#include <cmath>
#include <cstring>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/gemm.hpp>
#include <sma/eigen/part.hpp>
#include <sma/eigen/simd/lanes.hpp>
#include <sma/ops/decay.hpp>

/// What the recurrence of decay.hpp has in registers: groups of channels, and the parameters of a group.
namespace sma {

inline namespace SMA_ISA {
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
  while (States % (2 * count) == 0 && 2 * count * kept <= kRegisterCount - 3) count *= 2;
  return count;
}

/// Whether q and h stay in registers beside the states; of 16 registers states take most, and q and h come from the nearest cache.
inline constexpr bool kHoldsDecay = kRegisterCount == 32;

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

/// ops::vanishing_power of each lane, the highest bit of n first: no step has a result below the normal numbers, but for
/// rare ones.
template <class T>
void vanishing_powers(const Register<T>& x, Index n, Register<T>& power) {
  constexpr T smallest = ops::smallest_normal<T>;
  power = Register<T>{} + T(1);
  for (auto bit = std::bit_floor(static_cast<std::uint64_t>(n)); bit > 0; bit >>= 1) {
    vanish<T>(power, std::sqrt(smallest));
    power *= power;
    if (static_cast<std::uint64_t>(n) & bit) power *= x;
  }
  vanish<T>(power, smallest);
}

/// Where tables of parameters are.
template <class T>
struct DecayPlaces {
  Register<T>* decay;      // q
  Register<T>* weight;     // h
  Register<T>* cut;        // q^K
  Register<T>* cut_slope;  // K q^{K-1}, for gradients
};

/// The parameters as registers (Directions, groups, States).
template <class T, Index Directions, Index Channels, Index States>
struct DecayTables : DecayPlaces<T> {
  static constexpr Index direction_size = kGroups<T, Channels> * States;
  static constexpr Index size = Directions * direction_size;
  using DecayPlaces<T>::decay, DecayPlaces<T>::weight, DecayPlaces<T>::cut, DecayPlaces<T>::cut_slope;

  Index truncation;  // K, or 0 where nothing is cut: all sequences are shorter, or all of it has vanished

  SMA_NOINLINE DecayTables(Context<Eigen<T>>& ctx, const Sequences& s, const T* decays, const T* weights,
                           Index k)
      : DecayPlaces<T>{ctx.template scratch<Register<T>>(size), ctx.template scratch<Register<T>>(size),
                       ctx.template scratch<Register<T>>(size), ctx.template scratch<Register<T>>(size)},
        truncation(0) {
    transpose(decays, decay);
    transpose(weights, weight);
    Index longest = 0;
    for (Index sequence = 0; sequence < s.count; ++sequence) longest = std::max(longest, s.length(sequence));
    if (k == 0 || longest <= k) return;
    Register<T> largest{};
    for (Index i = 0; i < size; ++i) {
      Register<T> before;
      vanishing_powers<T>(decay[i], k - 1, before);
      cut_slope[i] = static_cast<T>(k) * before;
      cut[i] = decay[i] * before;
      vanish<T>(cut[i], ops::smallest_normal<T>);
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

}  // namespace eigen
}  // namespace SMA_ISA

}  // namespace sma
