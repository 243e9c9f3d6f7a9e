#pragma once

#include <sma/device/fill.hpp>
#include <sma/module/module.hpp>
#include <sma/ops/channel_norm.hpp>
#include <sma/ops/norm.hpp>
#include <sma/ops/rows.hpp>
#include <sma/ops/sums.hpp>

namespace sma {

namespace detail {
/// One weight and one bias a channel, from 1 and 0; none when not `Affine`.
template <Index Width, bool Affine>
using AffineParameters = std::conditional_t<
    Affine, sma::Parameters<Param<"weight", Shape<Width>, init::Ones>, Param<"bias", Shape<Width>>>,
    sma::Parameters<>>;
}  // namespace detail

/// y = (x - mean(x)) / sqrt(var(x) + 1e-5) * weight + bias over each row; no weight and bias when not `Affine`.
/// x, y (rows, Width). PyTorch: nn.LayerNorm(Width, elementwise_affine=Affine).
template <Index Width, bool Affine = true>
struct LayerNorm {
  static constexpr Index input_width = Width;
  static constexpr Index output_width = Width;
  static constexpr Reach reach = Reach::row;
  using Parameters = detail::AffineParameters<Width, Affine>;
  template <class S>
  using Saved = ops::RowMoments<S>;

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, Width> x, Rows<S, Width> y,
                      Weights<LayerNorm, S> w, Saved<S>& saved) {
    using A = compute_of<S>;
    saved = {ctx.template keep<A>(x.rows), ctx.template keep<A>(x.rows)};
    apply(ctx, s, x, y, w, saved);
  }
  template <class C, class S>
  static void apply(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<S, Width> y,
                    Weights<LayerNorm, S> w, Saved<S>& saved) {
    ctx.launch(ops::LayerNormForward<S, Width>{x, y, w.or_null("weight"_p), w.or_null("bias"_p), saved.mean,
                                               saved.rstd});
  }
  template <class C, class S>
  static void backward(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<const S, Width> dy,
                       Target<S, Width> dx, Weights<LayerNorm, S> w, Gradients<LayerNorm, S> g,
                       Saved<S>& saved) {
    [[maybe_unused]] const ops::NormalizedTerm<S, Width> scaled{x, dy, saved.mean, saved.rstd};
    if constexpr (Affine)
      ops::column_sums<Width>(ctx, dy.rows, ops::ElementTerm<S, Width>{dy}, g["bias"_p].data, scaled,
                              g["weight"_p].data);
    if (dx)
      ctx.launch(ops::LayerNormBackward<S, Width>{x, dy, dx.base, dx.rows, w.or_null("weight"_p), saved.mean,
                                                  saved.rstd});
  }
};

namespace detail {

/// Shared by RmsNorm (one weight a channel) and ScaleNorm (one weight in all); no weight when not `Affine`.
template <Index Width, bool PerChannel, bool Affine>
struct RootMeanSquareNorm {
  static constexpr Index input_width = Width;
  static constexpr Index output_width = Width;
  static constexpr Reach reach = Reach::row;

  template <class S>
  struct Saved {
    compute_of<S>* rstd;  // (rows)
  };

  template <class C, class S, class Self>
  static void forward(C& ctx, const Sequences& s, Rows<const S, Width> x, Rows<S, Width> y,
                      Weights<Self, S> w, Saved<S>& saved) {
    saved.rstd = ctx.template keep<compute_of<S>>(x.rows);
    apply(ctx, s, x, y, w, saved);
  }
  template <class C, class S, class Self>
  static void apply(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<S, Width> y, Weights<Self, S> w,
                    Saved<S>& saved) {
    ctx.launch(ops::RmsNormForward<S, Width, PerChannel>{x, y, Affine ? w.data : nullptr, saved.rstd});
  }

  template <class C, class S, class Self>
  static void backward(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<const S, Width> dy,
                       Target<S, Width> dx, Weights<Self, S> w, Gradients<Self, S> g, Saved<S>& saved) {
    using Normalized = ops::NormalizedTerm<S, Width>;
    [[maybe_unused]] const Normalized term{x, dy, nullptr, saved.rstd};
    if constexpr (Affine && PerChannel) {
      ops::column_sum<Width>(ctx, dy.rows, term, g.data);
    } else if constexpr (Affine) {
      auto scope = ctx.scope();
      using A = compute_of<S>;
      A* channels = ctx.template scratch<A>(Width);
      ctx.launch(ops::Fill<A>{channels, Width, A(0)});
      ops::column_sum<Width>(ctx, dy.rows, term, channels);
      ops::column_sum<1>(ctx, Width, ops::TotalTerm<A>{channels}, g.data);
    }
    if (dx)
      ctx.launch(ops::RmsNormBackward<S, Width, PerChannel>{x, dy, dx.base, dx.rows,
                                                            Affine ? w.data : nullptr, saved.rstd});
  }
};

}  // namespace detail

/// y = weight * x / sqrt(mean(x^2) + 1e-5), one weight a channel; none when not `Affine`.
/// PyTorch: nn.RMSNorm(Width, eps=1e-5, elementwise_affine=Affine).
template <Index Width, bool Affine = true>
struct RmsNorm : detail::RootMeanSquareNorm<Width, true, Affine> {
  using Parameters = std::conditional_t<Affine, sma::Parameters<Param<"weight", Shape<Width>, init::Ones>>,
                                        sma::Parameters<>>;
};

