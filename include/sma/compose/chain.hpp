#pragma once

#include <algorithm>
#include <array>
#include <sma/compose/chain_checks.hpp>
#include <sma/compose/parts.hpp>
#include <sma/module/module.hpp>

namespace sma {

namespace detail {

/// A chain makes its output again where its last part does, from an input that is kept. Two parts would cost too much.
template <class... Ms>
constexpr Recompute chain_recompute() {
  constexpr std::size_t last = sizeof...(Ms) - 1;
  constexpr Recompute how[] = {recompute_of<canonical<Ms>>()...};
  if constexpr (last == 0 || how[last] != Recompute::from_input)
    return how[last];
  else
    return how[last - 1] == Recompute::never ? Recompute::from_kept : Recompute::never;
}

/// The part of a chain that dots the chain's output: the last one, or the one before if the last one scales its elements;
/// or the number of parts.
template <class... Ms>
constexpr std::size_t dotting_part() {
  constexpr std::size_t size = sizeof...(Ms);
  constexpr bool dots[] = {dots_output<canonical<Ms>>()...};
  constexpr bool scales[] = {scales_elements<canonical<Ms>>()...};
  if (dots[size - 1]) return size - 1;
  return size > 1 && scales[size - 1] && dots[std::max<std::size_t>(size, 2) - 2] ? size - 2 : size;
}

}  // namespace detail

/// y = M_n(... M_2(M_1(x))). A flat pack of modules whose widths meet. PyTorch: nn.Sequential.
///
/// Its parameters are those of its parts under "0.", "1.", ... or their `Named` names.
/// What passes between two parts is kept for backward, unless the first makes it again and the second takes it from another place
/// then, or the second does not read it (`Recompute`, `rebase`, `forgets_input`).
template <class... Ms>
struct Chain {
  using module_type = Chain;
  static_assert(sizeof...(Ms) > 0, "sma::Chain<A, ...> requires at least one module");
  static constexpr bool valid = detail::check_chain<Ms...>();
  static constexpr std::size_t size = sizeof...(Ms);
  static constexpr Index input_width = detail::input_width_of<detail::first_of<Ms...>>();
  static constexpr Index output_width = detail::output_width_of<detail::last_of<Ms...>>();
  static constexpr bool rowwise = (is_rowwise<Ms>() && ...);
  static constexpr bool causal = (is_causal<Ms>() && ...);
  static constexpr bool streamable = (is_streamable<Ms>() && ...);
  static constexpr bool takes_tokens = sma::takes_tokens<detail::first_of<Ms...>>();
  template <class S>
  using Element = std::conditional_t<takes_tokens, Token, S>;
  static constexpr Index sequences_per_output = [] {
    Index n = 0;
    ((n = sma::sequences_per_output<Ms>() == 0 ? n : std::max<Index>(n, 1) * sma::sequences_per_output<Ms>()),
     ...);
    return n;
  }();
  static constexpr Recompute recompute = detail::chain_recompute<Ms...>();
  static constexpr bool dots_output = detail::dotting_part<Ms...>() < size;
  using Children = detail::indexed_children<Ms...>;
  template <std::size_t N>
  using part = child_module<Chain, N>;

  template <class S>
  struct Saved {
    std::tuple<saved_of<typename detail::ChainChild<0, Ms>::type::module, S>...> parts;
    std::array<Sequences, sizeof...(Ms) + 1> sequences;  // input of part N, then the output
    Rows<const Element<S>, input_width> x;  // read only where the first part makes its output again
    std::array<S*, sizeof...(Ms)> between;  // output of part N, where it is kept
  };
  template <class S>
  struct Stream {
    std::tuple<stream_of<typename detail::ChainChild<0, Ms>::type::module, S>...> parts;
  };

  /// Only where the row structure changes; the sequences are computed here and again, equal, inside forward.
  template <class C>
  static Sequences layout(C& ctx, const Sequences& s)
    requires(sequences_per_output > 0)
  {
    return layout_from<0>(ctx, s);
  }

  template <class C, class In, class S>
  static void forward(C& ctx, const Sequences& s, In x, Rows<S, output_width> y, Weights<Chain, S> w,
                      Saved<S>& saved) {
    forward_onto(ctx, s, x, Rows<const S, output_width>{}, y, w, saved);
  }

