/// The paper's model for LRA Image: 32 x 32 pixels.

#include <common/model.hpp>

namespace {

struct Layer : seqboat::LayerDefaults {
  static constexpr sma::Index width = 160, query_width = 96, hidden_width = 320, truncation = 1024;
  using span = seqboat::Window<128>;
  using attention = seqboat::Relu2;
  using position = seqboat::SimplePosition<1024>;
  template <sma::Index Width>
  using norm = sma::BatchNorm<Width>;
  using temperature_scale = std::ratio<4, 10>;
  using rule = bench::Rule;
};
struct Model : seqboat::ClassifierDefaults {
  using layer = Layer;
  static constexpr sma::Index layers = 8, classes = 10, classifier_width = 320;
  static constexpr bool absolute_positions = true;
};

}  // namespace

int main(int argc, char** argv) {
  return bench::model_main(argc, argv, "image", 1024, bench::measure<Model>);
}
