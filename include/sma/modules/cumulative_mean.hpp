#pragma once

#include <sma/module/module.hpp>
#include <sma/ops/pool.hpp>

namespace sma {

/// y_t = mean of x_0, ..., x_t of the sequence: `MeanPool` of what has come so far, at each row. The last row is `MeanPool`'s output. It
/// streams. x, y (rows, Width). PyTorch: x.cumsum(0) / (1 + torch.arange(len(x)))[:, None].
template <Index Width>
struct CumulativeMean {
  static constexpr Index input_width = Width;
  static constexpr Index output_width = Width;
  static constexpr Reach reach = Reach::past;
  static constexpr double flops(const Load&) { return 2.0 * Width; }

  template <class S>
  struct Stream {
    compute_of<S> sum[static_cast<std::size_t>(Width)];
    Index steps;

    [[nodiscard]] bool is_sound(Position) const { return steps >= 0 && steps <= latest_position; }
  };

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, Width> x, Rows<S, Width> y,
                      Weights<CumulativeMean, S>, NoState&) {
    ctx.launch(ops::CumulativeMeanForward<S, Width>{s, x, y});
  }
  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, Width> dy, Rows<S, Width> dx,
                       Weights<CumulativeMean, S>, Gradients<CumulativeMean, S>, NoState&) {
    if (dx) ctx.launch(ops::CumulativeMeanBackward<S, Width>{s, dy, dx});
  }
  template <class C, class S>
  static void step(C&, const Sequences&, Rows<const S, Width> x, Rows<S, Width> y, Weights<CumulativeMean, S>,
                   Stream<S>& stream) {
    const compute_of<S> share = 1 / static_cast<compute_of<S>>(++stream.steps);
    for (Index j = 0; j < Width; ++j) y(0, j) = (stream.sum[j] += x(0, j)) * share;
  }
};

}  // namespace sma
