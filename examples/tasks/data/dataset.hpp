#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <sma/base/error.hpp>
#include <sma/base/text.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tasks {

/// Labelled sequences of `T`, one after another in memory.
template <class T>
class SequenceDataset {
 public:
  void append(std::span<const T> sequence, std::int32_t label) {
    values_.insert(values_.end(), sequence.begin(), sequence.end());
    offsets_.push_back(values_.size());
    labels_.push_back(label);
  }
  void reserve(std::size_t sequences, std::size_t values) {
    values_.reserve(values);
    offsets_.reserve(sequences + 1);
    labels_.reserve(sequences);
  }

  [[nodiscard]] std::size_t size() const { return labels_.size(); }
  [[nodiscard]] std::span<const T> sequence(std::size_t i) const {
    return std::span<const T>(values_).subspan(offsets_[i], offsets_[i + 1] - offsets_[i]);
  }
  [[nodiscard]] std::int32_t label(std::size_t i) const { return labels_[i]; }
  [[nodiscard]] std::size_t values() const { return values_.size(); }
  [[nodiscard]] std::size_t longest() const {
    std::size_t most = 0;
    for (std::size_t i = 0; i < size(); ++i) most = std::max(most, sequence(i).size());
    return most;
  }

 private:
  std::vector<T> values_;
  std::vector<std::size_t> offsets_{0};
  std::vector<std::int32_t> labels_;
};

/// A data set's three parts, each of labelled sequences by number: `size`, `sequence(i)`, `label(i)`.
template <class Part>
struct Parts {
  Part train;
  Part validation;
  Part test;
};
template <class T>
using Splits = Parts<SequenceDataset<T>>;

/// What is stored is the network's input.
struct AsStored {
  template <class T>
  T operator()(T value) const {
    return value;
  }
};
/// Tokens of text: 0 padding (never in a sequence here), 1 + byte.
inline constexpr std::int32_t kByteVocabulary = 257;
struct ByteToken {
  std::int32_t operator()(std::uint8_t byte) const { return 1 + static_cast<std::int32_t>(byte); }
};
/// How stored pixels become inputs: (x / 255 - mean) / deviation.
struct Normalisation {
  float mean;
  float deviation;
  float operator()(std::uint8_t pixel) const {
    return (static_cast<float>(pixel) / 255.0F - mean) / deviation;
  }
};

/// A small generator whose numbers are the same on every platform (SplitMix64).
class SplitMix {
 public:
  explicit SplitMix(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
  }
  /// Uniform in 0 .. bound - 1, without bias.
  std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    std::uint64_t draw = next();
    while (draw >= limit) draw = next();
    return draw % bound;
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  std::uint64_t state_;
};

/// A hash of all sequences and labels, the same on every platform.
template <class T>
std::uint64_t hash(const Splits<T>& splits) {
  std::uint64_t h = 0;
  const auto add = [&h](std::uint64_t value) {
    h = (h ^ value) * 0x9E3779B97F4A7C15U;
    h ^= h >> 29;
  };
  for (const SequenceDataset<T>* part : {&splits.train, &splits.validation, &splits.test}) {
    add(part->size());
    for (std::size_t i = 0; i < part->size(); ++i) {
      add(static_cast<std::uint64_t>(part->label(i)));
      add(part->sequence(i).size());
      for (const T value : part->sequence(i)) add(static_cast<std::uint64_t>(value));
    }
  }
  return h;
}

using sma::hash_text;

/// Endless epochs of 0 .. size - 1, each in an order of its own that is a function of (seed, epoch) alone: a run resumed at
/// (epoch, index) sees what it would have seen.
class ShuffledOrder {
 public:
  ShuffledOrder(std::size_t size, std::uint64_t seed) : seed_(seed), order_(size) {
    if (size == 0) throw sma::Error("training data: found 0 examples, expected at least one");
    shuffle();
  }
  std::size_t next() {
    if (index_ == static_cast<std::int64_t>(order_.size())) seek(epoch_ + 1, 0);
    return order_[static_cast<std::size_t>(index_++)];
  }
  [[nodiscard]] std::size_t size() const { return order_.size(); }
  [[nodiscard]] std::int64_t epoch() const { return epoch_; }
  [[nodiscard]] std::int64_t index() const { return index_; }
  void seek(std::int64_t epoch, std::int64_t index) {
    if (epoch < 0 || index < 0 || index > static_cast<std::int64_t>(order_.size()))
      throw sma::Error("data position: found epoch " + std::to_string(epoch) + ", index " +
                       std::to_string(index) + ", expected an index up to " + std::to_string(order_.size()));
    epoch_ = epoch;
    index_ = index;
    shuffle();
  }

 private:
  void shuffle() {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    SplitMix random(seed_ * 0x9E3779B97F4A7C15U + static_cast<std::uint64_t>(epoch_));
    for (std::size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random.below(i)]);
  }

  std::uint64_t seed_;
  std::int64_t epoch_ = 0;
  std::int64_t index_ = 0;
  std::vector<std::size_t> order_;
};

}  // namespace tasks
