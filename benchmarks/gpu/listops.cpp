#include <tasks/common/paper.hpp>

#include "network.hpp"

namespace bench {

bool listops(const Options& o) {
  return task<seqboat::Layer<tasks::paper::ListOpsLayer>, tasks::paper::ListOps>(o, "listops", 2000);
}

}  // namespace bench
