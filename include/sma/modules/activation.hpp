#pragma once

#include <sma/module/module.hpp>
#include <sma/ops/functions.hpp>
#include <sma/ops/map.hpp>

namespace sma {

/// y = f(x), element by element. `Function` is a type with `value(x)` and `derivative(x)`, see ops/functions.hpp.
template <Index Width, class Function>
struct Activation {
  static constexpr Index input_width = Width;
  static constexpr Index output_width = Width;
  static constexpr Reach reach = Reach::row;

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, Width> x, Rows<S, Width> y,
                      Weights<Activation, S> w, NoState& saved) {
    apply(ctx, s, x, y, w, saved);
  }
  template <class C, class S>
  static void apply(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<S, Width> y,
                    Weights<Activation, S>, NoState&) {
    ctx.launch(ops::Apply<S, Width, Function>{x, y});
  }
  template <class C, class S>
  static void backward(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<const S, Width> dy,
                       Rows<S, Width> dx, Weights<Activation, S>, Gradients<Activation, S>, NoState&) {
    if (dx) ctx.launch(ops::ApplyBackward<S, Width, Function>{x, dy, dx});
  }
};

/// x * sigmoid(x). PyTorch: nn.SiLU.
template <Index Width>
using SiLU = Activation<Width, functions::SiLU>;
/// x * Phi(x). PyTorch: nn.GELU().
template <Index Width>
using GELU = Activation<Width, functions::GELU>;
/// max(x, 0). PyTorch: nn.ReLU.
template <Index Width>
using ReLU = Activation<Width, functions::ReLU>;
/// max(x, 0)^2.
template <Index Width>
using ReLU2 = Activation<Width, functions::ReLU2>;
/// PyTorch: nn.Tanh.
template <Index Width>
using Tanh = Activation<Width, functions::Tanh>;
/// PyTorch: nn.Sigmoid.
template <Index Width>
using Sigmoid = Activation<Width, functions::Sigmoid>;
/// y = x. PyTorch: nn.Identity.
template <Index Width>
using Identity = Activation<Width, functions::Identity>;

}  // namespace sma
