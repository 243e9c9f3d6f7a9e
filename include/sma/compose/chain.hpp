#pragma once

#include <algorithm>
#include <array>
#include <sma/core/module.hpp>
#include <sma/kernels/elementwise.hpp>

namespace sma {

namespace detail {

template <std::size_t I, class M>
constexpr bool check_part() {
  if constexpr (Module<M>) {
    return true;
  } else {
    static_assert(is_not_a_module<At<I, M>>,
                  "sma::Chain<A, B, ...> requires every part to be a Module: input_width, output_width, "
                  "forward, backward");
    return false;
  }
}

template <std::size_t I, class Before, class After>
constexpr bool check_pair() {
  if constexpr (!is_valid<Before>() || !is_valid<After>() || Before::output_width == After::input_width) {
    return true;
  } else {
    static_assert(width_mismatch<At<I, Before>, Produces<Before::output_width>, At<I + 1, After>,
                                 Expects<After::input_width>>,
                  "sma::Chain<A, B, ...> requires each module's input_width to equal the output_width of the "
                  "module before it");
    return false;
  }
}

template <class... Ms>
constexpr bool check_chain() {
  return []<std::size_t... I>(std::index_sequence<I...>) {
    using Tuple = std::tuple<Ms...>;
    if constexpr ((check_part<I, std::tuple_element_t<I, Tuple>>() && ...)) {
      return []<std::size_t... J>(std::index_sequence<J...>) {
        return (check_pair<J, std::tuple_element_t<J, Tuple>, std::tuple_element_t<J + 1, Tuple>>() && ...);
      }(std::make_index_sequence<sizeof...(Ms) - 1>{});
    } else {
      return false;
    }
  }(std::index_sequence_for<Ms...>{});
}

/// Names of children by their place: "0", "1", ... up to three digits.
template <std::size_t I>
consteval auto index_name() {
  if constexpr (I < 10) {
    const char text[2] = {static_cast<char>('0' + I), 0};
    return FixedString<2>(text);
  } else if constexpr (I < 100) {
    const char text[3] = {static_cast<char>('0' + I / 10), static_cast<char>('0' + I % 10), 0};
    return FixedString<3>(text);
  } else {
    const char text[4] = {static_cast<char>('0' + I / 100), static_cast<char>('0' + I / 10 % 10),
                          static_cast<char>('0' + I % 10), 0};
    return FixedString<4>(text);
  }
}

}  // namespace detail

/// Gives a part of a Chain or Sum a name of its own in parameter paths: `Named<"classifier", Linear<80, 10>>`.
template <FixedString Name, class M>
struct Named : M {
  static constexpr auto child_name = Name;
  using Unnamed = M;
  using named_type = Named;
};

namespace detail {

template <std::size_t I, class M>
struct ChainChild {
  using type = Child<index_name<I>(), M>;
};
// nvcc matches no partial specialisation for Named<Name, M>, because of Name's deduced type.
template <std::size_t I, class M>
  requires std::is_same_v<typename M::named_type, M>
struct ChainChild<I, M> {
  using type = Child<M::child_name, typename M::Unnamed>;
};

template <class Sequence, class... Ms>
struct IndexedChildren;
template <std::size_t... I, class... Ms>
struct IndexedChildren<std::index_sequence<I...>, Ms...> {
  using type = Children<typename ChainChild<I, Ms>::type...>;
};
template <class... Ms>
using indexed_children = typename IndexedChildren<std::index_sequence_for<Ms...>, Ms...>::type;

template <class... Ms>
using first_of = std::tuple_element_t<0, std::tuple<Ms...>>;
template <class... Ms>
using last_of = std::tuple_element_t<sizeof...(Ms) - 1, std::tuple<Ms...>>;

}  // namespace detail

/// y = M_n(... M_2(M_1(x))). A flat pack of modules whose widths meet. PyTorch: nn.Sequential.
///
/// Its parameters are those of its parts under "0.", "1.", ... or their `Named` names.
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
  static constexpr Index sequences_per_output = [] {
    Index n = 0;
    ((n = sma::sequences_per_output<Ms>() == 0 ? n : std::max<Index>(n, 1) * sma::sequences_per_output<Ms>()),
     ...);
    return n;
  }();
  using Children = detail::indexed_children<Ms...>;
  template <std::size_t I>
  using part = child_module<Chain, I>;

  template <class S>
  struct Saved {
    std::tuple<saved_of<typename detail::ChainChild<0, Ms>::type::module, S>...> parts;
    std::array<Sequences, sizeof...(Ms) + 1> sequences;  // input of part I, then the output
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
    if (ctx.training()) {
      saved.sequences[0] = s;
      forward_from<0, false>(ctx, x, y, w, saved, static_cast<S*>(nullptr), static_cast<S*>(nullptr));
    } else {
      auto scope = ctx.scope();
      saved.sequences[0] = s;
      const Index most = std::max(s.rows, s.count) * widest;
      S* ping = ctx.template scratch<S>(size > 1 ? most : 1);
      S* pong = ctx.template scratch<S>(size > 2 ? most : 1);
      forward_from<0, true>(ctx, x, y, w, saved, ping, pong);
    }
  }

