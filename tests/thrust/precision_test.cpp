#include <cmath>
#include <seqboat/layer.hpp>
#include <sma/base/precision.hpp>
#include <vector>

#include "thrust/system.hpp"

namespace {

using sma::bf16;
using sma::Index;
using Mixed = sma::Precision<bf16, float>;

struct Small : seqboat::LayerDefaults {
  static constexpr Index width = 4, query_width = 4, hidden_width = 6, states = 2;
  using span = seqboat::Window<3>;
  using position = seqboat::SimplePosition<32>;
};

/// A pass over rows in bf16: output, then gradients.
template <class B>
std::vector<float> pass() {
  using Net = sma::Network<seqboat::Layer<Small>, B>;
  Net net(sma::Seed{1}, {.threads = 1, .lanes = 1});
  sma::Batch<bf16, 4> x;
  x.resize(std::vector<Index>{7, 0, 12});
  sma::RandomSequence random(2, 1);
  for (bf16& value : x.values()) value = static_cast<float>(random.normal());
  std::vector<bf16> dy(x.values().size());
  for (bf16& value : dy) value = static_cast<float>(random.normal());
  const auto y = net.train(x);
  std::vector<float> out;
  for (Index i = 0; i < y.count; ++i)
    for (Index j = 0; j < 4; ++j) out.push_back(y(i, j));
  net.backward({dy.data(), y.count});
  for (const float g : sma::host_copy(net, net.gradients())) out.push_back(g);
  return out;
}

TEST_CASE("rows in bf16: a layer is the reference backend's but for rounding") {
  const auto found = pass<on::Backend<Mixed>>();
  const auto expected = pass<on::Reference<Mixed>>();
  REQUIRE(found.size() == expected.size());
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    difference += std::pow(static_cast<double>(found[i]) - static_cast<double>(expected[i]), 2);
    size += std::pow(static_cast<double>(expected[i]), 2);
  }
  CHECK(difference <= std::pow(3.0 / 256, 2) * size);
}

}  // namespace
