// expected-error: sma::Network::step(stream, x, y) requires selection rules that decide a step at a time: select, and not select_sequence
// expected-error: FirstThree

#include <array>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct FirstThree {  // causal, but step t needs what steps before it chose
  static constexpr bool causal = true;
  static constexpr sma::Competition competition = sma::Competition::each;
  template <class T, sma::Index M>
  static void select_sequence(const T* p, sma::Index length, std::uint8_t* active) {
    for (sma::Index i = 0; i < M; ++i)
      for (sma::Index t = 0, used = 0; t < length; ++t)
        used += active[t * M + i] = used < 3 && p[t * M + i] > T(0.5) ? 1 : 0;
  }
};
struct Mixture : sma::Router<sma::LatentConfigurator<16, FirstThree, sma::Confidence>,
                             sma::Branch<"map", sma::Linear<16, 16>>> {};

int main() {
  sma::Network<sma::Residual<Mixture>, sma::Eigen<float>> net{sma::Seed{1}};
  auto stream = net.stream();
  const std::array<float, 16> x{};
  std::array<float, 16> y{};
  net.step(stream, x, y);
}
