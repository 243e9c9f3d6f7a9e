#pragma once

#include <algorithm>
#include <sma/eigen/backend.hpp>
#include <sma/eigen/part.hpp>
#include <sma/eigen/simd/pack.hpp>
#include <sma/ops/adam.hpp>

/// Adam's update in SIMD packs.
namespace sma {

/// The last parameters go through a padded pack: what becomes of a parameter does not depend on where its thread's part ends.
template <class T>
void run(Context<Eigen<T>>&, const ops::AdamUpdate<T>& k) {
  using Pack = eigen::Pack<T>;
  constexpr Index kSize = Pack::size;
  const auto update = [&k](T* weight, const T* gradient, T* first, T* second) {
    const Pack g = Pack::load(gradient) * k.clip;
    const Pack m = Pack(k.beta1) * Pack::load(first) + Pack(1 - k.beta1) * g;
    const Pack v = Pack(k.beta2) * Pack::load(second) + Pack(1 - k.beta2) * g * g;
    m.store(first);
    v.store(second);
    Pack step = m;
    if (k.rectified >= 0) step = Pack(k.rectified) * m / (sqrt(v) / k.root_correction + k.epsilon);
    (Pack::load(weight) * k.decay - Pack(k.step_size) * step).store(weight);
  };
  Index i = 0;
  for (; i + kSize <= k.size; i += kSize) update(k.weight + i, k.gradient + i, k.first + i, k.second + i);
  if (i == k.size) return;
  const Index count = k.size - i;
  T rest[4][array_bound<kSize>] = {};
  std::copy_n(k.weight + i, count, rest[0]);
  std::copy_n(k.gradient + i, count, rest[1]);
  std::copy_n(k.first + i, count, rest[2]);
  std::copy_n(k.second + i, count, rest[3]);
  update(rest[0], rest[1], rest[2], rest[3]);
  std::copy_n(rest[0], count, k.weight + i);
  std::copy_n(rest[2], count, k.first + i);
  std::copy_n(rest[3], count, k.second + i);
}

}  // namespace sma
