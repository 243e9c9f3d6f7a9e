#include <array>
#include <cstdint>
#include <fuzz/reader.hpp>
#include <sma/base/error.hpp>
#include <sma/io/safetensors.hpp>

namespace {

/// Calls f, which may refuse what it finds.
template <class F>
void attempt(const F& f) {
  try {
    f();
  } catch (const sma::Error& error) {
    fuzz::require(std::string_view(error.what()).find('\n') == std::string_view::npos, error.what());
  }
}

const fuzz::Reader safetensors{
    "safetensors",
    [](const fuzz::Folder& folder) -> std::vector<std::string> {
      const std::array<float, 4> weight{1, -2, 0.5F, 1e30F};
      const std::array<bool, 2> flags{true, false};
      const std::array<std::uint16_t, 2> halves{0x3c00, 0x7c01};
      const std::array<std::int64_t, 1> large{-9};
      sma::SafetensorsWriter writer;
      writer.metadata("format", "pt");
      writer.add("weight", {2, 2}, weight.data());
      writer.add("flags", {2}, flags.data());
      writer.add("half", sma::DType::F16, {2}, halves.data());
      writer.add("quarter", sma::DType::F4, {2, 4}, halves.data());
      writer.add("large", {}, large.data());
      writer.write(folder.path("seed"));
      sma::SafetensorsWriter().write(folder.path("empty"));
      return {fuzz::content_of(folder.path("seed")), fuzz::content_of(folder.path("empty"))};
    },
    [](const fuzz::Folder& folder, std::string_view input) {
      const auto file = sma::SafetensorsFile::open(folder.put("a.safetensors", input));
      std::size_t bytes = 0;
      for (const std::string& name : file.names()) {
        const sma::TensorInfo& info = file.info(name);
        for (const std::byte byte : file.bytes(name)) bytes += byte == std::byte{0} ? 1U : 1U;
        attempt([&] { static_cast<void>(file.read<float>(name)); });
        attempt([&] { static_cast<void>(file.read<double>(name)); });
        attempt([&] { static_cast<void>(file.read<std::int64_t>(name)); });
        attempt([&] { static_cast<void>(file.read<std::uint8_t>(name)); });
        attempt([&] {
          const std::vector<float> room(info.count());
          file.read_into(name, const_cast<float*>(room.data()), info.shape);
        });
      }
      fuzz::require(bytes <= input.size(), "more bytes in tensors than in the file");
      attempt([&] {
        float one = 0;
        file.read_into("weight", &one, {1});
      });
    }};

}  // namespace
