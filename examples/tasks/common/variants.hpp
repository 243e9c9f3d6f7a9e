#pragma once

#include <seqboat/positions.hpp>
#include <sma/base/config.hpp>

/// What a task's small model is compared with (the paper's Figure 5): templates from a description to another one. A trainer is built of
/// one of them as the target TASK_VARIANT, such as lra_image_AlwaysActive, with SEQBOAT_TASKS_VARIANT=VARIANT; scripts/variants does that.
namespace tasks::variants {

/// The model itself.
template <class Model>
using AsDescribed = Model;

/// No routers: every step attends.
template <class Model>
struct AlwaysActive : Model {
  struct layer : Model::layer {
    static constexpr bool always_active = true;
  };
};

namespace detail {

/// Biases of offsets in a memory go with its size.
template <class Position, sma::Index Size>
struct PositionFor {
  using type = Position;
};
template <sma::Index W, sma::Index Size>
struct PositionFor<seqboat::LocalPosition<W>, Size> {
  using type = seqboat::LocalPosition<Size>;
};

}  // namespace detail

/// A working memory of `Size` elements.
template <class Model, sma::Index Size>
struct Memory : Model {
  struct layer : Model::layer {
    using span = seqboat::Window<Size>;
    using position = typename detail::PositionFor<typename Model::layer::position, Size>::type;
  };
};
template <class Model>
using Memory8 = Memory<Model, 8>;
template <class Model>
using Memory16 = Memory<Model, 16>;
template <class Model>
using Memory32 = Memory<Model, 32>;
template <class Model>
using Memory64 = Memory<Model, 64>;
template <class Model>
using Memory128 = Memory<Model, 128>;

/// A memory of all active elements: SeqBoat-full.
template <class Model>
struct FullMemory : Model {
  struct layer : Model::layer {
    using span = seqboat::Full;
  };
};

}  // namespace tasks::variants
