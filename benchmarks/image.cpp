/// The paper's model for LRA Image: 32 x 32 pixels.

#include <common/model.hpp>
#include <tasks/common/paper.hpp>

int main(int argc, char** argv) {
  return bench::model_main(argc, argv, "image", 1024, bench::measure<tasks::paper::Image>);
}
