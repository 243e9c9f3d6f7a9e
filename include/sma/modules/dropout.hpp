#pragma once

#include <ratio>
#include <sma/module/module.hpp>
#include <sma/ops/dropout.hpp>
#include <sma/ops/rows.hpp>

namespace sma {

/// In training each element is zero with probability `Rate` (a std::ratio) and scaled by 1 / (1 - Rate) otherwise;
/// in inference y = x. The mask depends on seed, step, module instance, row and channel alone. PyTorch: nn.Dropout.
template <Index Width, class Rate>
struct Dropout {
  static_assert(Rate::num >= 0 && Rate::num < Rate::den, "sma::Dropout<Width, Rate> requires 0 <= Rate < 1");
  static constexpr Index input_width = Width;
  static constexpr Index output_width = Width;
  static constexpr Reach reach = Reach::row;
  static constexpr double rate = static_cast<double>(Rate::num) / static_cast<double>(Rate::den);

  template <class S>
  struct Saved {
    std::uint8_t* mask;  // (rows, mask_bytes)
  };

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, Width> x, Rows<S, Width> y,
                      Weights<Dropout, S> w, Saved<S>& saved) {
    if (Rate::num == 0 || !ctx.training()) {
      ctx.launch(ops::CopyRows<S, Width>{x, y});
      return;
    }
    saved.mask = ctx.template keep<std::uint8_t>(x.rows * ops::mask_bytes<Width>);
    ctx.launch(ops::Dropout<S, Width>{x, y, s.ids, ctx.random(w.instance), rate, saved.mask});
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences&, Rows<const S, Width> dy, Rows<S, Width> dx,
                       Weights<Dropout, S>, Gradients<Dropout, S>, Saved<S>& saved) {
    if (!dx) return;
    if (Rate::num == 0)
      ctx.launch(ops::CopyRows<S, Width>{dy, dx});
    else
      ctx.launch(ops::MaskRows<S, Width>{dy, dx, saved.mask, factor<compute_of<S>>()});
  }

  /// What kept elements are multiplied with.
  template <class S>
  static constexpr S factor() {
    return static_cast<S>(1.0 / (1.0 - rate));
  }
};

}  // namespace sma
