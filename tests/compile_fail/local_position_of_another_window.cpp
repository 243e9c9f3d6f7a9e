// expected-error: seqboat::GatedAttention with LocalPosition<W> requires a Window<W> of the same W
// expected-error: seqboat::Window<16>
// expected-error: seqboat::LocalPosition<8>

#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>

using Attention =
    seqboat::GatedAttention<16, 8, 16, seqboat::Window<16>, seqboat::Softmax, seqboat::LocalPosition<8>>;

int main() {
  sma::Network<Attention, sma::Eigen<float>> net{sma::Seed{1}};
  const sma::Batch<float, 16> x{7};
  net.infer(x);
}
