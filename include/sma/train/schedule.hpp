#pragma once

#include <algorithm>
#include <cmath>

namespace sma {

/// Learning rate over training. Steps count from 1 and may be fractions.
///
///     warm-up:  initial + step^power (peak - initial) / warmup^power        up to step = warmup
///     then      linear to 0 at step = total, or half a cosine to 0
struct Schedule {
  enum class Decay { linear, cosine, constant };
  double peak = 1e-3;
  double total = 1000;
  double warmup = 0;
  double initial = 1e-7;
  double power = 1;
  Decay decay = Decay::linear;

  [[nodiscard]] double at(double step) const {
    if (step < warmup) return initial + std::pow(step, power) * (peak - initial) / std::pow(warmup, power);
    const double left = std::clamp((total - step) / std::max(total - warmup, 1e-12), 0.0, 1.0);
    switch (decay) {
      case Decay::linear:
        return peak * left;
      case Decay::cosine:
        return peak * 0.5 * (1.0 + std::cos((1.0 - left) * 3.14159265358979323846));
      default:
        return peak;
    }
  }
};

}  // namespace sma