/// y = s * x / sqrt(mean(x^2) + 1e-5), s one scalar (Nguyen and Salazar, 2019); s = 1 when not `Affine`.
template <Index Width, bool Affine = true>
struct ScaleNorm : detail::RootMeanSquareNorm<Width, false, Affine> {
  using Parameters =
      std::conditional_t<Affine, sma::Parameters<Param<"scalar", Shape<1>, init::Ones>>, sma::Parameters<>>;
};

/// y = (x - mean_c) / sqrt(var_c + 1e-5) * weight_c + bias_c, statistics per channel over every row of the batch (all
/// sequences, all shards). Training updates the running statistics (momentum 0.1, unbiased variance); inference uses
/// them; no weight and bias when not `Affine`. PyTorch: nn.BatchNorm1d(Width, affine=Affine) over the valid time steps.
template <Index Width, bool Affine = true>
struct BatchNorm {
  static constexpr Index input_width = Width;
  static constexpr Index output_width = Width;
  static constexpr Reach reach = Reach::row;
  static constexpr bool couples_batch = true;
  using Parameters = detail::AffineParameters<Width, Affine>;
  using Buffers =
      sma::Parameters<Param<"running_mean", Shape<Width>>, Param<"running_var", Shape<Width>, init::Ones>>;

  template <class S>
  using Saved = ops::ChannelStatistics<compute_of<S>>;

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, Width> x, Rows<S, Width> y,
                      Weights<BatchNorm, S> w, Saved<S>& statistics) {
    using A = compute_of<S>;
    statistics = {ctx.template keep<A>(Width), ctx.template keep<A>(Width), ctx.template keep<A>(Width)};
    const auto [running_mean, running_var] = w.buffers();
    if (ctx.training()) {
      // Sums around the shard's own mean, taken while its rows are in its cache, and moved to the batch's.
      auto scope = ctx.scope();
      A* own_mean = ctx.template scratch<A>(Width);
      A* rows = ctx.template scratch<A>(1 + Width);  // the number of rows, then sums of x
      A* sums = ctx.template scratch<A>(2 * Width);  // of deviations and of their squares
      const auto count = static_cast<A>(x.rows);
      using Element = ops::ElementTerm<S, Width>;
      using Deviation = ops::DeviationTerm<S, Width>;
      using Squared = ops::SquaredDeviationTerm<S, Width>;
      ctx.launch(ops::Fill<A>{rows, 1, count});
      ctx.launch(ops::Fill<A>{rows + 1, Width, A(0)});
      ctx.launch(ops::Fill<A>{sums, 2 * Width, A(0)});
      ops::column_sum<Width>(ctx, x.rows, Element{x}, rows + 1);
      ctx.launch(ops::ChannelMean<A, Width>{rows, own_mean});
      ops::column_sums<Width>(ctx, x.rows, Deviation{x, own_mean}, sums, Squared{x, own_mean}, sums + Width);
      ctx.shards().all_reduce(rows, 1 + Width);
      ctx.launch(ops::ChannelMean<A, Width>{rows, statistics.mean});
      ctx.launch(ops::Recentre<A, Width>{own_mean, statistics.mean, count, sums});
      ctx.shards().all_reduce(sums, 2 * Width);
      const bool leader = ctx.shards().mine() == 0;
      ctx.launch(ops::ChannelSpread<A, Width>{rows, sums, statistics, leader ? running_mean.data : nullptr,
                                              leader ? running_var.data : nullptr});
    } else {
      ctx.launch(ops::RunningStatistics<A, Width>{running_mean.data, running_var.data, statistics});
    }
    apply(ctx, s, x, y, w, statistics);
  }
  /// From the statistics that forward has found.
  template <class C, class S>
  static void apply(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<S, Width> y,
                    Weights<BatchNorm, S> w, Saved<S>& statistics) {
    ctx.launch(
        ops::ChannelNormForward<S, Width>{x, y, statistics, w.or_null("weight"_p), w.or_null("bias"_p)});
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<const S, Width> dy,
                       Target<S, Width> dx, Weights<BatchNorm, S> w, Gradients<BatchNorm, S> g,
                       Saved<S>& statistics) {
    auto scope = ctx.scope();
    using A = compute_of<S>;
    A* sums = ctx.template scratch<A>(2 * Width + 1);  // sum dy, sum dy * xhat, rows
    using Element = ops::ElementTerm<S, Width>;
    using Normalized = ops::ChannelNormalizedTerm<S, Width>;
    ctx.launch(ops::Fill<A>{sums, 2 * Width, A(0)});
    ctx.launch(ops::Fill<A>{sums + 2 * Width, 1, static_cast<A>(dy.rows)});
    ops::column_sums<Width>(ctx, dy.rows, Element{dy}, sums, Normalized{x, dy, statistics}, sums + Width);
    if constexpr (Affine) {
      const auto [dweight, dbias] = g.tensors();
      ctx.launch(ops::AddTo<A, Width>{sums, dbias.data});
      ctx.launch(ops::AddTo<A, Width>{sums + Width, dweight.data});
    }
    ctx.shards().all_reduce(sums, 2 * Width + 1);
    if (dx)
      ctx.launch(ops::ChannelNormBackward<S, Width>{x, dy, dx.base, dx.rows, statistics,
                                                    w.or_null("weight"_p), sums});
  }
};

}  // namespace sma
