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
  static constexpr Recompute recompute = Recompute::from_input;
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
    again(ctx, Sequences{}, x, y, w, saved);
  }
  template <class S>
  static void rebase(Saved<S>& saved, Rows<const S, Width> x) {
    saved.x = x;
  }
  template <class C, class S>
  static void again(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<S, Width> y,
                    Weights<LayerNorm, S> w, Saved<S>& saved) {
    const S* weight = Affine ? w.data : nullptr;
    const S* bias = Affine ? w.data + Width : nullptr;
    ctx.launch(kernels::LayerNormForward<S, Width>{x, y, weight, bias, saved.mean, saved.rstd});
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, Width> dy, Rows<S, Width> dx,
                       Weights<LayerNorm, S> w, Gradients<LayerNorm, S> g, Saved<S>& saved) {
    backward_onto(ctx, s, dy, Rows<const S, Width>{}, dx, w, g, saved);
  }
  template <class C, class S>
  static void backward_onto(C& ctx, const Sequences&, Rows<const S, Width> dy, Rows<const S, Width> base,
                            Rows<S, Width> dx, Weights<LayerNorm, S> w, Gradients<LayerNorm, S> g,
                            Saved<S>& saved) {
    if constexpr (Affine) {
      const auto [dweight, dbias] = g.tensors();
      using Normalized = kernels::NormalizedTerm<S, Width>;
      using Element = kernels::ElementTerm<S, Width>;
      ctx.launch(kernels::ColumnSums<S, Width, Element, Normalized>{
          dy.rows, Element{dy}, Normalized{saved.x, dy, saved.mean, saved.rstd}, dbias.data, dweight.data});
    }
    if (dx)
      ctx.launch(kernels::LayerNormBackward<S, Width>{saved.x, dy, base, dx, Affine ? w.data : nullptr,
                                                      saved.mean, saved.rstd});
  }
};

namespace detail {

template <class S>
struct TotalTerm {  // the elements of a contiguous row, as a column sum over one column
  const S* data;
  SMA_HD S operator()(Index r, Index) const { return data[r]; }
};

/// Shared by RmsNorm (one weight a channel) and ScaleNorm (one weight in all); no weight when not `Affine`.
template <Index Width, bool PerChannel, bool Affine>
struct RootMeanSquareNorm {
  static constexpr Index input_width = Width;
  static constexpr Index output_width = Width;
  static constexpr bool rowwise = true;
  static constexpr Recompute recompute = Recompute::from_input;

  template <class S>
  struct Saved {
    Rows<const S, Width> x;
    S* rstd;  // (rows)
  };

  template <class C, class S, class Self>
  static void forward(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<S, Width> y, Weights<Self, S> w,
                      Saved<S>& saved) {
    saved = {x, ctx.template keep<S>(x.rows)};
    again(ctx, Sequences{}, x, y, w, saved);
  }
  template <class S>
  static void rebase(Saved<S>& saved, Rows<const S, Width> x) {
    saved.x = x;
  }
  template <class C, class S, class Self>
  static void again(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<S, Width> y, Weights<Self, S> w,
                    Saved<S>& saved) {
    ctx.launch(kernels::RmsNormForward<S, Width, PerChannel>{x, y, Affine ? w.data : nullptr, saved.rstd});
  }

