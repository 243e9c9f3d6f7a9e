// expected-error: seqboat::LanguageModel<M> requires a causal selection rule: M::layer::rule::causal = true
// expected-error: UpperHalf

#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>

/// Opens the more probable half of the sequence: step t depends on all others.
struct UpperHalf {
  static constexpr bool causal = false;
  static constexpr sma::Competition competition = sma::Competition::each;
  template <class T, sma::Index M>
  static void select_sequence(const T* p, sma::Index length, std::uint8_t* active) {
    for (sma::Index t = 0; t < length * M; ++t) {
      sma::Index above = 0;
      for (sma::Index o = t % M; o < length * M; o += M) above += p[o] > p[t] ? 1 : 0;
      active[t] = 2 * above < length ? 1 : 0;
    }
  }
};
struct Layer : seqboat::LayerDefaults {
  static constexpr sma::Index width = 8, query_width = 4, hidden_width = 8;
  static constexpr bool causal = true;
  using rule = UpperHalf;
};
struct Model : seqboat::LanguageModelDefaults {
  using layer = Layer;
};

int main() {
  sma::Network<seqboat::LanguageModel<Model>, sma::Eigen<float>> net{sma::Seed{1}};
  const sma::Batch<sma::Token, 1> x{7};
  net.infer(x);
}
