// expected-error: sma::Network requires every module's forward to be callable as M::forward(ctx, sequences, x, y, weights, saved)
// expected-error: Twice

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Twice {
  static constexpr sma::Index input_width = 16, output_width = 16;
  template <class C, class S>
  static void forward(C& ctx, sma::Rows<const S, 16> x, sma::Rows<S, 16> y) {
    ctx.launch(sma::ops::ScaleRows<S, 16>{S(2), x, y});
  }
  template <class C, class S>
  static void backward(C& ctx, const sma::Sequences&, sma::Rows<const S, 16> dy, sma::Rows<S, 16> dx,
                       sma::Weights<Twice, S>, sma::Gradients<Twice, S>, sma::NoState&) {
    if (dx) ctx.launch(sma::ops::ScaleRows<S, 16>{S(2), dy, dx});
  }
};

int main() {
  sma::Network<sma::Chain<sma::LayerNorm<16>, Twice>, sma::Eigen<float>> net{sma::Seed{1}};
  const sma::Batch<float, 16> x{7};
  net.infer(x);
}
