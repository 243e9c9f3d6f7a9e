#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <sma/base/config.hpp>
#include <sma/eigen/part.hpp>
#include <sma/eigen/simd/lanes.hpp>

/// Matrix products: C = A B from packed operands, register tile by register tile.
///
/// A is packed in stripes of kTileRows rows, B in panels of kTileColumns columns, both with the depth outermost, so that the
/// innermost loop reads each of them straight through: two vectors of B, kTileRows numbers of A, and as many multiply-adds as
/// registers hold. The order of an element's sum is its depth's, whatever the sizes: results do not depend on the rows that
/// are computed together. (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008.)
///
/// Why not Eigen's products: a packed B serves many products here (a sequence's keys all its queries), tiles follow the band of
/// an attention matrix, bias needs no pass of its own, and it compiles once a scalar type. docs/performance_steps.md has the numbers.
namespace sma {
inline namespace SMA_ISA {
namespace eigen {

/// Of the register tile: 28 of 32 registers accumulate, or 12 of 16.
inline constexpr Index kTileRows = kRegisterCount == 32 ? 14 : 6;
template <class T>
inline constexpr Index kTileColumns = 2 * kRegisterWidth<T>;

/// A matrix to be packed: element (i, j) at data[i * row_stride + j * column_stride], one of the strides 1.
template <class T>
struct Operand {
  const T* data;
  Index row_stride;
  Index column_stride;

  [[nodiscard]] Operand from(Index i, Index j) const {
    return {data + i * row_stride + j * column_stride, row_stride, column_stride};
  }
};
template <class T>
Operand<T> by_rows(const T* data, Index stride) {
  return {data, stride, 1};
}
template <class T>
Operand<T> transposed(const T* data, Index stride) {
  return {data, 1, stride};
}

constexpr Index round_up(Index n, Index multiple) { return (n + multiple - 1) / multiple * multiple; }

/// Numbers that pack_stripe and pack_panels write; whole vectors, so a stripe is a little longer than its numbers.
template <class T>
constexpr Index stripe_size(Index depth) {
  return depth * kTileRows + kRegisterWidth<T>;
}
template <class T>
constexpr Index panels_size(Index depth, Index columns) {
  return round_up(columns, kTileColumns<T>) * depth;
}

// ---- packing -----------------------------------------------------------------------------------------------------

/// Lanes a0 b0 a1 b1 ... of the lower halves of a and b, or of the upper ones.
template <bool Upper, class V, std::size_t... Lane>
[[gnu::always_inline]] inline void interleave(const V& a, const V& b, V& to, std::index_sequence<Lane...>) {
  constexpr std::size_t kWidth = sizeof...(Lane);
  constexpr std::size_t kFirst = Upper ? kWidth / 2 : 0;
  to = __builtin_shufflevector(a, b, (Lane % 2 * kWidth + Lane / 2 + kFirst)...);
}

/// Loads a register.
template <class T>
struct WholeLoad {
  void operator()(const T* from, Register<T>& to) const { std::memcpy(&to, from, sizeof(to)); }
};
/// Loads the first numbers of a register, zeros behind them, and touches nothing else.
template <class T>
class PartialLoad {
 public:
  explicit PartialLoad(Index count) : count_(std::clamp<Index>(count, 0, kRegisterWidth<T>)) {}
  void operator()(const T* from, Register<T>& to) const { load_first(from, count_, to); }

 private:
  Index count_;
};

/// x[p][r] = from(r, p) for the Width first p, loaded by `load`, and `rows` of Width rows (0 beyond), Width a register's numbers.
/// Interleaving the rows with those half of them further on, log2(Width) times, transposes.
template <class T, class Load>
[[gnu::always_inline]] inline void load_transposed(const T* from, Index stride, Index rows, const Load& load,
                                                   Register<T> (&x)[kRegisterWidth<T>]) {
  constexpr Index kWidth = kRegisterWidth<T>;
  unrolled<kWidth>([&](auto r) {
    if (r < rows)
      load(from + r * stride, x[r]);
    else
      x[r] = Register<T>{};
  });
  constexpr auto kLanes = std::make_index_sequence<static_cast<std::size_t>(kWidth)>{};
  unrolled<std::bit_width(static_cast<std::size_t>(kWidth)) - 1>([&](auto) {
    Register<T> y[array_bound<kWidth>];
    unrolled<kWidth / 2>([&](auto r) {
      interleave<false>(x[r], x[r + kWidth / 2], y[2 * r], kLanes);
      interleave<true>(x[r], x[r + kWidth / 2], y[2 * r + 1], kLanes);
    });
    unrolled<kWidth>([&](auto r) { x[r] = y[r]; });
  });
}

/// to[p * Rows + r] = from(r, p) for r < Rows (0 from `rows` on) and p < depth; rows are contiguous. Writes whole vectors, in
/// the order of p: numbers beyond Rows are overwritten by the next p, but for the last.
template <Index Rows, class T>
SMA_NOINLINE [[gnu::flatten]] void pack_rows(const T* from, Index stride, Index rows, Index depth, T* to) {
  constexpr Index kWidth = kRegisterWidth<T>;
  constexpr Index kGroups = (Rows + kWidth - 1) / kWidth;
  const auto pack = [&](Index p, Index count, const auto& load) {
    Register<T> x[array_bound<kGroups>][array_bound<kWidth>];
    unrolled<kGroups>([&](auto g) {
      load_transposed<T>(from + g * kWidth * stride + p, stride, rows - g * kWidth, load, x[g]);
    });
    unrolled<kWidth>([&](auto k) {
      if (k < count)
        unrolled<kGroups>(
            [&](auto g) { std::memcpy(to + (p + k) * Rows + g * kWidth, &x[g][k], sizeof(x[g][k])); });
    });
  };
  Index p = 0;
  for (; p + kWidth <= depth; p += kWidth) pack(p, kWidth, WholeLoad<T>{});
  if (p < depth) pack(p, depth - p, PartialLoad<T>(depth - p));
}

/// The columns of `copy_columns`, loaded by `load`, of which the first `summed` are added up.
template <Index Columns, class T, class Loads>
SMA_NOINLINE [[gnu::flatten]] void copy_loaded(const T* from, Index stride, Index depth, T* to, T* sums,
                                               Index summed, const Loads& load) {
  constexpr Index kWidth = kRegisterWidth<T>;
  constexpr Index kGroups = (Columns + kWidth - 1) / kWidth;
  constexpr Index kRows = 64;
  constexpr Index kSums = 4;  // so that additions wait less for each other
  for (Index first = 0; first < depth; first += kRows) {
    Register<T> sum[array_bound<kSums>][array_bound<kGroups>] = {};
    const auto copy = [&](Index p, auto set) {
      unrolled<kGroups>([&](auto g) {
        Register<T> x;
        load[g](from + p * stride + g * kWidth, x);
        std::memcpy(to + p * Columns + g * kWidth, &x, sizeof(x));
        sum[set][g] += x;
      });
    };
    const Index end = std::min(first + kRows, depth);
    Index p = first;
    for (; p + kSums <= end; p += kSums) unrolled<kSums>([&](auto set) { copy(p + set, set); });
    for (; p < end; ++p) copy(p, std::integral_constant<Index, 0>{});
    for (Index c = 0; c < summed; ++c)
      for (const auto& part : sum) sums[c] += part[c / kWidth][c % kWidth];
  }
}

/// to[p * Columns + c] = from[p * stride + c] for c < Columns (0 from `columns` on) and p < depth. Writes whole vectors as pack_rows
/// does. Adds to sums, unless null, what each column holds, 64 rows at a time: that keeps single precision honest over many rows.
template <Index Columns, class T>
void copy_columns(const T* from, Index stride, Index columns, Index depth, T* to, T* sums = nullptr) {
  constexpr Index kGroups = (Columns + kRegisterWidth<T> - 1) / kRegisterWidth<T>;
  const Index summed = sums == nullptr ? 0 : std::min(Columns, columns);
  if (columns >= kGroups * kRegisterWidth<T>) {
    copy_loaded<Columns>(from, stride, depth, to, sums, summed,
                         std::array<WholeLoad<T>, array_bound<kGroups>>{});
  } else {
    const auto load = [&]<std::size_t... G>(std::index_sequence<G...>) {
      return std::array{PartialLoad<T>(columns - static_cast<Index>(G) * kRegisterWidth<T>)...};
    };
    copy_loaded<Columns>(from, stride, depth, to, sums, summed,
                         load(std::make_index_sequence<static_cast<std::size_t>(kGroups)>{}));
  }
}

/// The first kTileRows of A's `rows` rows, depth columns, as the stripe that a tile reads: to[p * kTileRows + i] = A(i, p). Adds to
/// sums[i], unless null, what row i holds; only of an A whose columns are contiguous.
template <class T>
void pack_stripe(const Operand<T>& a, Index rows, Index depth, T* to, T* sums = nullptr) {
  if (a.row_stride == 1)
    copy_columns<kTileRows>(a.data, a.column_stride, rows, depth, to, sums);
  else
    pack_rows<kTileRows>(a.data, a.row_stride, rows, depth, to);
}

/// B (depth, columns) as panels of kTileColumns columns: to[(panel * depth + p) * kTileColumns + j] = B(p, panel's j).
template <class T>
void pack_panels(const Operand<T>& b, Index depth, Index columns, T* to) {
  constexpr Index kColumns = kTileColumns<T>;
  for (Index j = 0; j < columns; j += kColumns) {
    const Operand<T> panel = b.from(0, j);
    if (b.column_stride == 1)
      copy_columns<kColumns>(panel.data, panel.row_stride, columns - j, depth, to);
    else
      pack_rows<kColumns>(panel.data, panel.column_stride, columns - j, depth, to);
    to += depth * kColumns;
  }
}

// ---- one tile ----------------------------------------------------------------------------------------------------

/// What becomes of a product: c = A B, with `start` (one number a column) + A B, or c += A B; and then c += base, unless null.
template <class T>
struct Result {
  T* data;
  Index stride;
  const T* start = nullptr;
  bool add = false;
  const T* base = nullptr;  // may be c
  Index base_stride = 0;

  [[nodiscard]] Result from(Index i, Index j) const {
    return {data + i * stride + j,
            stride,
            start == nullptr ? nullptr : start + j,
            add,
            base == nullptr ? nullptr : base + i * base_stride + j,
            base_stride};
  }
};

/// A stripe as pack_stripe makes it.
template <class T>
struct PackedStripe {
  const T* data;
  T operator()(Index p, Index i) const { return data[p * kTileRows + i]; }
};
/// A stripe where it is, each row contiguous: one pointer to three rows, which are a stride apart, as processors add up to two strides to
/// an address.
template <class T>
class StripeRows {
 public:
  explicit StripeRows(const Operand<T>& a) : stride_(a.row_stride * static_cast<Index>(sizeof(T))) {
    for (Index g = 0; g < kGroups; ++g)
      first_[g] = reinterpret_cast<const char*>(a.data + g * kTogether * a.row_stride);
  }
  [[gnu::always_inline]] T operator()(Index p, Index i) const {
    return *reinterpret_cast<const T*>(first_[i / kTogether] + p * static_cast<Index>(sizeof(T)) +
                                       i % kTogether * stride_);
  }

 private:
  static constexpr Index kTogether = 3;
  static constexpr Index kGroups = (kTileRows + kTogether - 1) / kTogether;
  const char* first_[array_bound<kGroups>];
  Index stride_;
};

/// visit(stripe) with the first kTileRows of A's rows, read where they are or packed into `room`; sums as in pack_stripe.
template <class T, class Visit>
void with_stripe(const Operand<T>& a, Index rows, Index depth, T* room, T* sums, const Visit& visit) {
  if (a.column_stride == 1 && rows >= kTileRows && sums == nullptr) {
    visit(StripeRows<T>(a));
  } else {
    pack_stripe(a, rows, depth, room, sums);
    visit(PackedStripe<T>{room});
  }
}

/// A function whose loops begin at 64 bytes: two lines of the cache of decoded instructions hold multiply_tile's loop, which touches three
/// where it begins elsewhere. That costs 5 % of a model's inference on a Zen 3, and differs from program to program otherwise.
#if defined(__GNUC__) && !defined(__clang__)
#define SMA_ALIGNED_LOOPS [[gnu::optimize("align-loops=64")]]
#else
#define SMA_ALIGNED_LOOPS
#endif

/// rows x columns (at most kTileRows x Vectors registers) of a product, from a stripe and a panel.
template <Index Vectors, class T, class Stripe>
SMA_ALIGNED_LOOPS [[gnu::noinline, gnu::flatten]] void multiply_tile(Index depth, const Stripe& stripe,
                                                                     const T* b, const Result<T>& c,
                                                                     Index rows, Index columns) {
  constexpr Index kWidth = kRegisterWidth<T>;
  const Stripe a = stripe;  // a copy, which nothing that is written can change
  Register<T> sum[kTileRows][array_bound<Vectors>] = {};
  // A call that is left would keep the sums in memory.
  const auto for_each_sum = [&](const auto& f) __attribute__((always_inline)) {
    unrolled<kTileRows>([&](auto i) __attribute__((always_inline)) {
      unrolled<Vectors>([&](auto v) __attribute__((always_inline)) { f(i, v, sum[i][v]); });
    });
  };
  for (Index p = 0; p < depth; ++p) {
    Register<T> row[array_bound<Vectors>];
    unrolled<Vectors>([&](auto v) __attribute__((always_inline)) {
      std::memcpy(&row[v], b + v * kWidth, sizeof(row[v]));
    });
    unrolled<kTileRows>([&](auto i) __attribute__((always_inline)) {
      const T factor = a(p, i);
      unrolled<Vectors>([&](auto v) __attribute__((always_inline)) { sum[i][v] += factor * row[v]; });
    });
    b += kTileColumns<T>;
  }
  if (rows == kTileRows && columns == Vectors * kWidth) {
    const auto add = [](const T* from, Register<T>& to) __attribute__((always_inline)) {
      Register<T> other;
      std::memcpy(&other, from, sizeof(other));
      to += other;
    };
    if (c.add)
      for_each_sum([&](auto i, auto v, auto& to)
                       __attribute__((always_inline)) { add(c.data + i * c.stride + v * kWidth, to); });
    else if (c.start != nullptr)
      for_each_sum([&](auto, auto v, auto& to)
                       __attribute__((always_inline)) { add(c.start + v * kWidth, to); });
    if (c.base != nullptr)
      for_each_sum([&](auto i, auto v, auto& to)
                       __attribute__((always_inline)) { add(c.base + i * c.base_stride + v * kWidth, to); });
    for_each_sum([&](auto i, auto v, auto& from) __attribute__((always_inline)) {
      std::memcpy(c.data + i * c.stride + v * kWidth, &from, sizeof(from));
    });
    return;
  }
  std::array<T, static_cast<std::size_t>(kTileRows * Vectors * kWidth)> whole;
  for_each_sum([&](auto i, auto v, auto& from) __attribute__((always_inline)) {
    std::memcpy(whole.data() + (i * Vectors + v) * kWidth, &from, sizeof(from));
  });
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; ++j) {
      T& to = c.data[i * c.stride + j];
      const T old = c.add ? to : (c.start != nullptr ? c.start[j] : T(0));
      const T total = old + whole[static_cast<std::size_t>(i * Vectors * kWidth + j)];
      to = c.base == nullptr ? total : total + c.base[i * c.base_stride + j];
    }
}

/// A stripe times panels: rows x columns of a product. `panel_size` numbers lie between two panels' beginnings.
template <class T, class Stripe>
void multiply_stripe(Index depth, const Stripe& stripe, const T* panels, Index panel_size, const Result<T>& c,
                     Index rows, Index columns) {
  for (Index j = 0; j < columns; j += kTileColumns<T>) {
    const Index count = std::min(kTileColumns<T>, columns - j);
    if (count > kRegisterWidth<T>)
      multiply_tile<2>(depth, stripe, panels, c.from(0, j), rows, count);
    else
      multiply_tile<1>(depth, stripe, panels, c.from(0, j), rows, count);
    panels += panel_size;
  }
}

// ---- whole products ----------------------------------------------------------------------------------------------

/// Rows and columns of B that are packed at a time: they stay in the second-level cache.
inline constexpr Index kDepthBlock = 384;
inline constexpr Index kColumnBlock = 768;

/// c (rows, columns) = A (rows, depth) B (depth, columns). Scratch memory of the context holds the packed operands. Adds to
/// row_sums, unless null, the sums of A's rows; A's columns are contiguous then.
template <class C, class T>
void multiply(C& ctx, Index rows, Index columns, Index depth, const Operand<T>& a, const Operand<T>& b,
              Result<T> c, T* row_sums = nullptr) {
  if (rows == 0) return;
  auto scope = ctx.scope();
  T* room = ctx.template scratch<T>(stripe_size<T>(std::min(depth, kDepthBlock)));
  T* panels = ctx.template scratch<T>(panels_size<T>(
      std::min(depth, kDepthBlock), std::min(columns, round_up(kColumnBlock, kTileColumns<T>))));
  Index p = 0;
  do {
    const Index deep = std::min(kDepthBlock, depth - p);
    for (Index j = 0; j < columns; j += kColumnBlock) {
      const Index wide = std::min(kColumnBlock, columns - j);
      pack_panels(b.from(p, j), deep, wide, panels);
      for (Index i = 0; i < rows; i += kTileRows) {
        T* sums = j == 0 && row_sums != nullptr ? row_sums + i : nullptr;
        with_stripe(a.from(i, p), rows - i, deep, room, sums, [&](const auto& stripe) {
          multiply_stripe(deep, stripe, panels, deep * kTileColumns<T>, c.from(i, j),
                          std::min(kTileRows, rows - i), wide);
        });
      }
    }
    p += deep;
    c.add = true;
    c.base = nullptr;
  } while (p < depth);
}

}  // namespace eigen
}  // namespace SMA_ISA
}  // namespace sma
