#pragma once

#include <seqboat/seqboat.hpp>
#include <sma/sma.hpp>

namespace bench {

/// Attention alone, as a module: x (rows, q | k | v), y (rows, V).
template <class Function, sma::Index Z = 96, sma::Index V = 320, sma::Index W = 128>
struct Attention {
  static constexpr sma::Index input_width = 2 * Z + V, output_width = V;
  using Position = seqboat::SimplePosition<1024>;
  using Parameters = sma::Parameters<sma::Param<"bias", Position::Table, sma::SmallNormal>>;
  template <class S>
  using Problem = sma::ops::AttentionProblem<S, Z, V, Function, Position::Bias<S, false>, false, W>;

  template <class S>
  struct Saved {
    sma::Rows<S, V> y;
    S* normalizer;
  };
  template <class S>
  static Problem<S> problem(const sma::Sequences& s, sma::Rows<const S, input_width> x,
                            const sma::Weights<Attention, S>& w) {
    return {s, x.template columns<Z>(0), x.template columns<Z>(Z), x.template columns<V>(2 * Z), {w.data}};
  }
  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences& s, sma::Rows<const S, input_width> x, sma::Rows<S, V> y,
                      sma::Weights<Attention, S> w, Saved<S>& saved) {
    saved = {y, ctx.template keep<S>(s.rows)};  // nobody writes to y before backward here
    ctx.launch(sma::ops::AttentionForward<S, Problem<S>>{problem(s, x, w), {0, s.rows}, y, saved.normalizer});
  }
  template <class C, class S>
  static void backward(C& ctx, const sma::Sequences& s, sma::Rows<const S, input_width> x,
                       sma::Rows<const S, V> dy, sma::Rows<S, input_width> dx, sma::Weights<Attention, S> w,
                       sma::Gradients<Attention, S> g, Saved<S>& saved) {
    ctx.launch(sma::ops::Fill<S>{dx.data, dx.rows * input_width, S(0)});
    ctx.launch(sma::ops::AttentionBackward<S, Problem<S>>{problem(s, x, w),
                                                          {0, s.rows},
                                                          saved.y,
                                                          dy,
                                                          saved.normalizer,
                                                          dx.template columns<Z>(0),
                                                          dx.template columns<Z>(Z),
                                                          dx.template columns<V>(2 * Z),
                                                          g.data});
  }
};

}  // namespace bench
