#include <algorithm>
#include <fuzz/network.hpp>
#include <fuzz/reader.hpp>
#include <sma/base/error.hpp>
#include <sma/train/checkpoint.hpp>

namespace {

const fuzz::Reader weights{"weights",
                           [](const fuzz::Folder& folder) -> std::vector<std::string> {
                             fuzz::Classifier net(sma::Seed{1});
                             sma::save_weights(net, folder.path("seed"));
                             return {fuzz::content_of(folder.path("seed"))};
                           },
                           [](const fuzz::Folder& folder, std::string_view input) {
                             static fuzz::Classifier net(sma::Seed{2});
                             const std::string before = fuzz::bytes_of(net.parameters());
                             try {
                               sma::load_weights(net, folder.put("a.safetensors", input));
                             } catch (const sma::Error&) {
                               fuzz::require(fuzz::bytes_of(net.parameters()) == before,
                                             "a network that is changed by a file that is refused");
                               throw;
                             }
                           }};

}  // namespace
