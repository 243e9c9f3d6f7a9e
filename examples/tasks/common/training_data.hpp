#pragma once

#include <cstdint>
#include <sma/base/sequences.hpp>
#include <sma/train/trainer.hpp>
#include <string>
#include <tasks/data/dataset.hpp>
#include <utility>
#include <vector>

#if !defined(SEQBOAT_TASKS_REAL)
#define SEQBOAT_TASKS_REAL float
#endif

namespace tasks {

/// What the trainers compute in: float, or double where they are built with SEQBOAT_TASKS_REAL=double.
using Real = SEQBOAT_TASKS_REAL;

/// A split data set as `sma::Trainer` wants it: shuffled training examples, evaluation examples by number. `Convert` turns a
/// stored value into a network input element. An example is `Sequences` of them, one after another, with the first one's label.
/// A network may take several elements a step: then the values of a sequence fill rows of that width, one after another.
/// They stand in memory, unless another `Part` brings them.
template <class Stored, class Element, class Convert = AsStored, std::size_t Sequences = 1,
          class Part = SequenceDataset<Stored>>
class TrainingData {
 public:
  using Input = sma::Batch<Element, 1>;

  TrainingData(Parts<Part> splits, std::uint64_t seed, Convert convert = {})
      : splits_(std::move(splits)), order_(splits_.train.size() / Sequences, seed), convert_(convert) {}

  template <sma::Index Width>
  void next(sma::Index count, sma::Batch<Element, Width>& x, std::vector<std::int32_t>& targets) {
    for (sma::Index i = 0; i < count; ++i) append(splits_.train, order_.next(), x, targets);
  }
  [[nodiscard]] std::int64_t epoch() const { return static_cast<std::int64_t>(order_.epoch()); }
  [[nodiscard]] std::int64_t index() const { return static_cast<std::int64_t>(order_.index()); }
  void seek(std::int64_t epoch, std::int64_t index) { order_.seek(epoch, index); }

  [[nodiscard]] sma::Index size(sma::Split split) const {
    return static_cast<sma::Index>(part(split).size() / Sequences);
  }
  template <sma::Index Width>
  void example(sma::Split split, sma::Index i, sma::Batch<Element, Width>& x,
               std::vector<std::int32_t>& targets) {
    append(part(split), i, x, targets);
  }
  [[nodiscard]] sma::Index training_size() const {
    return static_cast<sma::Index>(splits_.train.size() / Sequences);
  }
  /// How inputs are made of what is stored, for programs that read the weights.
  [[nodiscard]] const Convert& convert() const { return convert_; }
  [[nodiscard]] const Parts<Part>& splits() const { return splits_; }
  /// Tells this data set from others: "96000 + 2000 + 2000 examples, 8f3a...", a hash of every value and label.
  [[nodiscard]] std::string fingerprint() const {
    const auto examples = [](const Part& of) { return std::to_string(of.size() / Sequences); };
    return examples(splits_.train) + " + " + examples(splits_.validation) + " + " + examples(splits_.test) +
           " examples, " + hash_text(hash(splits_));
  }

 private:
  [[nodiscard]] const Part& part(sma::Split split) const {
    return split == sma::Split::test ? splits_.test : splits_.validation;
  }
  template <class Number, class Batch>
  void append(const Part& from, Number i, Batch& x, std::vector<std::int32_t>& targets) {
    const std::size_t first = static_cast<std::size_t>(i) * Sequences;
    for (std::size_t k = first; k < first + Sequences; ++k) {
      const auto stored = from.sequence(k);
      converted_.resize(stored.size());
      for (std::size_t t = 0; t < stored.size(); ++t) converted_[t] = convert_(stored[t]);
      x.append(converted_);
    }
    targets.push_back(from.label(first));
  }

  Parts<Part> splits_;
  ShuffledOrder order_;
  Convert convert_;
  std::vector<Element> converted_;
};

}  // namespace tasks
