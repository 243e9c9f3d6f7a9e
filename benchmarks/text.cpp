/// The paper's model for LRA Text: 256 bytes and padding.

#include <common/model.hpp>
#include <tasks/common/paper.hpp>

int main(int argc, char** argv) {
  return bench::model_main(argc, argv, "text", 4000, bench::measure<tasks::paper::Text>);
}
