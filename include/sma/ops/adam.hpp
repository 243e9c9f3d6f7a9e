#pragma once

#include <cmath>
#include <sma/base/config.hpp>

/// Adam over one buffer of parameters.
namespace sma {

inline namespace SMA_ISA {
namespace ops {

/// One Adam update with decoupled weight decay; `rectified` < 0 means: momentum alone, without the second moment.
template <class T>
struct AdamUpdate {
  T* weight;
  const T* gradient;
  T* first;
  T* second;
  Index size;
  T clip;  // multiplies the gradient
  T beta1, beta2;
  T step_size;        // lr / (1 - beta1^t)
  T root_correction;  // sqrt(1 - beta2^t)
  T epsilon;          // added to sqrt(v) / root_correction
  T decay;            // 1 - lr * weight_decay
  T rectified;        // RAdam's r_t; 1 for AdamW; < 0: no second moment

  /// The same for some of the parameters.
  [[nodiscard]] AdamUpdate part(Index begin, Index count) const {
    AdamUpdate out = *this;
    out.weight += begin;
    out.gradient += begin;
    out.first += begin;
    out.second += begin;
    out.size = count;
    return out;
  }
  SMA_HD Index extent() const { return size; }
  SMA_HD void operator()(Index i) const {
    const T g = gradient[i] * clip;
    const T m = beta1 * first[i] + (1 - beta1) * g;
    const T v = beta2 * second[i] + (1 - beta2) * g * g;
    first[i] = m;
    second[i] = v;
    T update = m;
    if (rectified >= 0) update = rectified * m / (std::sqrt(v) / root_correction + epsilon);
    weight[i] = weight[i] * decay - step_size * update;
  }
};

}  // namespace ops
}  // namespace SMA_ISA

}  // namespace sma
