// expected-error: seqboat::LanguageModel<M> requires causal layers: M::layer::causal = true
// expected-error: Bidirectional

#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Bidirectional : seqboat::LayerDefaults {
  static constexpr sma::Index width = 8, query_width = 4, hidden_width = 8;
};
struct Model : seqboat::LanguageModelDefaults {
  using layer = Bidirectional;
};

int main() {
  sma::Network<seqboat::LanguageModel<Model>, sma::Eigen<float>> net{sma::Seed{1}};
  const sma::Batch<sma::Token, 1> x{7};
  net.infer(x);
}
