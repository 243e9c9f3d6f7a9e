#pragma once

#include <algorithm>
#include <cmath>

namespace sma {

/// Learning rate over training. Updates count from 1; a step may be a fraction.
///
///     warm-up:  initial + step^power (peak - initial) / warmup^power        up to step = warmup
///     then      linear to `last` at step = total, or half a cosine to it
///
/// With `last` = 0, as in the recipes of the SeqBoat paper, update `total` changes no weight. PyTorch's usual linear warm-up and
/// decay (LambdaLR, transformers.get_linear_schedule_with_warmup) reaches 0 one update later: `total` = updates + 1 in a loop of
/// one's own, or `last` = peak / (updates - warmup). PyTorch: CosineAnnealingLR(eta_min=last), LinearLR.
struct Schedule {
  enum class Decay { linear, cosine, constant };
  double peak = 1e-3;
  double total = 1000;
  double warmup = 0;
  double initial = 1e-7;
  double power = 1;
  Decay decay = Decay::linear;
  double last = 0;

  [[nodiscard]] double at(double step) const {
    if (step < warmup) return initial + std::pow(step, power) * (peak - initial) / std::pow(warmup, power);
    const double left = std::clamp((total - step) / std::max(total - warmup, 1e-12), 0.0, 1.0);
    switch (decay) {
      case Decay::linear:
        return last + (peak - last) * left;
      case Decay::cosine:
        return last + (peak - last) * 0.5 * (1.0 + std::cos((1.0 - left) * 3.14159265358979323846));
      default:
        return peak;
    }
  }
};

}  // namespace sma
