#pragma once

#include <Eigen/Core>
#include <sma/base/views.hpp>
#include <sma/eigen/part.hpp>
#include <type_traits>

/// Rows and parameters as Eigen's own expressions, for modules that are written in them: no copy, static widths.
///
///     sma::matrix(y).noalias() = sma::matrix(x) * sma::matrix(w["weight"_p]).transpose();
///
/// They are the host's memory: such a module runs on the Eigen backend alone.
namespace sma {

namespace detail {
/// A matrix of T's numbers; a single column is stored by columns, as Eigen has it.
template <class T, int Rows, int Columns>
using EigenMatrix = ::Eigen::Matrix<std::remove_const_t<T>, Rows, Columns,
                                    Columns == 1 ? ::Eigen::ColMajor : ::Eigen::RowMajor>;
template <class T, class M>
using as_constant_as = std::conditional_t<std::is_const_v<T>, const M, M>;
}  // namespace detail

/// (rows, Width), row-major, a row every `stride` numbers.
template <class T, Index Width>
auto matrix(const Rows<T, Width>& x) {
  using M = detail::EigenMatrix<T, ::Eigen::Dynamic, static_cast<int>(Width)>;
  if constexpr (Width == 1) {
    using Stride = ::Eigen::InnerStride<>;
    return ::Eigen::Map<detail::as_constant_as<T, M>, 0, Stride>(x.data, x.rows, 1, Stride(x.stride));
  } else {
    using Stride = ::Eigen::OuterStride<>;
    return ::Eigen::Map<detail::as_constant_as<T, M>, 0, Stride>(x.data, x.rows, Width, Stride(x.stride));
  }
}

/// A parameter (Out, In), row-major.
template <class T, Index Out, Index In>
auto matrix(const Tensor<T, Out, In>& w) {
  using M = detail::EigenMatrix<T, static_cast<int>(Out), static_cast<int>(In)>;
  return ::Eigen::Map<detail::as_constant_as<T, M>>(w.data);
}

/// A parameter (Width) as a row.
template <class T, Index Width>
auto row(const Tensor<T, Width>& w) {
  using M = ::Eigen::Matrix<std::remove_const_t<T>, 1, static_cast<int>(Width)>;
  return ::Eigen::Map<detail::as_constant_as<T, M>>(w.data);
}

}  // namespace sma
