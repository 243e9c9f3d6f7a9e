// expected-error: seqboat::GatedAttention with RotaryPosition requires an even QueryWidth
// expected-error: sma::Has<7>

#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>

using Attention =
    seqboat::GatedAttention<16, 7, 16, seqboat::Window<8>, seqboat::Softmax, seqboat::RotaryPosition>;

int main() {
  sma::Network<Attention, sma::Eigen<float>> net{sma::Seed{1}};
  const sma::Batch<float, 16> x{7};
  net.infer(x);
}
