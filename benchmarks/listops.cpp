/// The paper's model for LRA ListOps.

#include <common/model.hpp>
#include <tasks/common/paper.hpp>

int main(int argc, char** argv) {
  return bench::model_main(argc, argv, "listops", 2000, bench::measure<tasks::paper::ListOps>);
}
