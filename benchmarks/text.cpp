/// The paper's model for LRA Text: 256 bytes and padding.

#include <common/model.hpp>

namespace {

struct Layer : seqboat::LayerDefaults {
  static constexpr sma::Index width = 128, query_width = 64, hidden_width = 256, truncation = 1024;
  using span = seqboat::Window<128>;
  using position = seqboat::LocalPosition<128>;
  template <sma::Index Width>
  using norm = sma::ScaleNorm<Width>;
  static constexpr bool prenorm = false;
  using temperature_scale = std::ratio<3, 10>;
  using dropout = std::ratio<1, 10>;
  using rule = bench::Rule;
};
struct Model : seqboat::ClassifierDefaults {
  using layer = Layer;
  static constexpr sma::Index layers = 4, classes = 2, classifier_width = 256, vocabulary = 257;
};

}  // namespace

int main(int argc, char** argv) { return bench::model_main(argc, argv, "text", 4000, bench::measure<Model>); }
