#pragma once

#include <ratio>
#include <sma/core/module.hpp>
#include <sma/kernels/elementwise.hpp>

namespace sma {

inline namespace SMA_ISA {
namespace kernels {

/// Bytes of a row's mask: bit j % 8 of byte j / 8 is set where element j is kept.
template <Index Width>
inline constexpr Index mask_bytes = (Width + 7) / 8;

/// y = x * mask / (1 - rate), mask_ij = [u_ij >= rate], u keyed by the row's id. The mask is written for MaskRows.
template <class T, Index Width>
struct Dropout {
  Rows<const T, Width> x;
  Rows<T, Width> y;
  const std::int32_t* ids;  // (rows)
  RandomStream random;
  double rate;
  std::uint8_t* mask;  // (rows, mask_bytes), written
  SMA_HD Index extent() const { return x.rows; }
  SMA_HD void operator()(Index i) const {
    const T factor = static_cast<T>(1.0 / (1.0 - rate));
    std::uint8_t* bits = mask + i * mask_bytes<Width>;
    for (Index byte = 0; byte < mask_bytes<Width>; ++byte) bits[byte] = 0;
    for (Index quad = 0; quad * 4 < Width; ++quad) {
      const Philox::Block block = random.block(ids[i], quad);
      for (Index l = 0; l < 4; ++l) {
        const Index j = quad * 4 + l;
        if (j >= Width) continue;
        const bool kept = to_unit(block.word[l]) >= rate;
        y(i, j) = kept ? x(i, j) * factor : T(0);
        if (kept) bits[j / 8] = static_cast<std::uint8_t>(bits[j / 8] | (1U << (j % 8)));
      }
    }
  }
};

/// y = factor * x where the mask has its bits, 0 elsewhere: Dropout again, and its gradient.
template <class T, Index Width>
struct MaskRows {
  Rows<const T, Width> x;
  Rows<T, Width> y;
  const std::uint8_t* mask;  // (rows, mask_bytes)
  T factor;
  SMA_HD Index extent() const { return y.rows; }
  SMA_HD void operator()(Index i) const {
    const std::uint8_t* bits = mask + i * mask_bytes<Width>;
    for (Index j = 0; j < Width; ++j) y(i, j) = (bits[j / 8] >> (j % 8) & 1) != 0 ? x(i, j) * factor : T(0);
  }
};

}  // namespace kernels
}  // namespace SMA_ISA

/// In training each element is zero with probability `Rate` (a std::ratio) and scaled by 1 / (1 - Rate) otherwise;
/// in inference y = x. The mask depends on seed, step, module instance, row and channel alone. PyTorch: nn.Dropout.
template <Index Width, class Rate>
struct Dropout {
  static_assert(Rate::num >= 0 && Rate::num < Rate::den, "sma::Dropout<Width, Rate> requires 0 <= Rate < 1");
  static constexpr Index input_width = Width;
  static constexpr Index output_width = Width;
  static constexpr bool rowwise = true;
  static constexpr bool forgets_input = true;
  static constexpr bool scales_elements = true;
  static constexpr double rate = static_cast<double>(Rate::num) / static_cast<double>(Rate::den);

  template <class S>
  struct Saved {
    std::uint8_t* mask;  // (rows, mask_bytes)
  };

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, Width> x, Rows<S, Width> y,
                      Weights<Dropout, S> w, Saved<S>& saved) {
    if (Rate::num == 0 || !ctx.training()) {
      ctx.launch(kernels::CopyRows<S, Width>{x, y});
      return;
    }
    saved.mask = ctx.template keep<std::uint8_t>(x.rows * kernels::mask_bytes<Width>);
    ctx.launch(kernels::Dropout<S, Width>{x, y, s.ids, ctx.random(w.instance), rate, saved.mask});
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences&, Rows<const S, Width> dy, Rows<S, Width> dx,
                       Weights<Dropout, S>, Gradients<Dropout, S>, Saved<S>& saved) {
    if (!dx) return;
    if (Rate::num == 0)
      ctx.launch(kernels::CopyRows<S, Width>{dy, dx});
    else
      ctx.launch(kernels::MaskRows<S, Width>{dy, dx, saved.mask, factor<S>()});
  }

  /// What kept elements are multiplied with.
  template <class S>
  static constexpr S factor() {
    return static_cast<S>(1.0 / (1.0 - rate));
  }
};

}  // namespace sma
