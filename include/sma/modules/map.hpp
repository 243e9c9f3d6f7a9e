#pragma once

#include <sma/base/dual.hpp>
#include <sma/module/module.hpp>
#include <sma/modules/activation.hpp>
#include <sma/ops/learned_map.hpp>
#include <sma/ops/sums.hpp>
#include <utility>

namespace sma {

/// A learned number a channel of a `Map`, by name, with its initial value.
template <FixedString Name, class Init = init::Zeros>
struct Number {
  static constexpr auto name = Name;
  using initial = Init;
};
template <class... Each>
struct Numbers {
  static constexpr std::size_t size = sizeof...(Each);
  template <Index Width>
  using Parameters = sma::Parameters<Param<Each::name, Shape<Width>, typename Each::initial>...>;
};

namespace detail {

/// f with the derivative that follows from it, as functions.hpp has them.
template <class F>
struct Derived {
  static constexpr bool vectorizes = [] {
    if constexpr (requires { F::vectorizes; })
      return F::vectorizes;
    else
      return false;
  }();
  template <class V>
  SMA_HD static V value(const V& x) {
    return F::value(x);
  }
  template <class V>
  SMA_HD static V derivative(const V& x) {
    return F::value(Dual<V>(x, Dual<V>::constant(1))).slope;
  }
};

/// The same with learned numbers.
template <Index Width, class F>
struct LearnedMap {
  static constexpr Index input_width = Width;
  static constexpr Index output_width = Width;
  static constexpr Reach reach = Reach::row;
  static constexpr std::size_t count = F::Learned::size;
  using Parameters = typename F::Learned::template Parameters<Width>;

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, Width> x, Rows<S, Width> y,
                      Weights<LearnedMap, S> w, NoState& saved) {
    apply(ctx, s, x, y, w, saved);
  }
  template <class C, class S>
  static void apply(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<S, Width> y,
                    Weights<LearnedMap, S> w, NoState&) {
    ctx.launch(ops::LearnedMap<S, Width, F, count>{x, y, w.data});
  }
  template <class C, class S>
  static void backward(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<const S, Width> dy,
                       Rows<S, Width> dx, Weights<LearnedMap, S> w, Gradients<LearnedMap, S> g, NoState&) {
    [&]<std::size_t... K>(std::index_sequence<K...>) {
      (ops::column_sum<Width>(ctx, dy.rows, ops::LearnedTerm<S, Width, F, count, K>{x, dy, w.data},
                              g.data + static_cast<Index>(K) * Width),
       ...);
    }(std::make_index_sequence<count>{});
    if (dx) ctx.launch(ops::LearnedMapBackward<S, Width, F, count>{x, dy, dx, w.data});
  }
};

template <Index Width, class F>
struct MapOf {
  using type = Activation<Width, Derived<F>>;
};
template <Index Width, class F>
  requires requires { typename F::Learned; }
struct MapOf<Width, F> {
  using type = LearnedMap<Width, F>;
};

}  // namespace detail

/// y = f(x), element by element: the user writes the value, the derivative follows at compile time.
///
///     struct Mish {
///       template <class T> SMA_HD static T value(const T& x) {
///         using std::exp, std::log, std::tanh;
///         return x * tanh(log(1 + exp(x)));
///       }
///     };
///     using Module = sma::Map<64, Mish>;
///
/// With learned numbers, one of each a channel:
///
///     struct Snake {                                                  // x + sin(a x)^2 / a
///       using Learned = sma::Numbers<sma::Number<"a", sma::init::Ones>>;
///       template <class T> SMA_HD static T value(const T& x, const T& a);
///     };
///
/// `value` takes any number type: a scalar, a `Dual` of one and, where F says `static constexpr bool vectorizes = true`, four SIMD registers,
/// which have + - * /, exp and sqrt, and do not branch. x, y (rows, Width). Parameters: those of `Learned`, (Width) each.
template <Index Width, class F>
using Map = typename detail::MapOf<Width, F>::type;

}  // namespace sma
