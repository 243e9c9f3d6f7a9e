#pragma once

#include <cstdint>
#include <sma/base/sequences.hpp>
#include <sma/train/trainer_options.hpp>
#include <string>
#include <tasks/common/shown.hpp>
#include <tasks/data/recall.hpp>
#include <vector>

namespace tasks {

/// Texts of marked recall as `sma::Trainer` wants them, drawn when they are asked for. Only answers have targets.
class RecallData {
 public:
  using Input = sma::Batch<sma::Token, 1>;
  static constexpr std::int64_t kTraining = 1000000;
  static constexpr sma::Index kEvaluation = 200;

  RecallData(std::size_t length, std::uint64_t seed) : length_(length), seed_(seed) {}

  void next(sma::Index count, Input& x, std::vector<std::int32_t>& targets) {
    for (sma::Index i = 0; i < count; ++i) {
      if (index_ == kTraining) seek(epoch_ + 1, 0);
      append(static_cast<std::uint64_t>(epoch_ * kTraining + index_++), x, targets);
    }
  }
  [[nodiscard]] std::int64_t epoch() const { return epoch_; }
  [[nodiscard]] std::int64_t index() const { return index_; }
  void seek(std::int64_t epoch, std::int64_t index) {
    epoch_ = epoch;
    index_ = index;
  }

  [[nodiscard]] sma::Index size(sma::Split) const { return kEvaluation; }
  void example(sma::Split split, sma::Index i, Input& x, std::vector<std::int32_t>& targets) {
    append(number(split, i), x, targets);
  }
  [[nodiscard]] ShownText shown(sma::Split split, sma::Index i) const {
    const RecallText text = draw_recall(length_, seed_, number(split, i));
    return {text.tokens, text.characters(), text.answers};
  }
  [[nodiscard]] sma::Index training_size() const { return kTraining; }
  [[nodiscard]] std::string fingerprint() const {
    return "texts of " + std::to_string(length_) + ", seed " + std::to_string(seed_);
  }

 private:
  /// Of an evaluation's text: far from those that train.
  static std::uint64_t number(sma::Split split, sma::Index i) {
    constexpr std::uint64_t kFar = std::uint64_t{1} << 60;
    return kFar + static_cast<std::uint64_t>((split == sma::Split::test ? kEvaluation : 0) + i);
  }
  void append(std::uint64_t number, Input& x, std::vector<std::int32_t>& targets) {
    const RecallText text = draw_recall(length_, seed_, number);
    x.append(text.tokens);
    targets.insert(targets.end(), text.answers.begin(), text.answers.end());
  }

  std::size_t length_;
  std::uint64_t seed_;
  std::int64_t epoch_ = 0;
  std::int64_t index_ = 0;
};

}  // namespace tasks
