#pragma once

#include <sma/core/module.hpp>
#include <sma/kernels/norm.hpp>

namespace sma {

/// y = (x - mean(x)) / sqrt(var(x) + 1e-5) * weight + bias over each row; no weight and bias when not `Affine`.
/// x, y (rows, Width). PyTorch: nn.LayerNorm(Width, elementwise_affine=Affine).
template <Index Width, bool Affine = true>
struct LayerNorm {
  static constexpr Index input_width = Width;
  static constexpr Index output_width = Width;
  static constexpr bool rowwise = true;
  using Parameters = std::conditional_t<
      Affine, sma::Parameters<Param<"weight", Shape<Width>, init::Ones>, Param<"bias", Shape<Width>>>,
      sma::Parameters<>>;

  template <class S>
  struct Saved {
    Rows<const S, Width> x;
    S* mean;  // (rows)
    S* rstd;  // (rows)
  };

  template <class C, class S>
  static void forward(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<S, Width> y,
                      Weights<LayerNorm, S> w, Saved<S>& saved) {
    saved = {x, ctx.template keep<S>(x.rows), ctx.template keep<S>(x.rows)};
    const S* weight = Affine ? w.data : nullptr;
    const S* bias = Affine ? w.data + Width : nullptr;
    ctx.launch(kernels::LayerNormForward<S, Width>{x, y, weight, bias, saved.mean, saved.rstd});
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences&, Rows<const S, Width> dy, Rows<S, Width> dx,
                       Weights<LayerNorm, S> w, Gradients<LayerNorm, S> g, Saved<S>& saved) {
    if constexpr (Affine) {
      const auto [dweight, dbias] = g.tensors();
      using Normalized = kernels::NormalizedTerm<S, Width>;
      using Element = kernels::ElementTerm<S, Width>;
      ctx.launch(kernels::ColumnSum<S, Width, Normalized>{
          dy.rows, Normalized{saved.x, dy, saved.mean, saved.rstd}, dweight.data});
      ctx.launch(kernels::ColumnSum<S, Width, Element>{dy.rows, Element{dy}, dbias.data});
    }
    if (dx)
      ctx.launch(kernels::LayerNormBackward<S, Width>{saved.x, dy, dx, Affine ? w.data : nullptr, saved.mean,
                                                      saved.rstd});
  }
};

namespace detail {

template <class S>
struct TotalTerm {  // the elements of a contiguous row, as a column sum over one column
  const S* data;
  SMA_HD S operator()(Index r, Index) const { return data[r]; }
};

/// Shared by RmsNorm (one weight a channel) and ScaleNorm (one weight in all).
template <Index Width, bool PerChannel>
struct RootMeanSquareNorm {
  static constexpr Index input_width = Width;
  static constexpr Index output_width = Width;
  static constexpr bool rowwise = true;

  template <class S>
  struct Saved {
    Rows<const S, Width> x;
    S* rstd;  // (rows)
  };

  template <class C, class S, class Self>
  static void forward(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<S, Width> y, Weights<Self, S> w,
                      Saved<S>& saved) {
    saved = {x, ctx.template keep<S>(x.rows)};
    ctx.launch(kernels::RmsNormForward<S, Width, PerChannel>{x, y, w.data, saved.rstd});
  }

  template <class C, class S, class Self>
  static void backward(C& ctx, const Sequences&, Rows<const S, Width> dy, Rows<S, Width> dx,
                       Weights<Self, S> w, Gradients<Self, S> g, Saved<S>& saved) {
    using Normalized = kernels::NormalizedTerm<S, Width>;
    const Normalized term{saved.x, dy, nullptr, saved.rstd};
    if constexpr (PerChannel) {
      ctx.launch(kernels::ColumnSum<S, Width, Normalized>{dy.rows, term, g.data});
    } else {
      auto scope = ctx.scope();
      S* channels = ctx.template scratch<S>(Width);
      ctx.launch(kernels::Fill<S>{channels, Width, S(0)});
      ctx.launch(kernels::ColumnSum<S, Width, Normalized>{dy.rows, term, channels});
      ctx.launch(kernels::ColumnSum<S, 1, TotalTerm<S>>{Width, {channels}, g.data});
    }
    if (dx) ctx.launch(kernels::RmsNormBackward<S, Width, PerChannel>{saved.x, dy, dx, w.data, saved.rstd});
  }
};

}  // namespace detail

/// y = weight * x / sqrt(mean(x^2) + 1e-5), one weight a channel. PyTorch: nn.RMSNorm(Width, eps=1e-5).
template <Index Width>
struct RmsNorm : detail::RootMeanSquareNorm<Width, true> {
  using Parameters = sma::Parameters<Param<"weight", Shape<Width>, init::Ones>>;
};

/// y = s * x / sqrt(mean(x^2) + 1e-5), s one scalar (Nguyen and Salazar, 2019).
template <Index Width>
struct ScaleNorm : detail::RootMeanSquareNorm<Width, false> {
  using Parameters = sma::Parameters<Param<"scalar", Shape<1>, init::Ones>>;
};

/// y = (x - mean_c) / sqrt(var_c + 1e-5) * weight_c + bias_c, statistics per channel over every row of the batch (all
/// sequences, all shards). Training updates the running statistics (momentum 0.1, unbiased variance); inference uses
/// them. PyTorch: nn.BatchNorm1d(Width) over the valid time steps.
template <Index Width>
struct BatchNorm {
  static constexpr Index input_width = Width;
  static constexpr Index output_width = Width;
  static constexpr bool rowwise = true;
  static constexpr bool couples_batch = true;
  using Parameters = sma::Parameters<Param<"weight", Shape<Width>, init::Ones>, Param<"bias", Shape<Width>>>;
  using Buffers =
      sma::Parameters<Param<"running_mean", Shape<Width>>, Param<"running_var", Shape<Width>, init::Ones>>;

