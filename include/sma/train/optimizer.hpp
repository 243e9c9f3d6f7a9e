#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <sma/network/network.hpp>
#include <sma/ops/adam.hpp>
#include <sma/ops/sums.hpp>
#include <span>

namespace sma {

/// Hyper-parameters of AdamW (Loshchilov and Hutter, 2019) and RAdam (Liu et al., 2020). Weight decay is decoupled and
/// applies to every parameter. PyTorch starts from beta2 = 0.999, and AdamW from weight_decay = 0.01.
struct AdamOptions {
  double beta1 = 0.9;
  double beta2 = 0.98;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
};

/// The factor that brings a gradient of norm `norm` down to `limit`, min(1, limit / (norm + 1e-6)); NaN when the norm is.
/// 1 when `limit` is not positive: no clipping. PyTorch: clip_grad_norm_, which takes a limit of 0 at its word.
inline double clip_factor(double norm, double limit) {
  if (!(limit > 0)) return 1.0;
  const double factor = limit / (norm + 1e-6);
  return factor > 1.0 ? 1.0 : factor;
}

/// Adam with decoupled weight decay over a network's one parameter buffer: one fused loop a step. The moments m and v are two
/// buffers of the same layout. At update t, with gradient g times the clip,
///
///     m <- beta1 m + (1 - beta1) g,   v <- beta2 v + (1 - beta2) g^2,   w <- (1 - lr weight_decay) w - lr m_hat u
///
/// where m_hat = m / (1 - beta1^t), c = 1 - beta2^t, and u = 1 / (sqrt(v / c) + epsilon). `Rectified` has epsilon inside the
/// correction, u = r_t sqrt(c) / (sqrt(v) + epsilon), or u = 1 while the variance of v is not tractable (r_t: Liu et al.,
/// algorithm 2). PyTorch: optim.AdamW; with `Rectified`, optim.RAdam(decoupled_weight_decay=True).
template <class Net, bool Rectified = false>
class Adam {
 public:
  using Scalar = typename Net::Compute;
  using B = typename Net::BackendType;

  explicit Adam(Net& net, AdamOptions options = {})
      : net_(net),
        options_(options),
        first_(net.backend(), Net::parameter_count),
        second_(net.backend(), Net::parameter_count),
        partial_(net.backend(), kChunks) {}

  /// Euclidean norm of the network's accumulated gradient.
  [[nodiscard]] double gradient_norm() {
    net_.for_each_index(kChunks, ops::PartialSquares<Scalar>{net_.gradients().data(), Net::parameter_count,
                                                             kChunks, partial_.data()});
    std::array<double, kChunks> host;
    partial_.download(host.data(), kChunks);
    net_.backend().wait();
    double total = 0;
    for (const double x : host) total += x;
    return std::sqrt(total);
  }

  /// One update with learning rate `lr` and the gradient times `clip`.
  void step(double lr, double clip = 1.0) {
    ++steps_;
    const auto t = static_cast<double>(steps_);
    const double correction1 = 1.0 - std::pow(options_.beta1, t);
    const double correction2 = 1.0 - std::pow(options_.beta2, t);
    const double root = std::sqrt(correction2);
    const double epsilon = Rectified ? options_.epsilon / root : options_.epsilon;
    const auto s = [](double x) { return static_cast<Scalar>(x); };
    net_.for_each_index(Net::parameter_count,
                        ops::AdamUpdate<Scalar>{net_.parameters().data(), net_.gradients().data(),
                                                first_.data(), second_.data(), Net::parameter_count, s(clip),
                                                s(options_.beta1), s(options_.beta2), s(lr / correction1),
                                                s(root), s(epsilon), s(1.0 - lr * options_.weight_decay),
                                                s(Rectified ? rectification(t, correction2) : 1.0)});
  }

  [[nodiscard]] std::span<Scalar> first_moment() {
    return {first_.data(), static_cast<std::size_t>(Net::parameter_count)};
  }
  [[nodiscard]] std::span<Scalar> second_moment() {
    return {second_.data(), static_cast<std::size_t>(Net::parameter_count)};
  }
  [[nodiscard]] Index steps() const { return steps_; }
  void set_steps(Index steps) { steps_ = steps; }

 private:
  static constexpr Index kChunks = 64;

  /// r_t of RAdam, or -1 while the variance of the second moment is not tractable.
  [[nodiscard]] double rectification(double t, double correction2) const {
    const double limit = 2.0 / (1.0 - options_.beta2) - 1.0;
    const double length = limit - 2.0 * t * std::pow(options_.beta2, t) / correction2;
    if (length <= 5.0) return -1.0;
    return std::sqrt((length - 4.0) * (length - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * length));
  }

  Net& net_;
  AdamOptions options_;
  detail::DeviceBuffer<B, Scalar> first_;
  detail::DeviceBuffer<B, Scalar> second_;
  detail::DeviceBuffer<B, double> partial_;
  Index steps_ = 0;
};

template <class Net>
using AdamW = Adam<Net, false>;
template <class Net>
using RAdam = Adam<Net, true>;

}  // namespace sma
