#pragma once

#include <algorithm>
#include <sma/device/fill.hpp>
#include <sma/module/module.hpp>
#include <sma/ops/compress.hpp>
#include <sma/ops/rows.hpp>
#include <sma/routing/compress.hpp>
#include <sma/routing/configurator.hpp>

namespace sma {

/// A router's sub-module and its name in parameter paths.
template <FixedString Name, class M>
struct Branch {
  static constexpr auto name = Name;
  using module = M;
  using branch_type = Branch;
};

/// A branch that runs nothing: a step that chooses it alone gets exact zero.
struct Skip {
  static constexpr Reach reach = Reach::row;
};

/// The same, with its name.
using SkipBranch = Branch<"skip", Skip>;

namespace detail {

template <class M>
inline constexpr bool is_skip = std::is_same_v<M, Skip>;

template <class B>
struct IsBranch : std::false_type {};
// nvcc matches no partial specialisation for Branch<Name, M>, because of Name's deduced type.
template <class B>
  requires std::is_same_v<typename B::branch_type, B>
struct IsBranch<B> : std::true_type {};

template <std::size_t N, Index In, Index Out, class B>
constexpr bool check_branch_module() {
  if constexpr (!Module<typename B::module>) {
    static_assert(is_not_a_module<At<N, B>>,
                  "sma::Router<Configurator, Branch<Name, M>, ...> requires 'M' to be a Module: input_width, "
                  "output_width, forward, backward");
    return false;
  } else if constexpr (!is_valid<typename B::module>()) {
    return false;
  } else if constexpr (B::module::input_width != In) {
    static_assert(width_mismatch<At<N, B>, Expects<B::module::input_width>, Produces<In>>,
                  "sma::Router<Configurator, Branch<Name, M>, ...> requires each branch's input_width to "
                  "equal the configurator's");
    return false;
  } else if constexpr (B::module::output_width != Out) {
    static_assert(width_mismatch<At<N, B>, Produces<B::module::output_width>, Expects<Out>>,
                  "sma::Router<Configurator, Branch<Name, M>, ...> requires all branches to have the same "
                  "output_width");
    return false;
  } else if constexpr (sma::sequences_per_output<typename B::module>() != 0) {
    static_assert(changes_rows<At<N, B>>,
                  "sma::Router<Configurator, Branch<Name, M>, ...> requires branches that keep the rows of "
                  "their input");
    return false;
  } else {
    return true;
  }
}

template <std::size_t N, Index In, Index Out, class B>
constexpr bool check_branch() {
  if constexpr (!IsBranch<B>::value) {
    static_assert(is_not_a_branch<At<N, B>>,
                  "sma::Router<Configurator, Branch<Name, M>, ...> requires every argument after the first "
                  "to be a Branch");
    return false;
  } else if constexpr (is_skip<typename B::module>) {
    return true;
  } else {
    return check_branch_module<N, In, Out, B>();
  }
}

template <class Configurator>
concept IsConfigurator = requires {
  { Configurator::input_width } -> std::convertible_to<Index>;
  typename Configurator::template For<1>;
};

/// Stands where a configurator should: `check_router` has said so.
struct NoConfigurator {
  static constexpr Index input_width = 0;
  template <Index M>
  struct For {
    static constexpr bool configures = true;
  };
};
template <class Configurator>
struct ConfiguratorOr {
  using type = NoConfigurator;
};
template <IsConfigurator Configurator>
struct ConfiguratorOr<Configurator> {
  using type = Configurator;
};

template <class Configurator, Index Out, class... Branches>
constexpr bool check_router() {
  if constexpr (!IsConfigurator<Configurator>) {
    static_assert(is_not_a_configurator<Configurator>,
                  "sma::Router<Configurator, Branch<Name, M>, ...> requires its first argument to be a "
                  "configurator: input_width, For<branches>");
    return false;
  } else if constexpr (!is_valid<typename Configurator::template For<sizeof...(Branches)>>()) {
    return false;
  } else {
    return []<std::size_t... N>(std::index_sequence<N...>) {
      return (check_branch<N, Configurator::input_width, Out, Branches>() && ...);
    }(std::index_sequence_for<Branches...>{});
  }
}

/// Output width of the first branch that has one.
template <class... Ms>
constexpr Index first_output_width() {
  Index width = 0;
  ((width = width != 0 ? width : output_width_of<Ms>()), ...);
  return width;
}

template <class B>
struct BranchModule {
  using type = Skip;  // for what is not a Branch; check_branch has said so
  static constexpr FixedString name = "invalid";
};
template <class B>
  requires IsBranch<B>::value
struct BranchModule<B> {
  using type = typename B::module;
  static constexpr auto name = B::name;
};

}  // namespace detail

/// Sparse Modular Activation: y_t = sum_i a_t^i c_t^i f_i(compress(x))_t, over any branches f_i (the paper's section 3).
///
///     struct Mixture : sma::Router<sma::LatentConfigurator<64, sma::Independent, sma::Confidence>,
///                                  sma::Branch<"mlp", Mlp>, sma::Branch<"attention", Attention>> {};
///
/// For every step the configurator says which branches run and with which weight. Each branch receives only its active
/// rows, in order, with their original positions; its outputs go back to their rows; a skipped row gets exact zero.
/// A branch runs on no rows at all too, so that shards meet alike. Routers nest. A branch's rows are compressed again in backward where
/// it reads them.
/// x (rows, input_width), y (rows, output_width). Parameters: "configurator." and one prefix a branch.
template <class Configurator, class... Branches>
struct Router {
  using module_type = Router;
  static_assert(sizeof...(Branches) > 0,
                "sma::Router<Configurator, Branch<Name, M>, ...> requires at least one branch");
  static constexpr Index branches = sizeof...(Branches);
  using UsedConfigurator = typename detail::ConfiguratorOr<Configurator>::type;
  static constexpr Index input_width = UsedConfigurator::input_width;
  static constexpr Index output_width =
      detail::first_output_width<typename detail::BranchModule<Branches>::type...>();
  static constexpr bool valid = detail::check_router<Configurator, output_width, Branches...>();
  using BoundConfigurator = typename UsedConfigurator::template For<branches>;
  /// Branches look at what was active before, and not at one row, where they look further than the configurator.
  static constexpr Reach reach = std::max({Reach::past, reach_of<BoundConfigurator>(),
                                           reach_of<typename detail::BranchModule<Branches>::type>()...});
  using Children = sma::Children<
      Child<"configurator", BoundConfigurator>,
      Child<detail::BranchModule<Branches>::name, typename detail::BranchModule<Branches>::type>...>;
  template <std::size_t N>
  using branch = child_module<Router, N + 1>;

