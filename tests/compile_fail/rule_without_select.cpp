// expected-error: sma::LatentConfigurator<Width, Rule, Estimator> requires 'Rule' to have causal, competition, and select or select_sequence
// expected-error: Always

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Always {
  static constexpr bool causal = true;
  static constexpr sma::Competition competition = sma::Competition::each;
};
struct Mixture : sma::Router<sma::LatentConfigurator<16, Always, sma::Confidence>,
                             sma::Branch<"map", sma::Linear<16, 16>>> {};

int main() {
  sma::Network<Mixture, sma::Eigen<float>> net{sma::Seed{1}};
  const sma::Batch<float, 16> x{7};
  net.infer(x);
}
