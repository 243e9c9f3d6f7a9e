#pragma once

#include <sma/module/module.hpp>
#include <sma/ops/linear.hpp>

namespace sma {

/// Truncated normal with standard deviation .02, cut at two: how linears, gamma and relative biases start.
using SmallNormal = init::TruncatedNormal<std::ratio<2, 100>>;

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
    ops::linear_forward(ctx, x, weight.data, bias.data, y, base);
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
    ops::linear_backward(ctx, dy, saved.x, weight.data, dweight.data, dbias.data, dx, base);
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
    ops::linear_forward(ctx, x, w.data, static_cast<const S*>(nullptr), y, base);
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
    ops::linear_backward(ctx, dy, saved.x, w.data, g.data, static_cast<S*>(nullptr), dx, base);
  }
};

}  // namespace sma
