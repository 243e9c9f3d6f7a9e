// expected-error: sma::Chain<A, B, ...> requires every part to be a Module: input_width, output_width, forward, backward
// expected-error: At<1, Options>

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Options {
  int width = 16;
};

int main() {
  sma::Network<sma::Chain<sma::LayerNorm<16>, Options, sma::Linear<16, 4>>, sma::Eigen<float>> net{
      sma::Seed{1}};
  const sma::Batch<float, 16> x{7};
  net.infer(x);
}
