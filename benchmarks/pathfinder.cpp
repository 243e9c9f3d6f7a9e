/// The paper's model for LRA Pathfinder: 32 x 32 pixels.

#include <common/model.hpp>

namespace {

struct Layer : seqboat::LayerDefaults {
  static constexpr sma::Index width = 128, query_width = 64, hidden_width = 256, truncation = 1024;
  using span = seqboat::Window<128>;
  using attention = seqboat::Relu2;
  using position = seqboat::SimplePosition<1024>;
  template <sma::Index Width>
  using norm = sma::BatchNorm<Width>;
  using rule = bench::Rule;
};
struct Model : seqboat::ClassifierDefaults {
  using layer = Layer;
  static constexpr sma::Index layers = 6, classes = 2, classifier_width = 256;
  static constexpr bool absolute_positions = true;
};

}  // namespace

int main(int argc, char** argv) {
  return bench::model_main(argc, argv, "pathfinder", 1024, bench::measure<Model>);
}
