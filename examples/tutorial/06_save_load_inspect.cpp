/// Weights on disk: save, load, say what is where; names of this library and names of the reference implementation.

#include <algorithm>
#include <cmath>
#include <seqboat/layer.hpp>
#include <seqboat/reference_names.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/checkpoint.hpp>
#include <string>

#include "claim.hpp"

struct Small : seqboat::LayerDefaults {
  static constexpr sma::Index width = 8, query_width = 4, hidden_width = 8, states = 2;
  using span = seqboat::Window<4>;
};
using Layer = seqboat::Layer<Small>;
using Net = sma::Network<Layer, sma::Eigen<float>>;

bool same_weights(Net& a, Net& b) { return std::ranges::equal(a.parameters(), b.parameters()); }

int main() {
  Net net{sma::Seed{1}};

  // What is where: all parameters are one buffer, with a layout that is known when the program is compiled.
  sma::Index elements = 0;
  for (const sma::TensorEntry& entry : sma::parameter_entries<Layer>()) {
    std::printf("%6d  %-30s", static_cast<int>(entry.offset), entry.name.c_str());
    for (const sma::Index extent : entry.shape) std::printf(" %d", static_cast<int>(extent));
    std::printf("\n");
    elements += entry.size;
  }
  claim("the entries cover the buffer", elements == Net::parameter_count);

  // safetensors: Python's `safetensors.numpy.load_file("layer.safetensors")` reads it as it is.
  sma::save_weights(net, "layer.safetensors");
  Net other{sma::Seed{2}};
  claim("another seed is another network", !same_weights(net, other));
  sma::load_weights(other, "layer.safetensors");
  claim("what was saved is what is loaded", same_weights(net, other));

  // One tensor of a file.
  const auto file = sma::SafetensorsFile::open("layer.safetensors");
  const auto gamma = file.read<double>("router.attention.gamma");  // converted from float
  claim("a tensor is read by its name",
        file.info("router.attention.gamma").shape == std::vector<std::int64_t>{2, 4} && gamma.size() == 8);

  // The reference's names: what PyTorch's load_state_dict takes, and what it saved.
  seqboat::save_reference(net, "reference.safetensors");
  const auto reference = sma::SafetensorsFile::open("reference.safetensors");
  for (const std::string& name : reference.names()) std::printf("reference: %s\n", name.c_str());
  claim("skip and run logits and the linear path are one matrix there",
        reference.info("hx_proj.weight").shape == std::vector<std::int64_t>{2 + 8, 8});
  Net third{sma::Seed{3}};
  seqboat::load_reference(third, reference);
  claim("it goes there and back", same_weights(net, third));

  // A file of another model is refused with one line, and nothing changes.
  std::string message;
  try {
    sma::load_weights(net, "reference.safetensors");
  } catch (const sma::Error& error) {
    message = error.what();
  }
  std::printf("%s\n", message.c_str());
  claim("a file of another model is refused by name", message.starts_with("reference.safetensors: ") &&
                                                          message.find("norm.weight") != std::string::npos &&
                                                          same_weights(net, third));
}
