// expected-error: sma::Network<Description, Backend> requires 'Description' to be a Module: input_width, output_width, forward, backward
// expected-error: Twice

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Twice {
  static constexpr sma::Index input_width = 16, output_width = 16;
  template <class C, class S>
  static void backward(C& ctx, const sma::Sequences&, sma::Rows<const S, 16> dy, sma::Rows<S, 16> dx,
                       sma::Weights<Twice, S>, sma::Gradients<Twice, S>, sma::NoState&) {
    if (dx) ctx.launch(sma::ops::ScaleRows<S, 16>{S(2), dy, dx});
  }
};

int main() { sma::Network<Twice, sma::Eigen<float>> net{sma::Seed{1}}; }
