#pragma once

#include <algorithm>
#include <array>
#include <sma/compose/chain_checks.hpp>
#include <sma/compose/parts.hpp>
#include <sma/compose/plan.hpp>
#include <sma/module/module.hpp>

namespace sma {

/// y = M_n(... M_2(M_1(x))). A flat pack of modules whose widths meet. PyTorch: nn.Sequential.
///
/// Its parameters are those of its parts under "0.", "1.", ... or their `Named` names.
/// What passes between two parts is kept for backward, made once more or forgotten, as `plan_of` says.
template <class... Ms>
struct Chain {
  using module_type = Chain;
  static_assert(sizeof...(Ms) > 0, "sma::Chain<A, ...> requires at least one module");
  static constexpr bool valid = detail::check_chain<Ms...>();
  static constexpr std::size_t size = sizeof...(Ms);
  static constexpr Index input_width = detail::input_width_of<detail::first_of<Ms...>>();
  static constexpr Index output_width = detail::output_width_of<detail::last_of<Ms...>>();
  static constexpr Reach reach = detail::farthest_reach<Ms...>();
  static constexpr bool takes_tokens = sma::takes_tokens<detail::first_of<Ms...>>();
  template <class S>
  using Element = std::conditional_t<takes_tokens, Token, S>;
  static constexpr Index sequences_per_output = [] {
    Index n = 0;
    ((n = sma::sequences_per_output<Ms>() == 0 ? n : std::max<Index>(n, 1) * sma::sequences_per_output<Ms>()),
     ...);
    return n;
  }();
  using Children = detail::indexed_children<Ms...>;
  template <std::size_t N>
  using part = child_module<Chain, N>;
  template <class C>
  static constexpr Plan<size> plan = plan_of<C, detail::part_module<Ms>...>;

  /// Behind a pool sequences are one row.
  static constexpr Load load_of_part(std::size_t n, const Load& at) {
    constexpr bool pools[] = {sma::sequences_per_output<Ms>() != 0 ...};
    return std::find(pools, pools + n, true) == pools + n ? at : Load{1, at.active};
  }
  static constexpr double flops(const Load& at) {
    constexpr Index merges[] = {sma::sequences_per_output<Ms>()...};
    double total = 0;
    double rows = 1;  // of a part's input, for one of the chain's
    [&]<std::size_t... N>(std::index_sequence<N...>) {
      (
          [&] {
            const Load own = load_of_part(N, at);
            total += rows * flops_of<part<N>>(own);
            if (merges[N] != 0) rows /= own.length * static_cast<double>(merges[N]);
          }(),
          ...);
    }(std::make_index_sequence<size>{});
    return total;
  }

  template <class S>
  struct Saved {
    std::tuple<saved_of<detail::part_module<Ms>, S>...> parts;
    std::array<Sequences, size + 1> sequences;  // input of part N, then the output
    std::array<const S*, size> between;         // output of part N, where it is kept
  };
  template <class S>
    requires(is_streamable<Ms>() && ...)
  struct Stream {
    std::tuple<stream_of<detail::part_module<Ms>, S>...> parts;
  };

  /// Only where the row structure changes; the sequences are computed here and again, equal, inside forward.
  template <class C>
  static Sequences layout(C& ctx, const Sequences& s)
    requires(sequences_per_output > 0)
  {
    return layout_from<0>(ctx, s);
  }

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const Element<S>, input_width> x,
                      Target<S, output_width> y, Weights<Chain, S> w, Saved<S>& saved) {
    auto scope = ctx.scope();
    saved.sequences[0] = s;
    // Outputs that are not kept take turns in two places.
    S* ping = ctx.template scratch<S>(largest_between<0>(ctx, s));
    S* pong = ctx.template scratch<S>(largest_between<1>(ctx, s));
    forward_from<0>(ctx, x, y, w, saved, ping, pong);
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences&, Rows<const Element<S>, input_width> x,
                       Rows<const S, output_width> dy, Target<Element<S>, input_width> dx,
                       Weights<Chain, S> w, Gradients<Chain, S> g, Saved<S>& saved)
    requires(plan<C>.reads_input())
  {
    backward_all(ctx, x, dy, dx, w, g, saved);
  }
  template <class C, class S>
  static void backward(C& ctx, const Sequences&, Rows<const S, output_width> dy,
                       Target<Element<S>, input_width> dx, Weights<Chain, S> w, Gradients<Chain, S> g,
                       Saved<S>& saved)
    requires(!plan<C>.reads_input())
  {
    backward_all(ctx, {}, dy, dx, w, g, saved);
  }

