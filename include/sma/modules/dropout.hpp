#pragma once

#include <ratio>
#include <sma/core/module.hpp>
#include <sma/kernels/elementwise.hpp>

namespace sma {

namespace kernels {

/// y = x * mask / (1 - rate), mask_ij = [u_ij >= rate], u keyed by the row's id. Its own gradient.
template <class T, Index Width>
struct Dropout {
  Rows<const T, Width> x;
  Rows<T, Width> y;
  const std::int32_t* ids;  // (rows)
  RandomStream random;
  double rate;
  SMA_HD Index extent() const { return x.rows; }
  SMA_HD void operator()(Index i) const {
    const T keep = static_cast<T>(1.0 / (1.0 - rate));
    for (Index quad = 0; quad * 4 < Width; ++quad) {
      const Philox::Block block = random.block(ids[i], quad);
      for (Index l = 0; l < 4; ++l) {
        const Index j = quad * 4 + l;
        if (j < Width) y(i, j) = to_unit(block.word[l]) < rate ? T(0) : x(i, j) * keep;
      }
    }
  }
};

}  // namespace kernels

/// In training each element is zero with probability `Rate` (a std::ratio) and scaled by 1 / (1 - Rate) otherwise;
/// in inference y = x. The mask depends on seed, step, module instance, row and channel alone. PyTorch: nn.Dropout.
template <Index Width, class Rate>
struct Dropout {
  static_assert(Rate::num >= 0 && Rate::num < Rate::den, "sma::Dropout<Width, Rate> requires 0 <= Rate < 1");
  static constexpr Index input_width = Width;
  static constexpr Index output_width = Width;
  static constexpr bool rowwise = true;
  static constexpr bool forgets_input = true;
  static constexpr double rate = static_cast<double>(Rate::num) / static_cast<double>(Rate::den);

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, Width> x, Rows<S, Width> y,
                      Weights<Dropout, S> w, NoState&) {
    apply(ctx, s, x, y, w);
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, Width> dy, Rows<S, Width> dx,
                       Weights<Dropout, S> w, Gradients<Dropout, S>, NoState&) {
    if (dx) apply(ctx, s, dy, dx, w);
  }

 private:
  template <class C, class S>
  static void apply(C& ctx, const Sequences& s, Rows<const S, Width> x, Rows<S, Width> y,
                    Weights<Dropout, S> w) {
    if (rate > 0 && ctx.training())
      ctx.launch(kernels::Dropout<S, Width>{x, y, s.ids, ctx.random(w.instance), rate});
    else
      ctx.launch(kernels::CopyRows<S, Width>{x, y});
  }
};

}  // namespace sma
