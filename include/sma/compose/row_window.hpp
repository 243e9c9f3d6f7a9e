#pragma once

#include <algorithm>
#include <sma/base/sequences.hpp>
#include <sma/ops/attention.hpp>
#include <sma/ops/rows.hpp>

namespace sma {

/// Rows begin .. end - 1 of a batch, and around them first .. last - 1, all rows that they meet. `fresh` is where the rows
/// begin that no block before has had around it; rows before it lie `first - held` further on in what the block before held.
struct RowBlock {
  Index begin, end;
  Index first, last;
  Index fresh;
  Index held;
};

/// Blocks of rows that stay in a processor's caches from one kernel to the next, where the backend names their size
/// (`Backend::row_block`); otherwise one block, the batch. A row meets those up to `reach` rows from it, and a module that makes something of
/// each row makes it once, for the rows that are fresh, and carries what the block before had made of the others.
///
///     sma::RowWindow window(ctx, s, reach);
///     const auto made = ctx.template scratch_rows<W>(window.most_rows());
///     window.for_each([&](const sma::RowBlock& b) {
///       window.carry(b, made);                                   // rows first .. fresh - 1 lie at the beginning now
///       ... make rows fresh .. last - 1 at made.block(b.fresh - b.first, b.last - b.fresh)
///       ... rows begin .. end - 1 look at all of made, with window.around(b)
///     });
template <class C>
class RowWindow {
 public:
  /// Takes memory of the enclosing scope for the sequences of a block.
  RowWindow(C& ctx, const Sequences& s, Index reach)
      : ctx_(ctx),
        s_(s),
        reach_(std::min(reach, s.rows)),
        offsets_(ctx.template scratch<std::int32_t>(s.count + 1)) {}

  /// Rows of a block at most, those around it included.
  [[nodiscard]] Index most_rows() const { return std::min(s_.rows, block_rows() + 2 * reach_); }

  /// Calls f(block), once at least.
  template <class F>
  void for_each(const F& f) const {
    const Index size = block_rows();
    RowBlock b{};
    do {
      b.begin = b.end;
      b.end = std::min(b.begin + size, s_.rows);
      b.held = b.first;
      b.first = std::max<Index>(0, b.begin - reach_);
      b.fresh = b.last;
      b.last = std::min(b.end + reach_, s_.rows);
      f(b);
    } while (b.end < s_.rows);
  }

  /// The sequences' rows first .. last - 1, counted from there. Until the next call.
  [[nodiscard]] Sequences around(const RowBlock& b) const {
    ctx_.launch(ops::ClipOffsets{s_, b.first, b.last, offsets_});
    return {b.last - b.first, s_.count, offsets_, s_.positions + b.first, s_.ids + b.first};
  }

  /// Brings what x, of the block before, holds of a block's rows to its beginning.
  template <class... S, Index... N>
  void carry(const RowBlock& b, Rows<S, N>... x) const {
    const Index count = b.fresh - b.first;
    if (count > 0)
      (ctx_.launch(ops::CopyRows<S, N>{x.block(b.first - b.held, count), x.block(0, count)}), ...);
  }

  /// How many of a block's rows no later block looks at: all of the last one's.
  [[nodiscard]] Index done(const RowBlock& b) const {
    return (b.end == s_.rows ? s_.rows : b.end - reach_) - b.first;
  }

 private:
  /// Three times its reach, so that what two blocks have in common is not everything, and moves without overlap.
  [[nodiscard]] Index block_rows() const {
    if constexpr (requires { C::Backend::row_block; })
      return std::min(s_.rows, std::max<Index>(C::Backend::row_block, 3 * reach_));
    else
      return s_.rows;
  }

  C& ctx_;
  const Sequences& s_;
  Index reach_;
  std::int32_t* offsets_;  // (count + 1)
};

}  // namespace sma