  template <class C, class In, class S>
  static void forward_onto(C& ctx, const Sequences& s, In x, Rows<const S, output_width> base,
                           Rows<S, output_width> y, Weights<Chain, S> w, Saved<S>& saved) {
    auto scope = ctx.scope();
    saved.sequences[0] = s;
    saved.x = x;
    if (ctx.training())
      forward_in_turns<false>(ctx, x, base, y, w, saved);
    else
      forward_in_turns<true>(ctx, x, base, y, w, saved);
  }

  template <class C, class DX, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, output_width> dy, DX dx, Weights<Chain, S> w,
                       Gradients<Chain, S> g, Saved<S>& saved) {
    backward_onto(ctx, s, dy, Rows<const Element<S>, input_width>{}, dx, w, g, saved);
  }

  template <class C, class DX, class S>
  static void backward_onto(C& ctx, const Sequences&, Rows<const S, output_width> dy,
                            Rows<const Element<S>, input_width> base, DX dx, Weights<Chain, S> w,
                            Gradients<Chain, S> g, Saved<S>& saved) {
    backward_all(ctx, dy, static_cast<S*>(nullptr), base, dx, w, g, saved);
  }

  template <class C, class DX, class S>
  static void backward_with_dots(C& ctx, const Sequences&, Rows<const S, output_width> dy, S* dots, DX dx,
                                 Weights<Chain, S> w, Gradients<Chain, S> g, Saved<S>& saved)
    requires(dots_output)
  {
    backward_all(ctx, dy, dots, Rows<const Element<S>, input_width>{}, dx, w, g, saved);
  }

  template <class S>
  static void rebase(Saved<S>& saved, Rows<const S, input_width> x)
    requires(rebases<canonical<detail::first_of<Ms...>>>())
  {
    saved.x = x;
    part<0>::rebase(std::get<0>(saved.parts), x);
  }

  template <class C, class In, class S>
  static void again(C& ctx, const Sequences&, In x, Rows<S, output_width> y, Weights<Chain, S> w,
                    Saved<S>& saved)
    requires(recompute != Recompute::never)
  {
    constexpr std::size_t last = size - 1;
    if constexpr (last == 0) {
      part_again<last>(ctx, x, y, w, saved);
    } else {
      constexpr Index width = part<last>::input_width;
      part_again<last>(ctx, Rows<S, width>{saved.between[last - 1], saved.sequences[last].rows}, y, w, saved);
    }
  }

  template <class C, class In, class S>
  static void step(C& ctx, const Sequences& s, In x, Rows<S, output_width> y, Weights<Chain, S> w,
                   Stream<S>& stream)
    requires(streamable)
  {
    step_from<0>(ctx, s, x, y, w, stream);
  }

 private:
  /// Part N's output is made again before part N + 1 needs it in backward, or not needed there; otherwise it is kept.
  template <std::size_t N>
  static constexpr bool forgotten = forgets_input<part<N + 1>>();
  template <std::size_t N>
  static constexpr bool made_again =
      !forgotten<N> && recompute_of<part<N>>() != Recompute::never && rebases<part<N + 1>>();
  /// Part N's output stays for backward.
  template <std::size_t N, bool Inference>
  static constexpr bool kept = !Inference && !forgotten<N> && !made_again<N>;
  /// The first of the parts up to N whose outputs are made again together.
  template <std::size_t N>
  static constexpr std::size_t run_begin() {
    if constexpr (N == 0)
      return 0;
    else if constexpr (made_again<N - 1>)
      return run_begin<N - 1>();
    else
      return N;
  }

  template <std::size_t N, class C>
  static Sequences layout_from(C& ctx, const Sequences& s) {
    if constexpr (N == size)
      return s;
    else
      return layout_from<N + 1>(ctx, output_sequences<part<N>>(ctx, s));
  }

  /// Numbers of the largest output between parts that is not kept, of the even parts or of the odd ones. Rows are those of s as long as no
  /// part has pooled them, then as many as sequences at most.
  template <std::size_t Odd, bool Inference>
  static Index largest_between(const Sequences& s) {
    Index largest = 1;
    [&]<std::size_t... N>(std::index_sequence<N...>) {
      [[maybe_unused]] Index rows = s.rows;
      (
          [&] {
            if (sma::sequences_per_output<part<N>>() != 0) rows = s.count;
            if (N % 2 == Odd && !kept<N, Inference>)
              largest = std::max(largest, rows * part<N>::output_width);
          }(),
          ...);
    }(std::make_index_sequence<size - 1>{});
    return largest;
  }

