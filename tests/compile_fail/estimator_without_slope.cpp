// expected-error: sma::LatentConfigurator<Width, Rule, Estimator> requires 'Estimator' to have gate, weight(p) and slope(p)
// expected-error: Squared

#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <vector>

struct Squared {
  static constexpr sma::Gate gate = sma::Gate::softmax;
  template <class T>
  static T weight(T p) {
    return p * p;
  }
};
struct Mixture : sma::Router<sma::LatentConfigurator<16, sma::Independent, Squared>,
                             sma::Branch<"map", sma::Linear<16, 16>>> {};

int main() {
  sma::Network<Mixture, sma::Eigen<float>> net{sma::Seed{1}};
  const sma::Batch<float, 16> x{7};
  const std::vector<float> dy(7 * 16);
  net.train(x);
  net.backward({dy.data(), 7});
}
