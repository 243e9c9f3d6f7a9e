// expected-error: sma::Router<Configurator, Branch<Name, M>, ...> requires 'M' to be a Module: input_width, output_width, forward, backward
// expected-error: Options

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Options {
  int width = 16;
};
struct Mixture : sma::Router<sma::LatentConfigurator<16, sma::Independent, sma::Confidence>,
                             sma::Branch<"options", Options>, sma::Branch<"map", sma::Linear<16, 16>>> {};

int main() {
  sma::Network<Mixture, sma::Eigen<float>> net{sma::Seed{1}};
  const sma::Batch<float, 16> x{7};
  net.infer(x);
}
