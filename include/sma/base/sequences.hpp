#pragma once

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <numeric>
#include <sma/base/config.hpp>
#include <sma/base/error.hpp>
#include <sma/base/views.hpp>
#include <span>
#include <string>
#include <vector>

namespace sma {

/// The shape of a packed batch: which rows belong to which sequence, and when each row happened. No padding.
///
/// Sequence s owns rows offsets[s] .. offsets[s+1]-1. `positions` are original time steps, strictly increasing inside a
/// sequence; compress keeps them. `ids` name the row in the batch that the network was given: random masks and traces
/// are keyed by them, so that they do not depend on how the batch is cut.
/// Zero rows, zero sequences and empty sequences are ordinary.
struct Sequences {
  Index rows = 0;                         // all rows
  Index count = 0;                        // sequences
  const std::int32_t* offsets = nullptr;  // (count + 1)
  const Position* positions = nullptr;    // (rows)
  const std::int32_t* ids = nullptr;      // (rows)

  SMA_HD Index begin(Index s) const { return offsets[s]; }
  SMA_HD Index end(Index s) const { return offsets[s + 1]; }
  SMA_HD Index length(Index s) const { return offsets[s + 1] - offsets[s]; }
};

/// A packed batch in host memory: sequences of rows of `Width` elements, one after another.
///
///     sma::Batch<float, 64> batch;
///     batch.append(rows_of_first_sequence);   // length * 64 floats
///
/// Throws `Error` for a negative length, for an element count that is no multiple of `Width`, and beyond 2^31 - 1 rows; the batch is
/// then as it was.
template <class T, Index Width>
class Batch {
 public:
  static constexpr Index width = Width;

  Batch() = default;

  /// A batch of zeros with the given sequence lengths.
  explicit Batch(std::span<const Index> lengths) { resize(lengths); }
  Batch(std::initializer_list<Index> lengths)
      : Batch(std::span<const Index>(lengths.begin(), lengths.size())) {}

  void resize(std::span<const Index> lengths) {
    Index total = 0;
    for (std::size_t s = 0; s < lengths.size(); ++s) total = longer(total, lengths[s], s);
    clear();
    for (const Index length : lengths) {
      values_.resize(values_.size() + static_cast<std::size_t>(length * Width));
      close_sequence(length);
    }
  }

  void append(std::span<const T> sequence) {
    if (static_cast<Index>(sequence.size()) % Width != 0)
      throw Error("sma::Batch::append: found " + std::to_string(sequence.size()) +
                  " elements, expected a multiple of " + std::to_string(Width));
    const Index length = static_cast<Index>(sequence.size()) / Width;
    longer(rows(), length, static_cast<std::size_t>(count()));
    values_.insert(values_.end(), sequence.begin(), sequence.end());
    close_sequence(length);
  }

  /// Empties the batch and keeps its memory.
  void clear() {
    values_.clear();
    offsets_.assign(1, 0);
    positions_.clear();
    ids_.clear();
  }

  [[nodiscard]] Index rows() const { return offsets_.back(); }
  [[nodiscard]] Index count() const { return static_cast<Index>(offsets_.size()) - 1; }
  [[nodiscard]] Index length(Index s) const { return sequences().length(s); }

  [[nodiscard]] Sequences sequences() const {
    return {rows(), count(), offsets_.data(), positions_.data(), ids_.data()};
  }
  [[nodiscard]] Rows<T, Width> view() { return {values_.data(), rows(), Width}; }
  [[nodiscard]] Rows<const T, Width> view() const { return {values_.data(), rows(), Width}; }
  [[nodiscard]] std::span<T> values() { return values_; }
  [[nodiscard]] std::span<const T> values() const { return values_; }
  T& operator()(Index row, Index column) { return values_[static_cast<std::size_t>(row * Width + column)]; }
  const T& operator()(Index row, Index column) const {
    return values_[static_cast<std::size_t>(row * Width + column)];
  }

 private:
  /// `rows` and those of sequence number `s`.
  static Index longer(Index rows, Index length, std::size_t s) {
    constexpr Index most = std::numeric_limits<std::int32_t>::max();
    if (length < 0 || length > most - rows)
      throw Error("sma::Batch: sequence " + std::to_string(s) + ": found length " + std::to_string(length) +
                  ", expected 0 to " + std::to_string(most - rows));
    return rows + length;
  }
  void close_sequence(Index length) {
    for (Index t = 0; t < length; ++t) {
      positions_.push_back(t);
      ids_.push_back(static_cast<std::int32_t>(offsets_.back() + t));
    }
    offsets_.push_back(static_cast<std::int32_t>(offsets_.back() + length));
  }

  std::vector<T> values_;                 // (rows, Width)
  std::vector<std::int32_t> offsets_{0};  // (count + 1)
  std::vector<Position> positions_;       // (rows)
  std::vector<std::int32_t> ids_;         // (rows)
};

}  // namespace sma