  /// Outputs that are not kept take turns in two places.
  template <bool Inference, class C, class In, class S>
  static void forward_in_turns(C& ctx, In x, Rows<const S, output_width> base, Rows<S, output_width> y,
                               Weights<Chain, S> w, Saved<S>& saved) {
    const Sequences& s = saved.sequences[0];
    S* ping = ctx.template scratch<S>(largest_between<0, Inference>(s));
    S* pong = ctx.template scratch<S>(largest_between<1, Inference>(s));
    forward_from<0, Inference>(ctx, x, base, y, w, saved, ping, pong);
  }

  template <std::size_t N, bool Inference, class C, class In, class S>
  static void forward_from(C& ctx, In x, Rows<const S, output_width> base, Rows<S, output_width> y,
                           Weights<Chain, S> w, Saved<S>& saved, S* ping, S* pong) {
    const Sequences s = saved.sequences[N];
    saved.sequences[N + 1] = output_sequences<part<N>>(ctx, s);
    if constexpr (N + 1 == size) {
      auto scope = scope_of<part<N>>(ctx);
      sma::forward_onto<part<N>>(ctx, s, x, base, y, child<N>(w), std::get<N>(saved.parts));
      if constexpr (sma::sequences_per_output<part<N>>() != 0)
        observe(ctx, child<N>(w), saved.sequences[N + 1], y);
    } else {
      constexpr Index width = part<N>::output_width;
      const Index rows = saved.sequences[N + 1].rows;
      const Rows<S, width> between =
          kept<N, Inference> ? ctx.template keep_rows<width>(rows) : Rows<S, width>{ping, rows};
      saved.between[N] = kept<N, Inference> ? between.data : nullptr;
      {
        auto scope = scope_of<part<N>>(ctx);
        part<N>::forward(ctx, s, x, between, child<N>(w), std::get<N>(saved.parts));
        observe(ctx, child<N>(w), saved.sequences[N + 1], between);
      }
      forward_from<N + 1, Inference>(ctx, Rows<const S, width>(between), base, y, w, saved, pong, ping);
    }
  }

  template <class C, class DX, class S>
  static void backward_all(C& ctx, Rows<const S, output_width> dy, S* dots,
                           Rows<const Element<S>, input_width> base, DX dx, Weights<Chain, S> w,
                           Gradients<Chain, S> g, Saved<S>& saved) {
    auto scope = ctx.scope();
    // Gradients between parts take turns: that of the last part's input in the first of these, those that dx is not made from in dx
    // if they fit.
    constexpr auto kBetween = std::make_index_sequence<size - 1>{};
    S* gradients[2];
    for (std::size_t turn = 0; turn < 2; ++turn) {
      const Index count =
          turn == size % 2 ? largest_gradient<0>(saved, kBetween) : largest_gradient<1>(saved, kBetween);
      S* room = nullptr;
      if constexpr (!takes_tokens)
        if (turn != size % 2 && base.data != dx.data && dx.stride == input_width &&
            dx.rows * input_width >= count)
          room = dx.data;
      gradients[turn] = room != nullptr ? room : ctx.template scratch<S>(count);
    }
    backward_from<size - 1>(ctx, dy, dots, base, dx, w, g, saved, gradients[0], gradients[1]);
  }

  /// Numbers of the largest gradient between parts N and N + 1, N even or odd.
  template <std::size_t Odd, class S, std::size_t... N>
  static Index largest_gradient(const Saved<S>& saved, std::index_sequence<N...>) {
    return std::max(
        {Index{1}, (N % 2 == Odd ? saved.sequences[N + 1].rows * part<N + 1>::input_width : Index{1})...});
  }

  template <std::size_t N, class C, class DX, class S>
  static void backward_from(C& ctx, Rows<const S, part<N>::output_width> dy, S* dots,
                            Rows<const Element<S>, input_width> base, DX dx, Weights<Chain, S> w,
                            Gradients<Chain, S> g, Saved<S>& saved, S* ping, S* pong) {
    if constexpr (!makes_input_alone<N>()) make_inputs<N>(ctx, w, saved);
    if constexpr (N == 0) {
      part_backward<N>(ctx, dy, dots, base, dx, w, g, saved);
    } else {
      constexpr Index width = part<N>::input_width;
      const Rows<S, width> between{ping, saved.sequences[N].rows};
      part_backward<N>(ctx, dy, dots, Rows<const S, width>{}, between, w, g, saved);
      backward_from<N - 1>(ctx, Rows<const S, width>(between), dots, base, dx, w, g, saved, pong, ping);
    }
  }

