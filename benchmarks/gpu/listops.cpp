#include <lra/paper.hpp>

#include "network.hpp"

namespace bench {

bool listops(const Options& o) {
  return task<seqboat::Layer<lra::paper::ListOpsLayer>, lra::paper::ListOps>(o, "listops", 2000);
}

}  // namespace bench
