#pragma once

#include <sma/module/module.hpp>
#include <sma/ops/linear.hpp>

namespace sma {

/// Truncated normal with standard deviation .02, cut at two: how linears, gamma and relative biases start.
using SmallNormal = init::TruncatedNormal<std::ratio<2, 100>>;

namespace detail {
/// A row of a stream, with or without a bias.
template <Index In, Index Out>
struct LinearOfStream {
  template <class C, class S, class W>
  static void step(C& ctx, const Sequences&, Rows<const S, In> x, Rows<S, Out> y, W w, NoState&) {
    ops::linear_step(ctx, x, w["weight"_p].data, w.or_null("bias"_p), y);
  }
};
}  // namespace detail

/// y = x W^T + b, a row at a time. x (rows, In), y (rows, Out), W (Out, In), b (Out). PyTorch: nn.Linear(In, Out).
template <Index In, Index Out, class Init = SmallNormal>
struct Linear : detail::LinearOfStream<In, Out> {
  static constexpr Index input_width = In;
  static constexpr Index output_width = Out;
  static constexpr Reach reach = Reach::row;
  static constexpr double flops(const Load&) { return 2.0 * In * Out; }
  using Parameters = sma::Parameters<Param<"weight", Shape<Out, In>, Init>, Param<"bias", Shape<Out>>>;

  template <class C, class S>
  static void forward(C& ctx, const Sequences&, Rows<const S, In> x, Target<S, Out> y, Weights<Linear, S> w,
                      NoState&) {
    ops::linear_forward(ctx, x, w["weight"_p].data, w["bias"_p].data, y.rows, y.base);
  }
  template <class C, class S>
  static void backward(C& ctx, const Sequences&, Rows<const S, In> x, Rows<const S, Out> dy, Target<S, In> dx,
                       Weights<Linear, S> w, Gradients<Linear, S> g, NoState&) {
    ops::linear_backward(ctx, dy, x, w["weight"_p].data, g["weight"_p].data, g["bias"_p].data, dx.rows,
                         dx.base);
  }
};

/// y = x W^T, no bias. PyTorch: nn.Linear(In, Out, bias=False).
template <Index In, Index Out, class Init = init::XavierUniform<In, Out>>
struct LinearWithoutBias : detail::LinearOfStream<In, Out> {
  static constexpr Index input_width = In;
  static constexpr Index output_width = Out;
  static constexpr Reach reach = Reach::row;
  static constexpr double flops(const Load&) { return 2.0 * In * Out; }
  using Parameters = sma::Parameters<Param<"weight", Shape<Out, In>, Init>>;

  template <class C, class S>
  static void forward(C& ctx, const Sequences&, Rows<const S, In> x, Target<S, Out> y,
                      Weights<LinearWithoutBias, S> w, NoState&) {
    ops::linear_forward(ctx, x, w.data, static_cast<const compute_of<S>*>(nullptr), y.rows, y.base);
  }
  template <class C, class S>
  static void backward(C& ctx, const Sequences&, Rows<const S, In> x, Rows<const S, Out> dy, Target<S, In> dx,
                       Weights<LinearWithoutBias, S> w, Gradients<LinearWithoutBias, S> g, NoState&) {
    ops::linear_backward(ctx, dy, x, w.data, g.data, static_cast<compute_of<S>*>(nullptr), dx.rows, dx.base);
  }
};

}  // namespace sma
