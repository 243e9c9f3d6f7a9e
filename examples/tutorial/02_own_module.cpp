/// A module of your own: forward, backward, a parameter, saved state, and a step for streaming.

#include <array>
#include <cmath>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <vector>

#include "claim.hpp"

// A kernel is a struct: `extent()` indices that may run in any order, anywhere. Here an index is a channel, and the kernel
// y_t = decay y_{t-1} + x_t, or the same backwards in time.
template <class S, sma::Index Width>
struct Integrate {
  sma::Sequences s;
  sma::Rows<const S, Width> x;   // (rows, Width)
  sma::Rows<S, Width> y;         // (rows, Width)
  sma::Rows<S, Width> previous;  // (rows, Width): y_{t-1}, or null
  const S* decay;                // (Width)
  bool reversed;
  SMA_HD sma::Index extent() const { return Width; }
  SMA_HD void operator()(sma::Index c) const {
    for (sma::Index q = 0; q < s.count; ++q) {
      S state = 0;  // a sequence begins anew
      for (sma::Index k = 0; k < s.length(q); ++k) {
        const sma::Index t = reversed ? s.end(q) - 1 - k : s.begin(q) + k;
        if (previous) previous(t, c) = state;
        y(t, c) = state = decay[c] * state + x(t, c);
      }
    }
  }
};

/// A leaky integrator a channel: y_t = decay y_{t-1} + x_t, decay learned. x, y (rows, Width).
template <sma::Index Width>
struct LeakyIntegrator {
  static constexpr sma::Index input_width = Width, output_width = Width;
  static constexpr bool causal = true;  // y_t depends on x_0 .. x_t
  struct Half {
    static double value(sma::RandomSequence&, sma::Index) { return 0.5; }
  };
  using Parameters = sma::Parameters<sma::Param<"decay", sma::Shape<Width>, Half>>;

  template <class S>
  struct Saved {
    sma::Rows<S, Width> previous;  // for backward
  };
  template <class S>
  struct Stream {
    S state[Width];
  };

  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences& s, sma::Rows<const S, Width> x, sma::Rows<S, Width> y,
                      sma::Weights<LeakyIntegrator, S> w, Saved<S>& saved) {
    saved.previous = ctx.template keep_rows<Width>(s.rows);
    ctx.launch(Integrate<S, Width>{s, x, y, saved.previous, w.data, false});
  }

  // dx_t = dy_t + decay dx_{t+1};  ddecay += sum_t dx_t y_{t-1}.
  template <class C, class S>
  static void backward(C& ctx, const sma::Sequences& s, sma::Rows<const S, Width> dy, sma::Rows<S, Width> dx,
                       sma::Weights<LeakyIntegrator, S> w, sma::Gradients<LeakyIntegrator, S> g,
                       Saved<S>& saved) {
    if (!dx) dx = ctx.template scratch_rows<Width>(s.rows);  // nobody asked, but ddecay needs it
    ctx.launch(Integrate<S, Width>{s, dy, dx, {}, w.data, true});
    using Product = sma::kernels::ProductTerm<S, Width>;
    ctx.launch(sma::kernels::ColumnSum<S, Width, Product>{s.rows, Product{dx, saved.previous}, g.data});
  }

  template <class C, class S>
  static void step(C&, const sma::Sequences&, sma::Rows<const S, Width> x, sma::Rows<S, Width> y,
                   sma::Weights<LeakyIntegrator, S> w, Stream<S>& stream) {
    for (sma::Index c = 0; c < Width; ++c) y(0, c) = stream.state[c] = w.data[c] * stream.state[c] + x(0, c);
  }
};

// From here on it is a module as any other.
using Model = sma::Residual<sma::Chain<sma::LayerNorm<3>, sma::Named<"memory", LeakyIntegrator<3>>>>;

int main() {
  sma::Network<Model, sma::Eigen<double>> net{sma::Seed{1}};
  net.training(true);
  sma::Batch<double, 3> x{4, 3};
  for (sma::Index i = 0; double& value : x.values()) value = std::sin(static_cast<double>(++i));

  const sma::TensorEntry decay = sma::parameter_entries<Model>().back();  // name, offset, shape
  claim("the parameter has a name", decay.name == "memory.decay" && decay.size == 3);

  // The gradient of L = y_{3,0}, by backward and by a central difference.
  const auto at = static_cast<std::size_t>(decay.offset);
  const auto output_with = [&](double change) {
    net.parameters()[at] += change;
    const double y = net.forward(x)(3, 0);
    net.parameters()[at] -= change;
    return y;
  };
  const double difference = (output_with(1e-5) - output_with(-1e-5)) / 2e-5;
  std::vector<double> dy(7 * 3);
  dy[3 * 3 + 0] = 1;
  net.forward(x);
  net.backward({dy.data(), 7});
  claim("its gradient is the derivative", std::abs(net.gradients()[at] - difference) < 1e-8);

  net.training(false);
  const auto whole = net.forward(x);
  auto stream = net.stream();
  double worst = 0;
  for (sma::Index t = 0; t < 4; ++t) {
    std::array<double, 3> y{};
    net.step(stream, x.values().subspan(static_cast<std::size_t>(3 * t)).first<3>(), y);
    for (sma::Index c = 0; c < 3; ++c) worst = std::max(worst, std::abs(y[std::size_t(c)] - whole(t, c)));
  }
  claim("step by step it gives what it gives for the whole sequence", worst < 1e-12);
}
