#pragma once

#include <sma/base/config.hpp>

namespace sma {

/// What a selection rule asks of probabilities.
enum class Competition {
  each,   // every branch has a run probability of its own
  among,  // the branches' probabilities sum to one
};

/// How logits become probabilities.
enum class Gate {
  softmax,  // softmax(logits / temperature): two logits a branch (skip, run) when each decides, one when they compete
  sigmoid,  // sigmoid(logit), one logit a branch
};

namespace detail {

template <class Rule, class T, Index M>
inline constexpr bool selects_steps =
    requires(const T* p, std::uint8_t* a) { Rule::template select<T, M>(p, a); };

template <class Rule, class T, Index M>
inline constexpr bool selects_sequences = requires(const T* p, Index length, std::uint8_t* a) {
  Rule::template select_sequence<T, M>(p, length, a);
};

}  // namespace detail

}  // namespace sma
