#include <fuzz/network.hpp>
#include <fuzz/reader.hpp>
#include <sma/base/error.hpp>
#include <sma/train/checkpoint.hpp>
#include <sma/train/optimizer.hpp>

namespace {

const fuzz::Reader checkpoint{
    "checkpoint",
    [](const fuzz::Folder& folder) -> std::vector<std::string> {
      fuzz::Classifier net(sma::Seed{1});
      sma::RAdam<fuzz::Classifier> optimizer(net);
      optimizer.step(0.1);
      sma::save_checkpoint(net, optimizer, {1, 2, 3, 4, 0.5, 6.0, {{"recipe", "small"}}},
                           folder.path("seed"));
      return {fuzz::content_of(folder.path("seed"))};
    },
    [](const fuzz::Folder& folder, std::string_view input) {
      static fuzz::Classifier net(sma::Seed{2});
      static sma::RAdam<fuzz::Classifier> optimizer(net);
      const std::string before = fuzz::bytes_of(net.parameters());
      try {
        const auto state = sma::load_checkpoint(net, optimizer, folder.put("a.safetensors", input));
        fuzz::require(state.step >= 0 && optimizer.steps() == state.step, "a step below 0");
      } catch (const sma::Error&) {
        fuzz::require(fuzz::bytes_of(net.parameters()) == before,
                      "a network that is changed by a file that is refused");
        throw;
      }
      optimizer.step(0.1);
    }};

}  // namespace
