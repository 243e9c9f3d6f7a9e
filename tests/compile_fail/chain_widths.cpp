// expected-error: sma::Chain<A, B, ...> requires each module's input_width to equal the output_width of the module before it
// expected-error: At<1, sma::Linear<32, 48
// expected-error: Produces<48>
// expected-error: At<2, sma::LayerNorm<64
// expected-error: Expects<64>

#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <vector>

using Model = sma::Chain<sma::LayerNorm<32>, sma::Linear<32, 48>, sma::LayerNorm<64>, sma::Linear<64, 10>>;

int main() {
  sma::Network<Model, sma::Eigen<float>> net{sma::Seed{1}};
  const sma::Batch<float, 32> x{7};
  const std::vector<float> dy(70);
  net.train(x);
  net.backward({dy.data(), 7});
}
