#pragma once

#include <cmath>
#include <sma/base/config.hpp>

namespace sma {

/// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter-based generator.
/// The same (key, counter) gives the same four words on every backend, thread count and resume.
struct Philox {
  struct Block {
    std::uint32_t word[4];
  };
  static constexpr int kRounds = 10;
  static constexpr std::uint64_t kMultiplier0 = 0xD2511F53U;
  static constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57U;
  static constexpr std::uint32_t kWeyl0 = 0x9E3779B9U;
  static constexpr std::uint32_t kWeyl1 = 0xBB67AE85U;

  SMA_HD static Block generate(std::uint64_t key, std::uint64_t counter_low, std::uint64_t counter_high) {
    auto k0 = static_cast<std::uint32_t>(key);
    auto k1 = static_cast<std::uint32_t>(key >> 32);
    std::uint32_t c[4] = {
        static_cast<std::uint32_t>(counter_low), static_cast<std::uint32_t>(counter_low >> 32),
        static_cast<std::uint32_t>(counter_high), static_cast<std::uint32_t>(counter_high >> 32)};
    for (int round = 0; round < kRounds; ++round) {
      const std::uint64_t product0 = kMultiplier0 * c[0];
      const std::uint64_t product1 = kMultiplier1 * c[2];
      const std::uint32_t next[4] = {
          static_cast<std::uint32_t>(product1 >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(product1),
          static_cast<std::uint32_t>(product0 >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(product0)};
      for (int i = 0; i < 4; ++i) c[i] = next[i];
      k0 += kWeyl0;
      k1 += kWeyl1;
    }
    return {{c[0], c[1], c[2], c[3]}};
  }
};

/// Uniform in (0, 1), never 0 nor 1: 2^-33 + word * 2^-32.
SMA_HD inline double to_unit(std::uint32_t word) { return (static_cast<double>(word) + 0.5) * 0x1p-32; }

/// A random stream for one use inside one module instance at one training step: element (row id, column) has its
/// own number, whatever shard or thread computes it.
struct RandomStream {
  std::uint64_t key = 0;
  std::uint64_t instance = 0;

  /// The stream of one use of a module instance at a step of a run with this seed. Key and instance are drawn themselves, from
  /// counters that no `RandomSequence` with a stream number below 2^63 reaches (initial values): streams of different arguments share
  /// numbers by chance alone. Instance and use count below 2^31 and 2^32.
  SMA_HD static RandomStream derived(std::uint64_t seed, std::uint64_t step, std::uint64_t instance,
                                     std::uint64_t use) {
    constexpr std::uint64_t kDomain = std::uint64_t{1} << 63;
    const Philox::Block b = Philox::generate(seed, step, kDomain | instance << 32 | use);
    return {static_cast<std::uint64_t>(b.word[0]) << 32 | b.word[1],
            static_cast<std::uint64_t>(b.word[2]) << 32 | b.word[3]};
  }

  /// The counter of elements 4q .. 4q+3 of row `id`.
  SMA_HD static std::uint64_t counter(std::int32_t id, Index quad) {
    return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(id)) << 24) +
           static_cast<std::uint64_t>(quad);
  }
  /// Four words for elements 4q .. 4q+3 of row `id`.
  SMA_HD Philox::Block block(std::int32_t id, Index quad) const {
    return Philox::generate(key, counter(id, quad), instance);
  }
  SMA_HD double uniform(std::int32_t id, Index column) const {
    return to_unit(block(id, column / 4).word[column % 4]);
  }
};

/// Host-side sequential draws from one Philox stream. Initial values of a network's tensors are those of (seed, the tensor's offset).
class RandomSequence {
 public:
  RandomSequence(std::uint64_t key, std::uint64_t stream) : key_(key), stream_(stream) {}

  double uniform() {
    if (used_ == 4) {
      block_ = Philox::generate(key_, counter_++, stream_);
      used_ = 0;
    }
    return to_unit(block_.word[used_++]);
  }
  /// Standard normal by Box-Muller.
  SMA_NOINLINE double normal() {
    const double radius = std::sqrt(-2.0 * std::log(uniform()));
    return radius * std::cos(6.283185307179586 * uniform());
  }
  /// Standard normal, redrawn until it lies within +-2.
  double truncated_normal() {
    double z = normal();
    while (std::abs(z) > 2.0) z = normal();
    return z;
  }

 private:
  std::uint64_t key_;
  std::uint64_t stream_;
  std::uint64_t counter_ = 0;
  Philox::Block block_{};
  int used_ = 4;
};

}  // namespace sma
