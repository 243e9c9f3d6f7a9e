#include <lra/paper.hpp>

#include "network.hpp"

namespace bench {

bool image(const Options& o) {
  return task<seqboat::Layer<lra::paper::ImageLayer>, lra::paper::Image>(o, "image", 1024);
}

}  // namespace bench
