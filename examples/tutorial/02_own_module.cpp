/// A module of your own: forward, backward, a parameter, saved state, and a step for streaming.

#include <array>
#include <cmath>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <vector>

#include "claim.hpp"

using sma::Gradients, sma::Index, sma::Rows, sma::Sequences, sma::Weights;

// A kernel is a struct whose indices run in any order. Here an index is a channel: y_t = decay y_{t-1} + x_t, or backwards.
template <class S, Index Width>
struct Integrate {
  Sequences s;
  Rows<const S, Width> x;   // (rows, Width)
  Rows<S, Width> y;         // (rows, Width)
  Rows<S, Width> previous;  // (rows, Width): y_{t-1}, or null
  const S* decay;           // (Width)
  bool reversed;
  SMA_HD Index extent() const { return Width; }
  SMA_HD void operator()(Index c) const {
    for (Index q = 0; q < s.count; ++q) {
      S state = 0;  // a sequence begins anew
      for (Index k = 0; k < s.length(q); ++k) {
        const Index t = reversed ? s.end(q) - 1 - k : s.begin(q) + k;
        if (previous) previous(t, c) = state;
        y(t, c) = state = decay[c] * state + x(t, c);
      }
    }
  }
};

/// A leaky integrator a channel: y_t = decay y_{t-1} + x_t, decay learned. x, y (rows, Width).
template <Index Width>
struct LeakyIntegrator {
  static constexpr Index input_width = Width, output_width = Width;
  static constexpr sma::Reach reach = sma::Reach::past;
  using Parameters =
      sma::Parameters<sma::Param<"decay", sma::Shape<Width>, sma::init::Normal<std::ratio<1, 2>>>>;

  template <class S>
  struct Saved {
    Rows<S, Width> previous;  // for backward
  };
  template <class S>
  struct Stream {
    S state[Width];
  };

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, Width> x, Rows<S, Width> y,
                      Weights<LeakyIntegrator, S> w, Saved<S>& saved) {
    saved.previous = ctx.template keep_rows<Width>(s.rows);
    ctx.launch(Integrate<S, Width>{s, x, y, saved.previous, w.data, false});
  }

  // dx_t = dy_t + decay dx_{t+1};  ddecay += sum_t dx_t y_{t-1}. It does not take x: nobody keeps that for it.
  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, Width> dy, Rows<S, Width> dx,
                       Weights<LeakyIntegrator, S> w, Gradients<LeakyIntegrator, S> g, Saved<S>& saved) {
    if (!dx) dx = ctx.template scratch_rows<Width>(s.rows);  // nobody asked, but ddecay needs it
    ctx.launch(Integrate<S, Width>{s, dy, dx, {}, w.data, true});
    using Product = sma::ops::ProductTerm<S, Width>;
    ctx.launch(sma::ops::ColumnSum<S, Width, Product>{s.rows, Product{dx, saved.previous}, g.data});
  }

  template <class C, class S>
  static void step(C&, const Sequences&, Rows<const S, Width> x, Rows<S, Width> y,
                   Weights<LeakyIntegrator, S> w, Stream<S>& stream) {
    for (Index c = 0; c < Width; ++c) y(0, c) = stream.state[c] = w.data[c] * stream.state[c] + x(0, c);
  }
};

// From here on it is a module as any other.
using Model = sma::Residual<sma::Chain<sma::LayerNorm<3>, sma::Named<"memory", LeakyIntegrator<3>>>>;

int main() {
  sma::Network<Model, sma::Eigen<double>> net{sma::Seed{1}};
  sma::Batch<double, 3> x{4, 3};
  for (Index i = 0; double& value : x.values()) value = std::sin(static_cast<double>(++i));

  const sma::TensorEntry decay = sma::parameter_entries<Model>().back();  // name, offset, shape
  claim("the parameter has a name", decay.name == "memory.decay" && decay.size == 3);

  std::vector<double> dy(7 * 3);
  dy[3 * 3 + 0] = 1;
  net.train(x);
  net.backward({dy.data(), 7});
  const auto at = static_cast<std::size_t>(decay.offset);
  claim("its gradient is the derivative",
        std::abs(net.gradients()[at] - difference(net, x, at, 3, 0)) < 1e-8);

  const auto whole = net.infer(x);
  auto stream = net.stream();
  std::array<double, 3> y{};
  double worst = 0;
  for (Index t = 0; t < 4; ++t) {
    net.step(stream, std::span<const double, 3>(&x(t, 0), 3), y);
    for (Index c = 0; c < 3; ++c) worst = std::max(worst, std::abs(y[std::size_t(c)] - whole(t, c)));
  }
  claim("step by step it gives what it gives for the whole sequence", worst < 1e-12);
}