  template <class S>
  struct Saved {
    Rows<const S, Width> x;
    S* mean;  // (Width)
    S* rstd;  // (Width)
  };

  template <class C, class S>
  static void forward(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<S, Width> y,
                      Weights<BatchNorm, S> w, Saved<S>& saved) {
    saved = {x, ctx.template keep<S>(Width), ctx.template keep<S>(Width)};
    const auto [weight, bias] = w.tensors();
    const auto [running_mean, running_var] = w.buffers();
    if (ctx.training()) {
      auto scope = ctx.scope();
      S* sums = ctx.template scratch<S>(Width + 1);  // (Width) sums, then the number of rows
      using Element = kernels::ElementTerm<S, Width>;
      using Squared = kernels::SquaredDeviationTerm<S, Width>;
      ctx.launch(kernels::Fill<S>{sums, Width, S(0)});
      ctx.launch(kernels::Fill<S>{sums + Width, 1, static_cast<S>(x.rows)});
      ctx.launch(kernels::ColumnSum<S, Width, Element>{x.rows, Element{x}, sums});
      ctx.all_reduce(sums, Width + 1);
      ctx.launch(Mean<S>{sums, saved.mean});
      ctx.launch(kernels::Fill<S>{sums, Width, S(0)});
      ctx.launch(kernels::ColumnSum<S, Width, Squared>{x.rows, Squared{x, saved.mean}, sums});
      ctx.all_reduce(sums, Width);
      const bool leader = ctx.lane == 0;
      ctx.launch(Deviation<S>{sums, saved.mean, saved.rstd, leader ? running_mean.data : nullptr,
                              leader ? running_var.data : nullptr});
    } else {
      ctx.launch(Running<S>{running_mean.data, running_var.data, saved.mean, saved.rstd});
    }
    ctx.launch(kernels::ChannelNormForward<S, Width>{x, y, saved.mean, saved.rstd, weight.data, bias.data});
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences&, Rows<const S, Width> dy, Rows<S, Width> dx,
                       Weights<BatchNorm, S> w, Gradients<BatchNorm, S> g, Saved<S>& saved) {
    const auto [dweight, dbias] = g.tensors();
    auto scope = ctx.scope();
    S* sums = ctx.template scratch<S>(2 * Width + 1);  // sum dy, sum dy * xhat, rows
    using Element = kernels::ElementTerm<S, Width>;
    using Normalized = kernels::ChannelNormalizedTerm<S, Width>;
    ctx.launch(kernels::Fill<S>{sums, 2 * Width, S(0)});
    ctx.launch(kernels::Fill<S>{sums + 2 * Width, 1, static_cast<S>(dy.rows)});
    ctx.launch(kernels::ColumnSum<S, Width, Element>{dy.rows, Element{dy}, sums});
    ctx.launch(kernels::ColumnSum<S, Width, Normalized>{
        dy.rows, Normalized{saved.x, dy, saved.mean, saved.rstd}, sums + Width});
    ctx.launch(AddTo<S>{sums, dbias.data});
    ctx.launch(AddTo<S>{sums + Width, dweight.data});
    ctx.all_reduce(sums, 2 * Width + 1);
    if (dx)
      ctx.launch(
          kernels::ChannelNormBackward<S, Width>{saved.x, dy, dx, saved.mean, saved.rstd, w.data, sums});
  }

  // Kernels of this module; public because nvcc launches no private type.
  template <class S>
  struct Mean {
    const S* sums;  // (Width + 1), the last is the number of rows
    S* mean;
    SMA_HD Index extent() const { return Width; }
    SMA_HD void operator()(Index c) const { mean[c] = sums[Width] > 0 ? sums[c] / sums[Width] : S(0); }
  };
  template <class S>
  struct Deviation {
    const S* sums;  // (Width + 1) of squared deviations, then the number of rows
    const S* mean;
    S* rstd;
    S* running_mean;  // null in all shards but one
    S* running_var;
    SMA_HD Index extent() const { return Width; }
    SMA_HD void operator()(Index c) const {
      const S rows = sums[Width];
      rstd[c] = 1 / std::sqrt((rows > 0 ? sums[c] / rows : S(0)) + S(kernels::kNormEpsilon));
      if (running_mean == nullptr || rows < 2) return;
      constexpr double momentum = 0.1;
      running_mean[c] = S(1 - momentum) * running_mean[c] + S(momentum) * mean[c];
      running_var[c] = S(1 - momentum) * running_var[c] + S(momentum) * sums[c] / (rows - 1);
    }
  };
  template <class S>
  struct Running {
    const S* running_mean;
    const S* running_var;
    S* mean;
    S* rstd;
    SMA_HD Index extent() const { return Width; }
    SMA_HD void operator()(Index c) const {
      mean[c] = running_mean[c];
      rstd[c] = 1 / std::sqrt(running_var[c] + S(kernels::kNormEpsilon));
    }
  };
  template <class S>
  struct AddTo {
    const S* x;
    S* y;
    SMA_HD Index extent() const { return Width; }
    SMA_HD void operator()(Index c) const { y[c] += x[c]; }
  };
};

}  // namespace sma
