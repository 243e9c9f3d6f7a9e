#include <tasks/common/paper.hpp>

#include "network.hpp"

namespace bench {

bool image(const Options& o) {
  return task<seqboat::Layer<tasks::paper::ImageLayer>, tasks::paper::Image>(o, "image", 1024);
}

}  // namespace bench
