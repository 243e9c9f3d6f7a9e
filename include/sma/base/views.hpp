#pragma once

#include <sma/base/config.hpp>
#include <type_traits>

namespace sma {

/// Non-owning view of `rows` rows of `Width` elements; row i starts at `data + i * stride`.
/// Rows of a packed batch stand one after another; a column block of wider rows is a view with a larger stride.
template <class T, Index Width>
struct Rows {
  static constexpr Index width = Width;
  T* data = nullptr;
  Index rows = 0;
  Index stride = Width;

  SMA_HD T* row(Index i) const { return data + i * stride; }
  SMA_HD T& operator()(Index i, Index j) const { return data[i * stride + j]; }
  SMA_HD bool contiguous() const { return stride == Width || rows <= 1; }
  SMA_HD explicit operator bool() const { return data != nullptr; }

  /// The `Count` columns that start at column `begin`.
  template <Index Count>
  SMA_HD Rows<T, Count> columns(Index begin) const {
    return {data + begin, rows, stride};
  }

  /// Rows begin .. begin + count - 1, or null rows of null rows.
  SMA_HD Rows block(Index begin, Index count) const {
    return {data == nullptr ? nullptr : data + begin * stride, count, stride};
  }

  /// A view of mutable rows is a view of const rows. A template, because nvcc warns of a conversion of `Rows<const T>` to itself.
  template <class U>
    requires(std::is_same_v<U, const T> && !std::is_const_v<T>)
  SMA_HD operator Rows<U, Width>() const {  // NOLINT: implicit
    return {data, rows, stride};
  }
};

/// Where results go, and what is added to them on the way: row i becomes base row i + what is written. Without a base, what is
/// written alone; the base may be `rows` themselves. Rows are a target without a base; a target is not rows, so that nothing that knows
/// rows alone loses a base.
template <class T, Index Width>
struct Target {
  Rows<T, Width> rows;
  Rows<const T, Width> base;

  Target() = default;
  Target(Rows<T, Width> to, Rows<const T, Width> onto = {}) : rows(to), base(onto) {}  // NOLINT: implicit

  [[nodiscard]] explicit operator bool() const { return static_cast<bool>(rows); }
  /// Whether the base lies where results go.
  [[nodiscard]] bool in_place() const { return base && base.data == rows.data; }
  [[nodiscard]] Target block(Index begin, Index count) const {
    return {rows.block(begin, count), base.block(begin, count)};
  }
};

/// Non-owning view of one parameter tensor with static extents.
template <class T, Index... Extents>
struct Tensor {
  static constexpr Index size = (Extents * ... * 1);
  static constexpr Index rank = sizeof...(Extents);
  T* data = nullptr;

  SMA_HD T& operator[](Index i) const { return data[i]; }
  SMA_HD T& operator()(Index i) const { return data[i]; }
  SMA_HD T& operator()(Index i, Index j) const
    requires(sizeof...(Extents) == 2)
  {
    constexpr Index extents[] = {Extents...};
    return data[i * extents[1] + j];
  }
};

}  // namespace sma
