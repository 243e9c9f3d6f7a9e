#pragma once

#include <sma/device/context.hpp>
#include <sma/module/module.hpp>

/// A module of a user's: it looks at the row before in its sequence, at original positions, and streams.
namespace user {

template <class S, sma::Index Width>
struct NeighbourForward {
  sma::Sequences s;
  sma::Rows<const S, Width> x;
  sma::Rows<S, Width> y;
  const S* here;
  const S* before;
  SMA_HD sma::Index extent() const { return s.count; }
  SMA_HD void operator()(sma::Index q) const {
    for (sma::Index t = s.begin(q); t < s.end(q); ++t)
      for (sma::Index j = 0; j < Width; ++j) {
        y(t, j) = here[j] * x(t, j);
        if (t > s.begin(q)) y(t, j) += before[j] * x(t - 1, j) / S(s.positions[t] - s.positions[t - 1]);
      }
  }
};

template <class S, sma::Index Width>
struct NeighbourBackward {
  sma::Sequences s;
  sma::Rows<const S, Width> x, dy;
  sma::Rows<S, Width> dx;  // may be null
  const S* here;
  const S* before;
  S* dhere;
  S* dbefore;
  SMA_HD sma::Index extent() const { return Width; }
  SMA_HD void operator()(sma::Index j) const {
    for (sma::Index q = 0; q < s.count; ++q)
      for (sma::Index t = s.begin(q); t < s.end(q); ++t) {
        dhere[j] += dy(t, j) * x(t, j);
        if (dx) dx(t, j) = here[j] * dy(t, j);
        if (t == s.begin(q)) continue;
        const S inverse = 1 / S(s.positions[t] - s.positions[t - 1]);
        dbefore[j] += dy(t, j) * x(t - 1, j) * inverse;
        if (dx) dx(t - 1, j) += before[j] * dy(t, j) * inverse;
      }
  }
};

/// y_t = here * x_t + before * x_{t-1} / (position_t - position_{t-1}), t - 1 the row before in the (compressed) sequence.
template <sma::Index Width>
struct Neighbour {
  static constexpr sma::Index input_width = Width;
  static constexpr sma::Index output_width = Width;
  static constexpr sma::Reach reach = sma::Reach::past;
  using Parameters = sma::Parameters<sma::Param<"here", sma::Shape<Width>, sma::init::Ones>,
                                     sma::Param<"before", sma::Shape<Width>, sma::init::Ones>>;
  template <class S>
  struct Stream {
    S last[static_cast<std::size_t>(Width)];
    sma::Position position;
    bool started;
  };

  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences& s, sma::Rows<const S, Width> x, sma::Rows<S, Width> y,
                      sma::Weights<Neighbour, S> w, sma::NoState&) {
    ctx.launch(NeighbourForward<S, Width>{s, x, y, w.data, w.data + Width});
  }
  template <class C, class S>
  static void backward(C& ctx, const sma::Sequences& s, sma::Rows<const S, Width> x,
                       sma::Rows<const S, Width> dy, sma::Rows<S, Width> dx, sma::Weights<Neighbour, S> w,
                       sma::Gradients<Neighbour, S> g, sma::NoState&) {
    ctx.launch(NeighbourBackward<S, Width>{s, x, dy, dx, w.data, w.data + Width, g.data, g.data + Width});
  }
  template <class C, class S>
  static void step(C&, const sma::Sequences& s, sma::Rows<const S, Width> x, sma::Rows<S, Width> y,
                   sma::Weights<Neighbour, S> w, Stream<S>& stream) {
    const auto [here, before] = w.tensors();
    for (sma::Index j = 0; j < Width; ++j) {
      y(0, j) = here[j] * x(0, j);
      if (stream.started) y(0, j) += before[j] * stream.last[j] / S(s.positions[0] - stream.position);
    }
    for (sma::Index j = 0; j < Width; ++j) stream.last[j] = x(0, j);
    stream.position = s.positions[0];
    stream.started = true;
  }
};

}  // namespace user
