#pragma once

#include <array>
#include <cstddef>
#include <sma/module/call.hpp>

/// What becomes of that which passes between the parts of a chain, decided at compile time from the parts' facts.
namespace sma {

/// What backward finds of a part's output.
enum class Fate {
  kept,      // what forward wrote
  remade,    // what the part makes once more, by `apply`, before it is read
  forgotten  // nothing: nobody reads it
};

/// What a plan has to know of a part.
struct PartFacts {
  bool reads_input = false;        // backward takes x
  bool applies = false;            // has apply
  bool apply_reads_input = false;  // ... which takes x
};

/// Part i's output is read in backward by part i + 1, or by what makes part i + 1's output once more; the last part's output is whoever
/// holds the chain's.
template <std::size_t Size>
struct Plan {
  std::array<PartFacts, Size> parts{};
  std::array<Fate, Size> fates{};  // of the parts' outputs; the last one is not the chain's to keep

  consteval explicit Plan(const std::array<PartFacts, Size>& facts) : parts(facts) {
    fates.fill(Fate::forgotten);
    for (std::size_t i = Size - 1; i-- > 0;) {
      if (!parts[i + 1].reads_input && !is_source(i + 1)) continue;
      fates[i] = parts[i].applies ? Fate::remade : Fate::kept;
    }
  }

  /// Part i's output is remade, and from its input.
  [[nodiscard]] constexpr bool is_source(std::size_t i) const {
    return fates[i] == Fate::remade && parts[i].apply_reads_input;
  }
  /// The first of the parts whose outputs, up to part i's, are made once more together.
  [[nodiscard]] constexpr std::size_t first_made_with(std::size_t i) const {
    while (is_source(i) && i > 0 && fates[i - 1] == Fate::remade) --i;
    return i;
  }
  /// Part i's input is made once more for part i: not on the way to its output.
  [[nodiscard]] constexpr bool makes_input(std::size_t i) const {
    return i > 0 && fates[i - 1] == Fate::remade && !is_source(i);
  }
  /// ... and nobody else reads it, so that it can live in memory for the part's call.
  [[nodiscard]] constexpr bool makes_input_alone(std::size_t i) const {
    return makes_input(i) && first_made_with(i - 1) == i - 1;
  }

  /// The same facts of the chain.
  [[nodiscard]] constexpr bool reads_input() const { return parts[0].reads_input || is_source(0); }
  [[nodiscard]] constexpr bool applies() const {
    const PartFacts& last = parts[Size - 1];
    if constexpr (Size > 1)
      return last.applies && (!last.apply_reads_input || fates[Size - 2] == Fate::kept);
    else
      return last.applies;
  }
  [[nodiscard]] constexpr bool apply_reads_input() const { return Size == 1 && parts[0].apply_reads_input; }
};

/// Facts of M in a network with context C.
template <class M, class C>
inline constexpr PartFacts facts_of{sma::reads_input<M, C>, sma::applies<M, C>, sma::apply_reads_input<M, C>};

/// The plan of parts that run one after the other.
template <class C, class... Ms>
inline constexpr Plan<sizeof...(Ms)> plan_of{std::array<PartFacts, sizeof...(Ms)>{facts_of<Ms, C>...}};

}  // namespace sma
