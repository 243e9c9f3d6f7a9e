#include <tasks/common/shown.hpp>

#include <nlohmann/json.hpp>
#include <sma/io/atomic_file.hpp>

namespace tasks {

Confidences confidences_of(std::span<const Real> trace, sma::Index layers, sma::Index begin, sma::Index end) {
  Confidences found(static_cast<std::size_t>(layers));
  for (sma::Index t = begin; t < end; ++t)
    for (sma::Index layer = 0; layer < layers; ++layer) {
      const auto c = static_cast<double>(trace[static_cast<std::size_t>(t * layers + layer)]);
      found[static_cast<std::size_t>(layer)].push_back(std::round(1e4 * c) / 1e4);
    }
  return found;
}

void write_shown(const std::vector<ShownPicture>& pictures, const std::string& path) {
  auto images = nlohmann::ordered_json::array();
  for (const ShownPicture& p : pictures)
    images.push_back({{"label", p.label},
                      {"predicted", p.predicted},
                      {"width", p.width},
                      {"height", p.height},
                      {"pixels", p.pixels},
                      {"layers", p.layers}});
  sma::write_file_atomically(path, nlohmann::ordered_json{{"images", images}}.dump() + "\n");
}

void write_shown(const std::vector<AnsweredText>& texts, const std::string& path) {
  auto written = nlohmann::ordered_json::array();
  for (const AnsweredText& t : texts)
    written.push_back(
        {{"characters", t.characters}, {"right", t.right}, {"wrong", t.wrong}, {"layers", t.layers}});
  sma::write_file_atomically(path, nlohmann::ordered_json{{"texts", written}}.dump() + "\n");
}

}  // namespace tasks
