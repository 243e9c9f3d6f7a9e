/// The paper's model for LRA Pathfinder: 32 x 32 pixels.

#include <common/model.hpp>
#include <tasks/common/paper.hpp>

int main(int argc, char** argv) {
  return bench::model_main(argc, argv, "pathfinder", 1024, bench::measure<tasks::paper::Pathfinder>);
}