  template <class C, class S, class Self>
  static void backward(C& ctx, const Sequences& s, Rows<const S, Width> dy, Rows<S, Width> dx,
                       Weights<Self, S> w, Gradients<Self, S> g, Saved<S>& saved) {
    backward_onto(ctx, s, dy, Rows<const S, Width>{}, dx, w, g, saved);
  }
  template <class C, class S, class Self>
  static void backward_onto(C& ctx, const Sequences&, Rows<const S, Width> dy, Rows<const S, Width> base,
                            Rows<S, Width> dx, Weights<Self, S> w, Gradients<Self, S> g, Saved<S>& saved) {
    using Normalized = kernels::NormalizedTerm<S, Width>;
    [[maybe_unused]] const Normalized term{saved.x, dy, nullptr, saved.rstd};
    if constexpr (Affine && PerChannel) {
      ctx.launch(kernels::ColumnSum<S, Width, Normalized>{dy.rows, term, g.data});
    } else if constexpr (Affine) {
      auto scope = ctx.scope();
      S* channels = ctx.template scratch<S>(Width);
      ctx.launch(kernels::Fill<S>{channels, Width, S(0)});
      ctx.launch(kernels::ColumnSum<S, Width, Normalized>{dy.rows, term, channels});
      ctx.launch(kernels::ColumnSum<S, 1, TotalTerm<S>>{Width, {channels}, g.data});
    }
    if (dx)
      ctx.launch(kernels::RmsNormBackward<S, Width, PerChannel>{saved.x, dy, base, dx,
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
  static constexpr bool rowwise = true;
  static constexpr bool couples_batch = true;
  static constexpr Recompute recompute = Recompute::from_input;
  using Parameters = std::conditional_t<
      Affine, sma::Parameters<Param<"weight", Shape<Width>, init::Ones>, Param<"bias", Shape<Width>>>,
      sma::Parameters<>>;
  using Buffers =
      sma::Parameters<Param<"running_mean", Shape<Width>>, Param<"running_var", Shape<Width>, init::Ones>>;

  template <class S>
  using Statistics = kernels::ChannelStatistics<S>;
  template <class S>
  struct Saved {
    Rows<const S, Width> x;
    Statistics<S> statistics;
  };

  template <class C, class S>
  static void forward(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<S, Width> y,
                      Weights<BatchNorm, S> w, Saved<S>& saved) {
    const Statistics<S> statistics{ctx.template keep<S>(Width), ctx.template keep<S>(Width),
                                   ctx.template keep<S>(Width)};
    saved = {x, statistics};
    const auto [running_mean, running_var] = w.buffers();
    if (ctx.training()) {
      // Each shard's own statistics, so that shards meet once and each reads its rows while they are in its cache.
      auto scope = ctx.scope();
      S* parts = ctx.template scratch<S>(ctx.lanes * Part<S>::size);
      const Part<S> own{parts + ctx.lane * Part<S>::size};
      using Element = kernels::ElementTerm<S, Width>;
      using Deviation = kernels::DeviationTerm<S, Width>;
      using Squared = kernels::SquaredDeviationTerm<S, Width>;
      ctx.launch(kernels::Fill<S>{parts, ctx.lanes * Part<S>::size, S(0)});
      ctx.launch(kernels::Fill<S>{own.rows(), 1, static_cast<S>(x.rows)});
      ctx.launch(kernels::ColumnSum<S, Width, Element>{x.rows, Element{x}, own.mean()});
      ctx.launch(Mean<S>{own});
      ctx.launch(kernels::ColumnSums<S, Width, Deviation, Squared>{
          x.rows, Deviation{x, own.mean()}, Squared{x, own.mean()}, own.deviations(), own.squares()});
      ctx.all_reduce(parts, ctx.lanes * Part<S>::size);
      const bool leader = ctx.lane == 0;
      ctx.launch(Spread<S>{parts, ctx.lanes, statistics, leader ? running_mean.data : nullptr,
                           leader ? running_var.data : nullptr});
    } else {
      ctx.launch(Running<S>{running_mean.data, running_var.data, statistics});
    }
    again(ctx, Sequences{}, x, y, w, saved);
  }
  template <class S>
  static void rebase(Saved<S>& saved, Rows<const S, Width> x) {
    saved.x = x;
  }
  /// From the statistics that forward has found.
  template <class C, class S>
  static void again(C& ctx, const Sequences&, Rows<const S, Width> x, Rows<S, Width> y,
                    Weights<BatchNorm, S> w, Saved<S>& saved) {
    const S* weight = Affine ? w.data : nullptr;
    const S* bias = Affine ? w.data + Width : nullptr;
    ctx.launch(kernels::ChannelNormForward<S, Width>{x, y, saved.statistics, weight, bias});
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, Width> dy, Rows<S, Width> dx,
                       Weights<BatchNorm, S> w, Gradients<BatchNorm, S> g, Saved<S>& saved) {
    backward_onto(ctx, s, dy, Rows<const S, Width>{}, dx, w, g, saved);
  }
  template <class C, class S>
  static void backward_onto(C& ctx, const Sequences&, Rows<const S, Width> dy, Rows<const S, Width> base,
                            Rows<S, Width> dx, Weights<BatchNorm, S> w, Gradients<BatchNorm, S> g,
                            Saved<S>& saved) {
    auto scope = ctx.scope();
    S* sums = ctx.template scratch<S>(2 * Width + 1);  // sum dy, sum dy * xhat, rows
    using Element = kernels::ElementTerm<S, Width>;
    using Normalized = kernels::ChannelNormalizedTerm<S, Width>;
    ctx.launch(kernels::Fill<S>{sums, 2 * Width, S(0)});
    ctx.launch(kernels::Fill<S>{sums + 2 * Width, 1, static_cast<S>(dy.rows)});
    ctx.launch(kernels::ColumnSums<S, Width, Element, Normalized>{
        dy.rows, Element{dy}, Normalized{saved.x, dy, saved.statistics}, sums, sums + Width});
    if constexpr (Affine) {
      const auto [dweight, dbias] = g.tensors();
      ctx.launch(AddTo<S>{sums, dbias.data});
      ctx.launch(AddTo<S>{sums + Width, dweight.data});
    }
    ctx.all_reduce(sums, 2 * Width + 1);
    if (dx)
      ctx.launch(kernels::ChannelNormBackward<S, Width>{saved.x, dy, base, dx, saved.statistics,
                                                        Affine ? w.data : nullptr, sums});
  }

  // Kernels of this module; public because nvcc launches no private type.
  /// What one shard finds: the number of rows, and a channel each the mean, and the sums of x - mean and of its square.
  template <class S>
  struct Part {
    static constexpr Index size = 1 + 3 * Width;
    S* data;
    SMA_HD S* rows() const { return data; }
    SMA_HD S* mean() const { return data + 1; }
    SMA_HD S* deviations() const { return data + 1 + Width; }
    SMA_HD S* squares() const { return data + 1 + 2 * Width; }
  };
  /// A part's mean from its sum.
  template <class S>
  struct Mean {
    Part<S> part;
    SMA_HD Index extent() const { return Width; }
    SMA_HD void operator()(Index c) const {
      S* sum = part.mean() + c;
      *sum = *part.rows() > 0 ? *sum / *part.rows() : S(0);
    }
  };
  /// The batch's statistics from those of its shards (Chan, Golub and LeVeque, 1983), in the order of the shards.
  template <class S>
  struct Spread {
    S* parts;
    Index shards;
    Statistics<S> statistics;
    S* running_mean;  // null in all shards but one
    S* running_var;
    SMA_HD Index extent() const { return Width; }
    SMA_HD void operator()(Index c) const {
      const S first = part(0).mean()[c];
      S count = 0;
      S away = 0;
      for (Index i = 0; i < shards; ++i) {
        count += *part(i).rows();
        away += *part(i).rows() * (part(i).mean()[c] - first);
      }
      const S inverse = count > 0 ? 1 / count : S(0);
      const S mean = first + away * inverse;
      S rest = 0;
      for (Index i = 0; i < shards; ++i)
        rest += *part(i).rows() * (part(i).mean()[c] - mean) + part(i).deviations()[c];
      rest *= inverse;
      S squares = 0;
      for (Index i = 0; i < shards; ++i) {
        const S step = (part(i).mean()[c] - mean) - rest;
        squares += part(i).squares()[c] + step * (2 * part(i).deviations()[c] + *part(i).rows() * step);
      }
      statistics.mean[c] = mean;
      statistics.rest[c] = rest;
      statistics.rstd[c] = 1 / std::sqrt(squares * inverse + S(kernels::kNormEpsilon));
      if (running_mean == nullptr || count < 2) return;
      constexpr double momentum = 0.1;
      running_mean[c] = S(1 - momentum) * running_mean[c] + S(momentum) * (mean + rest);
      running_var[c] = S(1 - momentum) * running_var[c] + S(momentum) * squares / (count - 1);
    }

   private:
    SMA_HD Part<S> part(Index i) const { return {parts + i * Part<S>::size}; }
  };
  template <class S>
  struct Running {
    const S* running_mean;
    const S* running_var;
    Statistics<S> statistics;
    SMA_HD Index extent() const { return Width; }
    SMA_HD void operator()(Index c) const {
      statistics.mean[c] = running_mean[c];
      statistics.rest[c] = 0;
      statistics.rstd[c] = 1 / std::sqrt(running_var[c] + S(kernels::kNormEpsilon));
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