  template <class C, class S>
  static void apply(C& ctx, const Sequences& s, Rows<const Element<S>, input_width> x,
                    Rows<S, output_width> y, Weights<Chain, S> w, Saved<S>& saved)
    requires(plan<C>.applies() && plan<C>.apply_reads_input())
  {
    sma::apply<part<0>>(ctx, s, x, y, child<0>(w), std::get<0>(saved.parts));
  }
  template <class C, class S>
  static void apply(C& ctx, const Sequences&, Rows<S, output_width> y, Weights<Chain, S> w, Saved<S>& saved)
    requires(plan<C>.applies() && !plan<C>.apply_reads_input())
  {
    constexpr std::size_t last = size - 1;
    sma::apply<part<last>>(ctx, saved.sequences[last], input_of<last>({}, saved.between, saved), y,
                           child<last>(w), std::get<last>(saved.parts));
  }

  template <class C, class S>
  static void step(C& ctx, const Sequences& s, Rows<const Element<S>, input_width> x, Rows<S, output_width> y,
                   Weights<Chain, S> w, Stream<S>& stream) {
    step_from<0>(ctx, s, x, y, w, stream);
  }
  template <class C, class S>
  static void steps(C& ctx, const Sequences& s, Rows<const Element<S>, input_width> x,
                    Rows<S, output_width> y, Weights<Chain, S> w, Stream<S>& stream) {
    steps_from<0>(ctx, s, x, y, w, stream);
  }

 private:
  template <std::size_t N, class S>
  using Input = Rows<const input_element<part<N>, S>, part<N>::input_width>;

  /// Part N's output stays for backward.
  template <std::size_t N, class C>
  static bool keeps(const C& ctx) {
    return plan<C>.fates[N] == Fate::kept && ctx.training();
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
  template <std::size_t Odd, class C>
  static Index largest_between(const C& ctx, const Sequences& s) {
    Index largest = 1;
    [&]<std::size_t... N>(std::index_sequence<N...>) {
      [[maybe_unused]] Index rows = s.rows;
      (
          [&] {
            if (sma::sequences_per_output<part<N>>() != 0) rows = s.count;
            if (N % 2 == Odd && !keeps<N>(ctx)) largest = std::max(largest, rows * part<N>::output_width);
          }(),
          ...);
    }(std::make_index_sequence<size - 1>{});
    return largest;
  }

  template <std::size_t N, class C, class S>
  static void forward_from(C& ctx, Input<N, S> x, Target<S, output_width> y, Weights<Chain, S> w,
                           Saved<S>& saved, S* ping, S* pong) {
    const Sequences s = saved.sequences[N];
    saved.sequences[N + 1] = output_sequences<part<N>>(ctx, s);
    const Sequences& out = saved.sequences[N + 1];
    if constexpr (N + 1 == size) {
      auto scope = scope_of<part<N>>(ctx);
      part_forward<N>(ctx, s, out, x, y, w, saved);
    } else {
      constexpr Index width = part<N>::output_width;
      const bool stays = keeps<N>(ctx);
      const Rows<S, width> between =
          stays ? ctx.template keep_rows<width>(out.rows) : Rows<S, width>{ping, out.rows};
      saved.between[N] = stays ? between.data : nullptr;
      {
        auto scope = scope_of<part<N>>(ctx);
        part_forward<N>(ctx, s, out, x, Target<S, width>(between), w, saved);
      }
      forward_from<N + 1>(ctx, between, y, w, saved, pong, ping);
    }
  }
  template <std::size_t N, class C, class S>
  static void part_forward(C& ctx, const Sequences& s, const Sequences& out, Input<N, S> x,
                           Target<S, part<N>::output_width> y, Weights<Chain, S> w, Saved<S>& saved) {
    sma::forward<part<N>>(ctx, s, x, y, child<N>(w), std::get<N>(saved.parts));
    if constexpr (sma::sequences_per_output<part<N>>() != 0) observe(ctx, child<N>(w), out, y.rows);
  }

  template <class C, class S>
  static void backward_all(C& ctx, Rows<const Element<S>, input_width> x, Rows<const S, output_width> dy,
                           Target<Element<S>, input_width> dx, Weights<Chain, S> w, Gradients<Chain, S> g,
                           Saved<S>& saved) {
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
        if (turn != size % 2 && !dx.in_place() && dx.rows.stride == input_width &&
            dx.rows.rows * input_width >= count)
          room = dx.rows.data;
      gradients[turn] = room != nullptr ? room : ctx.template scratch<S>(count);
    }
    // Where outputs lie: those that are made once more follow.
    std::array<const S*, size> between = saved.between;
    backward_from<size - 1>(ctx, x, dy, dx, w, g, saved, between, gradients[0], gradients[1]);
  }

  /// Numbers of the largest gradient between parts N and N + 1, N even or odd.
  template <std::size_t Odd, class S, std::size_t... N>
  static Index largest_gradient(const Saved<S>& saved, std::index_sequence<N...>) {
    return std::max(
        {Index{1}, (N % 2 == Odd ? saved.sequences[N + 1].rows * part<N + 1>::input_width : Index{1})...});
  }