  /// Branches see the active rows, and each output is multiplied with its weight and added.
  static constexpr Load load_of_part(std::size_t n, const Load& at) {
    return n == 0 ? at : Load{at.length * at.active, at.active};
  }
  static constexpr double flops(const Load& at) {
    double total = flops_of<BoundConfigurator>(at);
    each_branch([&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
      total += at.active * (flops_of<branch<N>>(load_of_part(N + 1, at)) + 2.0 * output_width);
    });
    return total;
  }

  template <class S>
  struct Saved {
    saved_of<BoundConfigurator, S> configurator;
    Decisions<compute_of<S>, branches> made;
    std::array<Selection, sizeof...(Branches)> selected;
    std::array<Rows<S, output_width>, sizeof...(Branches)> outputs;  // each branch's, of its active rows
    std::tuple<saved_of<typename detail::BranchModule<Branches>::type, S>...> parts;
  };
  template <class S>
    requires(is_streamable<BoundConfigurator>() &&
             (is_streamable<typename detail::BranchModule<Branches>::type>() && ...))
  struct Stream {
    std::tuple<stream_of<typename detail::BranchModule<Branches>::type, S>...> parts;
  };

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, input_width> x, Target<S, output_width> y,
                      Weights<Router, S> w, Saved<S>& saved) {
    saved.made = BoundConfigurator::forward(ctx, s, x, child<"configurator">(w), saved.configurator);
    std::array<Counting, sizeof...(Branches)> counted;
    each_branch([&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
      counted[N] = count_active(ctx, s, saved.made.active + N, branches);
    });
    const auto counts = ctx.record();
    // What needs no count runs while the counts come.
    observe(ctx, child<"configurator">(w), s, Rows<compute_of<S>, branches>{saved.made.weight, s.rows});
    const bool sets = !y.base && first_branch < branches;  // the first branch writes every row
    if (y.base && !y.in_place()) ctx.launch(ops::CopyRows<S, output_width>{y.base, y.rows});
    if (!y.base && !sets) ctx.launch(ops::FillRows<S, output_width>{S(0), y.rows});
    ctx.wait(counts);
    each_branch([&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
      auto scope = ctx.scope();
      const Selection selected = list_active(ctx, s, counted[N]);
      const Index rows = selected.sequences.rows;
      const auto in = ctx.template scratch_rows<input_width>(rows);
      const auto out = ctx.template keep_rows<output_width>(rows);
      saved.selected[N] = selected;
      saved.outputs[N] = out;
      compress(ctx, selected, x, in);
      {
        auto inner = ctx.scope();
        sma::forward<branch<N>>(ctx, selected.sequences, in, out, child<N + 1>(w), std::get<N>(saved.parts));
      }
      const compute_of<S>* weight = saved.made.weight + N;
      if (N == first_branch && sets)
        ctx.launch(ops::ExtractRows<S, output_width>{out, selected.rows, weight, branches, y.rows});
      else
        ctx.launch(ops::ScatterRows<S, output_width>{out, selected.rows, weight, branches, y.rows});
    });
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, input_width> x,
                       Rows<const S, output_width> dy, Target<S, input_width> dx, Weights<Router, S> w,
                       Gradients<Router, S> g, Saved<S>& saved) {
    auto outer = ctx.scope();
    using A = compute_of<S>;
    A* dweight = ctx.template scratch<A>(s.rows * branches);
    ctx.launch(ops::Fill<A>{dweight, s.rows * branches, A(0)});
    std::array<Rows<S, input_width>, sizeof...(Branches)> gradients{};
    each_branch([&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
      const Selection& selected = saved.selected[N];
      const Index rows = selected.sequences.rows;
      if (dx) gradients[N] = ctx.template scratch_rows<input_width>(rows);
      auto scope = ctx.scope();
      const Rows<S, output_width> dout = saved.outputs[N];  // which gives way to its gradient
      ctx.launch(ops::ScatterRowsBackward<S, output_width>{
          dy, saved.outputs[N], selected.rows, saved.made.weight + N, dweight + N, branches, dout});
      Rows<S, input_width> in;
      if constexpr (reads_input<branch<N>, C>) {
        in = ctx.template scratch_rows<input_width>(rows);
        compress(ctx, selected, x, in);
      }
      sma::backward<branch<N>>(ctx, selected.sequences, in, dout, gradients[N], child<N + 1>(w),
                               child<N + 1>(g), std::get<N>(saved.parts));
    });
    sma::backward<BoundConfigurator>(ctx, s, x, dweight, dx, child<"configurator">(w),
                                     child<"configurator">(g), saved.configurator);
    if (!dx) return;
    each_branch([&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
      extract_add(ctx, saved.selected[N], Rows<const S, input_width>(gradients[N]), dx.rows);
    });
  }

