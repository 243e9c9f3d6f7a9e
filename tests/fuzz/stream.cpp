#include <array>
#include <fuzz/network.hpp>
#include <fuzz/reader.hpp>
#include <sma/base/error.hpp>
#include <sma/train/stream_file.hpp>

namespace {

const fuzz::Recurrence& network() {
  static const fuzz::Recurrence net(sma::Seed{1});
  return net;
}

void step(fuzz::Recurrence::Stream& stream) {
  std::array<float, 2> y{};
  network().step(stream, std::array<float, 2>{0.5F, -1}, y);
}

/// The state that is in a file, whosever it is, as one of this network's.
std::string mended(const std::string& path, const fuzz::Folder& folder) {
  const auto file = sma::SafetensorsFile::open(path);
  const auto bytes = file.bytes("stream");
  sma::SafetensorsWriter writer;
  for (const auto& [key, value] : sma::detail::owner_of_stream(network())) writer.metadata(key, value);
  writer.metadata("state", sma::detail::text_of_hash(bytes));
  writer.add("stream", sma::DType::U8, {static_cast<std::int64_t>(bytes.size())}, bytes.data());
  writer.write(folder.path("mended.stream"));
  return folder.path("mended.stream");
}

/// Loads a stream and goes on with it. Numbers that are not finite are the steps' to refuse.
void use(const std::string& path) {
  auto stream = network().stream();
  sma::load_stream(network(), stream, path);
  auto other = stream;
  try {
    for (int i = 0; i < 4; ++i) step(stream);
  } catch (const sma::NotFinite&) {
  }
  try {
    const std::array<float, 8> x{};
    network().steps(other, x, {});
  } catch (const sma::NotFinite&) {
  }
}

const fuzz::Reader stream{"stream",
                          [](const fuzz::Folder& folder) -> std::vector<std::string> {
                            auto some = network().stream();
                            std::vector<std::string> seeds;
                            for (int i = 0; i < 5; ++i) {
                              sma::save_stream(network(), some, folder.path("seed"));
                              seeds.push_back(fuzz::content_of(folder.path("seed")));
                              step(some);
                            }
                            return seeds;
                          },
                          [](const fuzz::Folder& folder, std::string_view input) {
                            const std::string path = folder.put("a.stream", input);
                            use(mended(path, folder));
                            use(path);
                          }};

}  // namespace