  template <class C, class DX, class S>
  static void backward(C& ctx, const Sequences&, Rows<const S, output_width> dy, DX dx, Weights<Chain, S> w,
                       Gradients<Chain, S> g, Saved<S>& saved) {
    auto scope = ctx.scope();
    const Index most = largest_gradient(saved, std::make_index_sequence<size - 1>{});
    S* ping = ctx.template scratch<S>(size > 1 ? most : 1);
    S* pong = ctx.template scratch<S>(size > 2 ? most : 1);
    backward_from<size - 1>(ctx, dy, dx, w, g, saved, ping, pong);
  }

  template <class C, class In, class S>
  static void step(C& ctx, const Sequences& s, In x, Rows<S, output_width> y, Weights<Chain, S> w,
                   Stream<S>& stream)
    requires(streamable)
  {
    step_from<0>(ctx, s, x, y, w, stream);
  }

 private:
  static constexpr Index widest =
      std::max({detail::output_width_of<Ms>()..., detail::input_width_of<Ms>()...});

  /// Memory for the call of a part. One that meets no other shard takes it from what shards use in turn.
  template <std::size_t I, class C>
  static auto scope_of(C& ctx) {
    if constexpr (couples_batch<part<I>>())
      return ctx.scope();
    else
      return ctx.scope_alone();
  }

  template <std::size_t I, class C>
  static Sequences layout_from(C& ctx, const Sequences& s) {
    if constexpr (I == size)
      return s;
    else
      return layout_from<I + 1>(ctx, output_sequences<part<I>>(ctx, s));
  }

  template <std::size_t I, bool Inference, class C, class In, class S>
  static void forward_from(C& ctx, In x, Rows<S, output_width> y, Weights<Chain, S> w, Saved<S>& saved,
                           S* ping, S* pong) {
    const Sequences s = saved.sequences[I];
    saved.sequences[I + 1] = output_sequences<part<I>>(ctx, s);
    if constexpr (I + 1 == size) {
      auto scope = scope_of<I>(ctx);
      part<I>::forward(ctx, s, x, y, child<I>(w), std::get<I>(saved.parts));
    } else {
      constexpr Index width = part<I>::output_width;
      const Index rows = saved.sequences[I + 1].rows;
      const Rows<S, width> between =
          Inference ? Rows<S, width>{ping, rows} : ctx.template keep_rows<width>(rows);
      {
        auto scope = scope_of<I>(ctx);
        part<I>::forward(ctx, s, x, between, child<I>(w), std::get<I>(saved.parts));
      }
      forward_from<I + 1, Inference>(ctx, Rows<const S, width>(between), y, w, saved, pong, ping);
    }
  }

  /// Numbers of the largest gradient between two parts.
  template <class S, std::size_t... I>
  static Index largest_gradient(const Saved<S>& saved, std::index_sequence<I...>) {
    return std::max({Index{1}, saved.sequences[I + 1].rows * part<I + 1>::input_width...});
  }

  template <std::size_t I, class C, class DX, class S>
  static void backward_from(C& ctx, Rows<const S, part<I>::output_width> dy, DX dx, Weights<Chain, S> w,
                            Gradients<Chain, S> g, Saved<S>& saved, S* ping, S* pong) {
    const Sequences& s = saved.sequences[I];
    if constexpr (I == 0) {
      auto scope = scope_of<I>(ctx);
      part<I>::backward(ctx, s, dy, dx, child<I>(w), child<I>(g), std::get<I>(saved.parts));
    } else {
      constexpr Index width = part<I>::input_width;
      const Rows<S, width> between{ping, s.rows};
      {
        auto scope = scope_of<I>(ctx);
        part<I>::backward(ctx, s, dy, between, child<I>(w), child<I>(g), std::get<I>(saved.parts));
      }
      backward_from<I - 1>(ctx, Rows<const S, width>(between), dx, w, g, saved, pong, ping);
    }
  }

  template <std::size_t I, class C, class In, class S>
  static void step_from(C& ctx, const Sequences& s, In x, Rows<S, output_width> y, Weights<Chain, S> w,
                        Stream<S>& stream) {
    if constexpr (I + 1 == size) {
      step_module(ctx, s, x, y, child<I>(w), std::get<I>(stream.parts));
    } else {
      const auto between = ctx.template scratch_rows<part<I>::output_width>(1);
      step_module(ctx, s, x, between, child<I>(w), std::get<I>(stream.parts));
      step_from<I + 1>(ctx, s, Rows<const S, part<I>::output_width>(between), y, w, stream);
    }
  }
};

}  // namespace sma
