// expected-error: sma::Sum<A, B, ...> requires all modules to have the same input_width and the same output_width
// expected-error: At<0, sma::Linear<16, 24
// expected-error: Produces<24>
// expected-error: At<1, sma::Linear<16, 25
// expected-error: Produces<25>

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

int main() {
  sma::Network<sma::Sum<sma::Linear<16, 24>, sma::Linear<16, 25>>, sma::Eigen<float>> net{sma::Seed{1}};
  const sma::Batch<float, 16> x{7};
  net.infer(x);
}
