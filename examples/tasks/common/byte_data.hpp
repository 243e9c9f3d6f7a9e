#pragma once

#include <algorithm>
#include <cstdint>
#include <sma/base/sequences.hpp>
#include <sma/train/trainer_options.hpp>
#include <string>
#include <tasks/common/shown.hpp>
#include <tasks/data/bytes.hpp>
#include <tasks/data/dataset.hpp>
#include <utility>
#include <vector>

namespace tasks {

/// How a text is cut for a language model.
struct Segments {
  std::size_t length;       // bytes of an example that are predicted
  std::size_t context = 0;  // bytes before them that an evaluation reads, too
};

/// A text as `sma::Trainer` wants it. The example [b, e) of it reads bytes b - 1 to e - 2 and is to predict b to e - 1, a target a row.
///
/// Training: in each epoch segments of `length` bytes lie end to end, from an offset of the epoch's own, so that borders do not stay;
/// they come in an order of the epoch's own. Both are functions of (seed, epoch).
/// Evaluation: the segments of a split, in its order; each byte of it is predicted once. The up to `context` bytes before a segment, in
/// its split, are read with it, their targets `ignored`.
class ByteData {
 public:
  using Input = sma::Batch<sma::Token, 1>;
  static constexpr std::int32_t ignored = -1;

  ByteData(ByteText text, std::uint64_t seed, Segments segments)
      : text_(std::move(text)),
        segments_(segments),
        length_(std::min(segments.length, text_.train().size())),
        seed_(seed),
        order_(std::max<std::size_t>(text_.train().size() / length_, 2) - 1, seed) {}

  void next(sma::Index count, Input& x, std::vector<std::int32_t>& targets) {
    for (sma::Index i = 0; i < count; ++i) {
      const std::size_t segment = order_.next();
      const std::size_t begin = offset() + segment * length_;
      append(begin, begin, begin + length_, x, targets);
    }
  }
  [[nodiscard]] std::int64_t epoch() const { return order_.epoch(); }
  [[nodiscard]] std::int64_t index() const { return order_.index(); }
  void seek(std::int64_t epoch, std::int64_t index) { order_.seek(epoch, index); }

  [[nodiscard]] sma::Index size(sma::Split split) const {
    return static_cast<sma::Index>((text_.part(split).size() + segments_.length - 1) / segments_.length);
  }
  void example(sma::Split split, sma::Index i, Input& x, std::vector<std::int32_t>& targets) {
    const ByteText::Part part = text_.part(split);
    const std::size_t begin = part.begin + static_cast<std::size_t>(i) * segments_.length;
    const std::size_t context = std::min(segments_.context, begin - part.begin);
    append(begin - context, begin, std::min(begin + segments_.length, part.end), x, targets);
  }
  /// Passage `i` of `count`, far from each other, of a split: `length` bytes as they are read. What is not printed is a dot.
  [[nodiscard]] ShownText shown(sma::Split split, std::size_t i, std::size_t count,
                                std::size_t length) const {
    const ByteText::Part part = text_.part(split);
    const std::size_t begin = part.begin + part.size() * i / count;
    ShownText out;
    for (std::size_t at = begin; at < std::min(begin + length, part.end); ++at) {
      const std::uint8_t byte = text_.bytes()[at];
      out.tokens.push_back(byte);
      const bool is_printed = byte >= ' ' && byte < 127;
      out.characters.push_back(byte == '\n' ? " "
                               : is_printed ? std::string(1, static_cast<char>(byte))
                                            : "\u00b7");
    }
    return out;
  }
  [[nodiscard]] sma::Index training_size() const { return static_cast<sma::Index>(order_.size()); }
  [[nodiscard]] const ByteText& text() const { return text_; }
  [[nodiscard]] const Segments& segments() const { return segments_; }
  [[nodiscard]] std::string fingerprint() const { return text_.fingerprint(); }

 private:
  /// Where the epoch's first segment begins.
  [[nodiscard]] std::size_t offset() const {
    const std::size_t spare = text_.train().size() - order_.size() * length_;
    SplitMix random((seed_ + 1) * 0xBF58476D1CE4E5B9U + static_cast<std::uint64_t>(order_.epoch()));
    return static_cast<std::size_t>(random.below(std::min(spare, length_ - 1) + 1));
  }

  /// Reads from `from` on, predicts [begin, end).
  void append(std::size_t from, std::size_t begin, std::size_t end, Input& x,
              std::vector<std::int32_t>& targets) {
    tokens_.clear();
    for (std::size_t at = from; at < end; ++at) {
      tokens_.push_back(text_.before(at));
      targets.push_back(at < begin ? ignored : text_.bytes()[at]);
    }
    x.append(tokens_);
  }

  ByteText text_;
  Segments segments_;
  std::size_t length_;  // of training's segments
  std::uint64_t seed_;
  ShuffledOrder order_;
  std::vector<sma::Token> tokens_;
};

}  // namespace tasks