  template <class C, class S>
  static void step(C& ctx, const Sequences& s, Rows<const S, input_width> x, Rows<S, output_width> y,
                   Weights<Router, S> w, Stream<S>& stream) {
    saved_of<BoundConfigurator, S> saved{};
    const Decisions<compute_of<S>, branches> made =
        BoundConfigurator::forward(ctx, s, x, child<"configurator">(w), saved);
    observe(ctx, child<"configurator">(w), s, Rows<compute_of<S>, branches>{made.weight, 1});
    ctx.launch(ops::Fill<S>{y.data, output_width, S(0)});
    StepRow<S, output_width> out(ctx);
    each_branch([&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
      if (made.active[N] == 0) return;
      sma::step<branch<N>>(ctx, s, x, out.row(), child<N + 1>(w), std::get<N>(stream.parts));
      ctx.launch(ops::AddWeighted<S, output_width>{made.weight[N], out.row(), y});
    });
  }
  template <class C, class S>
  static void steps(C& ctx, const Sequences& s, Rows<const S, input_width> x, Rows<S, output_width> y,
                    Weights<Router, S> w, Stream<S>& stream) {
    saved_of<BoundConfigurator, S> saved{};
    const Decisions<compute_of<S>, branches> made =
        BoundConfigurator::forward(ctx, s, x, child<"configurator">(w), saved);
    observe(ctx, child<"configurator">(w), s, Rows<compute_of<S>, branches>{made.weight, s.rows});
    ctx.launch(ops::FillRows<S, output_width>{S(0), y});
    each_branch([&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
      auto scope = ctx.scope();
      const Selection selected = select_active(ctx, s, made.active + N, branches);
      const Index rows = selected.sequences.rows;
      if (rows == 0) return;
      const auto in = ctx.template scratch_rows<input_width>(rows);
      const auto out = ctx.template scratch_rows<output_width>(rows);
      compress(ctx, selected, x, in);
      sma::steps<branch<N>>(ctx, selected.sequences, in, out, child<N + 1>(w), std::get<N>(stream.parts));
      ctx.launch(ops::ScatterRows<S, output_width>{out, selected.rows, made.weight + N, branches, y});
    });
  }

 private:
  /// The first branch that runs something, or `branches`.
  static constexpr Index first_branch = [] {
    constexpr bool skips[] = {detail::is_skip<typename detail::BranchModule<Branches>::type>...};
    Index first = 0;
    while (first < branches && skips[first]) ++first;
    return first;
  }();

  /// Calls f for the branches that run something.
  template <class F>
  static constexpr void each_branch(F&& f) {
    [&]<std::size_t... N>(std::index_sequence<N...>) {
      (
          (void)[&] {
            if constexpr (!detail::is_skip<branch<N>>) f(std::integral_constant<std::size_t, N>{});
          }(),
          ...);
    }(std::index_sequence_for<Branches...>{});
  }
};

}  // namespace sma
