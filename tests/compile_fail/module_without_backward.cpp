// expected-error: sma::Chain<A, B, ...> requires every part to be a Module: input_width, output_width, forward, backward
// expected-error: At<1, Twice>

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Twice {
  static constexpr sma::Index input_width = 16, output_width = 16;
  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences&, sma::Rows<const S, 16> x, sma::Rows<S, 16> y,
                      sma::Weights<Twice, S>, sma::NoState&) {
    ctx.launch(sma::ops::ScaleRows<S, 16>{S(2), x, y});
  }
};

int main() {
  sma::Network<sma::Chain<sma::LayerNorm<16>, Twice>, sma::Eigen<float>> net{sma::Seed{1}};
  const sma::Batch<float, 16> x{7};
  net.infer(x);
}
