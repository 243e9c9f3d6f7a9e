/// All that is computed in registers, in single and double precision: what a compiler may think of it once it has put it into one
/// function and optimised.

#include <seqboat/gated_attention.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/optimizer.hpp>
#include <vector>

namespace {

template <class S>
bool step() {
  using Description = sma::Chain<sma::AbsolutePosition<16>, sma::SiLU<16>, sma::LayerNorm<16>,
                                 seqboat::GatedAttention<16, 8, 16, seqboat::Window<4>>, sma::Sigmoid<16>,
                                 sma::Dropout<16, std::ratio<1, 10>>>;
  using Net = sma::Network<Description, sma::Eigen<S>>;
  Net net{sma::Seed{1}};
  const sma::Batch<S, 16> x{5, 3};
  const auto y = net.train(x);
  const std::vector<S> dy(static_cast<std::size_t>(y.count) * 16, S(1));
  net.backward({dy.data(), y.count});
  sma::AdamW<Net> optimizer(net);
  optimizer.step(0.1);
  return y.count == 8;
}

}  // namespace

int main() { return step<float>() && step<double>() ? 0 : 1; }