  /// The caller's for the last part, and this chain's own before.
  template <std::size_t N, class S>
  using OutputGradient = Rows<std::conditional_t<N + 1 == size, const S, S>, part<N>::output_width>;

  template <std::size_t N, class C, class S>
  static void backward_from(C& ctx, Rows<const Element<S>, input_width> x, OutputGradient<N, S> dy,
                            Target<Element<S>, input_width> dx, Weights<Chain, S> w, Gradients<Chain, S> g,
                            Saved<S>& saved, std::array<const S*, size>& between, S* ping, S* pong) {
    if constexpr (plan<C>.makes_input(N) && !plan<C>.makes_input_alone(N))
      make_outputs<plan<C>.first_made_with(N - 1), N>(ctx, x, w, saved, between);
    if constexpr (N == 0) {
      part_backward<N>(ctx, x, dy, dx, w, g, saved, between);
    } else {
      constexpr Index width = part<N>::input_width;
      const Rows<S, width> gradient{ping, saved.sequences[N].rows};
      part_backward<N>(ctx, x, dy, gradient, w, g, saved, between);
      backward_from<N - 1>(ctx, x, gradient, dx, w, g, saved, between, pong, ping);
    }
  }

  template <std::size_t N, class C, class S>
  static void part_backward(C& ctx, Rows<const Element<S>, input_width> x, OutputGradient<N, S> dy,
                            Target<input_element<part<N>, S>, part<N>::input_width> dx, Weights<Chain, S> w,
                            Gradients<Chain, S> g, Saved<S>& saved, std::array<const S*, size>& between) {
    auto scope = scope_of<part<N>>(ctx);
    if constexpr (plan<C>.makes_input_alone(N)) make_outputs<N - 1, N>(ctx, x, w, saved, between);
    const auto in = input_of<N>(x, between, saved);
    if constexpr (N + 1 == size)
      sma::backward<part<N>>(ctx, saved.sequences[N], in, dy, dx, child<N>(w), child<N>(g),
                             std::get<N>(saved.parts));
    else
      sma::backward_using_up<part<N>>(ctx, saved.sequences[N], in, dy, dx, child<N>(w), child<N>(g),
                                      std::get<N>(saved.parts));
  }

  /// Makes the outputs of parts J .. End - 1 once more.
  template <std::size_t J, std::size_t End, class C, class S>
  static void make_outputs(C& ctx, Rows<const Element<S>, input_width> x, Weights<Chain, S> w,
                           Saved<S>& saved, std::array<const S*, size>& between) {
    const auto y = ctx.template scratch_rows<part<J>::output_width>(saved.sequences[J + 1].rows);
    {
      auto scope = ctx.scope();
      sma::apply<part<J>>(ctx, saved.sequences[J], input_of<J>(x, between, saved), y, child<J>(w),
                          std::get<J>(saved.parts));
    }
    between[J] = y.data;
    if constexpr (J + 1 < End) make_outputs<J + 1, End>(ctx, x, w, saved, between);
  }

  /// Part N's input, where there is one.
  template <std::size_t N, class S>
  static Input<N, S> input_of([[maybe_unused]] Rows<const Element<S>, input_width> x,
                              [[maybe_unused]] const std::array<const S*, size>& between,
                              const Saved<S>& saved) {
    if constexpr (N == 0)
      return x;
    else
      return {between[N - 1], saved.sequences[N].rows};
  }

  template <std::size_t N, class C, class S>
  static void step_from(C& ctx, const Sequences& s, Input<N, S> x, Rows<S, output_width> y,
                        Weights<Chain, S> w, Stream<S>& stream) {
    if constexpr (N + 1 == size) {
      sma::step<part<N>>(ctx, s, x, y, child<N>(w), std::get<N>(stream.parts));
    } else {
      StepRow<S, part<N>::output_width> between(ctx);
      sma::step<part<N>>(ctx, s, x, between.row(), child<N>(w), std::get<N>(stream.parts));
      step_from<N + 1>(ctx, s, between.row(), y, w, stream);
    }
  }
  template <std::size_t N, class C, class S>
  static void steps_from(C& ctx, const Sequences& s, Input<N, S> x, Rows<S, output_width> y,
                         Weights<Chain, S> w, Stream<S>& stream) {
    if constexpr (N + 1 == size) {
      sma::steps<part<N>>(ctx, s, x, y, child<N>(w), std::get<N>(stream.parts));
    } else {
      const auto between = ctx.template scratch_rows<part<N>::output_width>(s.rows);
      sma::steps<part<N>>(ctx, s, x, between, child<N>(w), std::get<N>(stream.parts));
      steps_from<N + 1>(ctx, s, between, y, w, stream);
    }
  }
};

}  // namespace sma
