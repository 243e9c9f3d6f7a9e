#pragma once

#include <cstddef>
#include <sma/base/config.hpp>

/// The words of compile errors. A `static_assert` on one of the variables below shows its name and its arguments: which
/// module, at which place, which number.
namespace sma {

/// Part or branch number N, from 0.
template <std::size_t N, class M>
struct At;
template <Index Width>
struct Produces;
template <Index Width>
struct Expects;
template <Index Number>
struct Has;
template <Index Number>
struct Needs;

/// False for every argument.
template <class... What>
inline constexpr bool is_not_a_module = false;
template <class... What>
inline constexpr bool is_not_a_branch = false;
template <class... What>
inline constexpr bool is_not_a_configurator = false;
template <class... What>
inline constexpr bool is_not_a_rule = false;
template <class... What>
inline constexpr bool is_not_an_estimator = false;
template <class... What>
inline constexpr bool width_mismatch = false;
template <class... What>
inline constexpr bool changes_rows = false;
template <class... What>
inline constexpr bool too_few_branches = false;
template <class... What>
inline constexpr bool cannot_be_called = false;
template <class... What>
inline constexpr bool does_not_stream = false;
template <class... What>
inline constexpr bool is_not_causal = false;
template <class... What>
inline constexpr bool have_one_name = false;
template <class... What>
inline constexpr bool cannot_be_named = false;
/// A member that compositions ask of a module.
enum class Member {
  none,
  forward,
  backward,
  apply,
  step,
  layout,
  Parameters,
  Buffers,
  Metrics,
  Children,
  Saved,
  Stream,
  input_width,
  output_width,
  reach,
  couples_batch,
  takes_tokens,
  sequences_per_output,
  trace_width
};
template <Member What>
struct Changes;
template <class... What>
inline constexpr bool changes_composition = false;
template <class... What>
inline constexpr bool no_parameter_of_this_name = false;
template <class... What>
inline constexpr bool no_child_of_this_name = false;
template <class... What>
inline constexpr bool cannot_learn = false;
template <class... What>
inline constexpr bool shards_do_not_meet = false;

}  // namespace sma
