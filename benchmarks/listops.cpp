/// The paper's model for LRA ListOps.

#include <common/model.hpp>

namespace {

struct Layer : seqboat::LayerDefaults {
  static constexpr sma::Index width = 80, query_width = 64, hidden_width = 160, truncation = 1024;
  using span = seqboat::Window<128>;
  using position = seqboat::SimplePosition<2002>;
  static constexpr bool prenorm = false;
  using temperature_scale = std::ratio<3, 10>;
  using dropout = std::ratio<1, 10>;
  using rule = bench::Rule;
};
struct Model : seqboat::ClassifierDefaults {
  using layer = Layer;
  static constexpr sma::Index layers = 6, classes = 10, classifier_width = 160, vocabulary = 16;
};

}  // namespace

int main(int argc, char** argv) {
  return bench::model_main(argc, argv, "listops", 2000, bench::measure<Model>);
}
