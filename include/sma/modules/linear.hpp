#pragma once

#include <sma/core/module.hpp>
#include <sma/kernels/elementwise.hpp>
#include <sma/kernels/linear.hpp>

namespace sma {

/// Truncated normal with standard deviation .02, cut at two: how linears, gamma and relative biases start.
using SmallNormal = init::TruncatedNormal<std::ratio<2, 100>>;

namespace detail {

/// y = base + x w^T + bias for one row range (base may be null, or y); shared by every module that holds a linear map.
template <class C, class S, Index In, Index Out>
void linear_forward(C& ctx, Rows<const S, In> x, const S* weight, const S* bias, Rows<S, Out> y,
                    Rows<const S, Out> base = {}) {
  ctx.launch(kernels::LinearForward<S>{
      kernels::as_matrix(x), {weight, Out, In, In}, bias, kernels::as_matrix(y), kernels::as_matrix(base)});
}

/// dw += dy^T x, dbias += column sums of dy, dx = base + dy w (unless null; base may be null, or dx).
template <class C, class S, Index In, Index Out>
void linear_backward(C& ctx, Rows<const S, Out> dy, Rows<const S, In> x, const S* weight, S* dweight,
                     S* dbias, Rows<S, In> dx, Rows<const S, In> base = {}) {
  ctx.launch(kernels::LinearBackwardWeight<S>{
      kernels::as_matrix(dy), kernels::as_matrix(x), {dweight, Out, In, In}, dbias});
  if (dx)
    ctx.launch(kernels::LinearBackwardInput<S>{
        kernels::as_matrix(dy), {weight, Out, In, In}, kernels::as_matrix(dx), kernels::as_matrix(base)});
}

}  // namespace detail

/// y = x W^T + b, a row at a time. x (rows, In), y (rows, Out), W (Out, In), b (Out). PyTorch: nn.Linear(In, Out).
template <Index In, Index Out, class Init = SmallNormal>
struct Linear {
  static constexpr Index input_width = In;
  static constexpr Index output_width = Out;
  static constexpr bool rowwise = true;
  using Parameters = sma::Parameters<Param<"weight", Shape<Out, In>, Init>, Param<"bias", Shape<Out>>>;

  template <class S>
  struct Saved {
    Rows<const S, In> x;
  };

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, In> x, Rows<S, Out> y, Weights<Linear, S> w,
                      Saved<S>& saved) {
    forward_onto(ctx, s, x, Rows<const S, Out>{}, y, w, saved);
  }
  template <class C, class S>
  static void forward_onto(C& ctx, const Sequences&, Rows<const S, In> x, Rows<const S, Out> base,
                           Rows<S, Out> y, Weights<Linear, S> w, Saved<S>& saved) {
    saved.x = x;
    const auto [weight, bias] = w.tensors();
    detail::linear_forward(ctx, x, weight.data, bias.data, y, base);
  }
  template <class S>
  static void rebase(Saved<S>& saved, Rows<const S, In> x) {
    saved.x = x;
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, Out> dy, Rows<S, In> dx,
                       Weights<Linear, S> w, Gradients<Linear, S> g, Saved<S>& saved) {
    backward_onto(ctx, s, dy, Rows<const S, In>{}, dx, w, g, saved);
  }
  template <class C, class S>
  static void backward_onto(C& ctx, const Sequences&, Rows<const S, Out> dy, Rows<const S, In> base,
                            Rows<S, In> dx, Weights<Linear, S> w, Gradients<Linear, S> g, Saved<S>& saved) {
    const auto [weight, bias] = w.tensors();
    const auto [dweight, dbias] = g.tensors();
    detail::linear_backward(ctx, dy, saved.x, weight.data, dweight.data, dbias.data, dx, base);
  }
};

/// y = x W^T, no bias. PyTorch: nn.Linear(In, Out, bias=False).
template <Index In, Index Out, class Init = init::XavierUniform<In, Out>>
struct LinearWithoutBias {
  static constexpr Index input_width = In;
  static constexpr Index output_width = Out;
  static constexpr bool rowwise = true;
  using Parameters = sma::Parameters<Param<"weight", Shape<Out, In>, Init>>;

  template <class S>
  struct Saved {
    Rows<const S, In> x;
  };

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, In> x, Rows<S, Out> y,
                      Weights<LinearWithoutBias, S> w, Saved<S>& saved) {
    forward_onto(ctx, s, x, Rows<const S, Out>{}, y, w, saved);
  }
  template <class C, class S>
  static void forward_onto(C& ctx, const Sequences&, Rows<const S, In> x, Rows<const S, Out> base,
                           Rows<S, Out> y, Weights<LinearWithoutBias, S> w, Saved<S>& saved) {
    saved.x = x;
    detail::linear_forward(ctx, x, w.data, static_cast<const S*>(nullptr), y, base);
  }
  template <class S>
  static void rebase(Saved<S>& saved, Rows<const S, In> x) {
    saved.x = x;
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, Out> dy, Rows<S, In> dx,
                       Weights<LinearWithoutBias, S> w, Gradients<LinearWithoutBias, S> g, Saved<S>& saved) {
    backward_onto(ctx, s, dy, Rows<const S, In>{}, dx, w, g, saved);
  }
  template <class C, class S>
  static void backward_onto(C& ctx, const Sequences&, Rows<const S, Out> dy, Rows<const S, In> base,
                            Rows<S, In> dx, Weights<LinearWithoutBias, S> w,
                            Gradients<LinearWithoutBias, S> g, Saved<S>& saved) {
    detail::linear_backward(ctx, dy, saved.x, w.data, g.data, static_cast<S*>(nullptr), dx, base);
  }
};

}  // namespace sma