  template <std::size_t N, class C, class Base, class DX, class S>
  static void part_backward(C& ctx, Rows<const S, part<N>::output_width> dy, [[maybe_unused]] S* dots,
                            [[maybe_unused]] Base base, DX dx, Weights<Chain, S> w, Gradients<Chain, S> g,
                            Saved<S>& saved) {
    auto scope = scope_of<part<N>>(ctx);
    if constexpr (makes_input_alone<N>()) make_inputs<N>(ctx, w, saved);
    const Sequences& s = saved.sequences[N];
    auto& own = std::get<N>(saved.parts);
    if constexpr (N == detail::dotting_part<Ms...>())
      if (dots != nullptr)
        return part<N>::backward_with_dots(ctx, s, dy, dots, dx, child<N>(w), child<N>(g), own);
    if constexpr (N == 0 && !takes_tokens)
      sma::backward_onto<part<N>>(ctx, s, dy, base, dx, child<N>(w), child<N>(g), own);
    else
      part<N>::backward(ctx, s, dy, dx, child<N>(w), child<N>(g), own);
  }

  /// Part N's input is made again for it alone, so that it can live in memory for its call.
  template <std::size_t N>
  static constexpr bool makes_input_alone() {
    if constexpr (N == 0 || !made_again_behind<N>())
      return false;
    else
      return run_begin<N - 1>() == N - 1 && !made_again_behind<N + 1>();
  }
  /// The same as made_again<N - 1>, also where there is no part N.
  template <std::size_t N>
  static constexpr bool made_again_behind() {
    if constexpr (N == 0 || N >= size)
      return false;
    else
      return made_again<N - 1>;
  }

  /// Before part N's backward: makes its input again, and what was made from inputs on the way there, unless that has been done for
  /// a later part.
  template <std::size_t N, class C, class S>
  static void make_inputs(C& ctx, Weights<Chain, S> w, Saved<S>& saved) {
    if constexpr (made_again_behind<N>() && !made_again_behind<N + 1>()) {
      constexpr std::size_t first = run_begin<N - 1>();
      if constexpr (first == 0) {
        make_again<0, N>(ctx, saved.x, w, saved);
      } else {
        constexpr Index width = part<first>::input_width;
        make_again<first, N>(ctx, Rows<S, width>{saved.between[first - 1], saved.sequences[first].rows}, w,
                             saved);
      }
    }
  }
  /// Outputs of parts J .. End - 1, each where the next part's backward reads it.
  template <std::size_t J, std::size_t End, class C, class In, class S>
  static void make_again(C& ctx, In x, Weights<Chain, S> w, Saved<S>& saved) {
    const auto y = ctx.template scratch_rows<part<J>::output_width>(saved.sequences[J + 1].rows);
    part_again<J>(ctx, x, y, w, saved);
    part<J + 1>::rebase(std::get<J + 1>(saved.parts), Rows<const S, part<J>::output_width>(y));
    if constexpr (J + 1 < End) make_again<J + 1, End>(ctx, y, w, saved);
  }

  /// x is const where others read it too, or where the part does not use it up.
  template <std::size_t N, class C, class In, class S>
  static void part_again(C& ctx, In x, Rows<S, part<N>::output_width> y, Weights<Chain, S> w,
                         Saved<S>& saved) {
    using Constant = Rows<const input_element<part<N>, S>, part<N>::input_width>;
    auto scope = ctx.scope();
    auto& own = std::get<N>(saved.parts);
    if constexpr (requires { part<N>::again(ctx, saved.sequences[N], x, y, child<N>(w), own); })
      part<N>::again(ctx, saved.sequences[N], x, y, child<N>(w), own);
    else
      part<N>::again(ctx, saved.sequences[N], Constant(x), y, child<N>(w), own);
  }

  template <std::size_t N, class C, class In, class S>
  static void step_from(C& ctx, const Sequences& s, In x, Rows<S, output_width> y, Weights<Chain, S> w,
                        Stream<S>& stream) {
    if constexpr (N + 1 == size) {
      step_module(ctx, s, x, y, child<N>(w), std::get<N>(stream.parts));
    } else {
      const auto between = ctx.template scratch_rows<part<N>::output_width>(1);
      step_module(ctx, s, x, between, child<N>(w), std::get<N>(stream.parts));
      step_from<N + 1>(ctx, s, Rows<const S, part<N>::output_width>(between), y, w, stream);
    }
  }
};

}  // namespace sma
