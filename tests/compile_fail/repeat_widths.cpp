// expected-error: sma::Repeat<N, L> requires a layer whose output_width equals its input_width
// expected-error: At<0, sma::Linear<16, 24
// expected-error: Produces<24>
// expected-error: Expects<16>

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

int main() {
  sma::Network<sma::Repeat<3, sma::Linear<16, 24>>, sma::Eigen<float>> net{sma::Seed{1}};
  const sma::Batch<float, 16> x{7};
  net.infer(x);
}
