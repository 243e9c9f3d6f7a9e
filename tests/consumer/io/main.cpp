#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include <sma/base/error.hpp>
#include <sma/io/safetensors.hpp>

#if defined(INCLUDE_NLOHMANN_JSON_HPP_)
#error "found the definitions of sma/io in a unit, expected them in seqboat::io alone"
#endif

void write(const std::string& path, const std::vector<double>& values);

int main(int, char** arguments) {
  const std::string path = std::string(arguments[0]) + ".safetensors";
  const std::vector<double> values{0, 1, 1, 0};
  write(path, values);
  const auto file = sma::SafetensorsFile::open(path);
  bool flags[4] = {};
  file.read_into("values", flags, {2, 2});
  const bool passed = file.read<double>("values") == values && file.read<std::int8_t>("values").at(1) == 1 &&
                      file.read<long long>("values").at(2) == 1 && flags[1] && !flags[3];
  std::string message;
  try {
    static_cast<void>(file.read<float>("none"));
  } catch (const sma::Error& error) {
    message = error.what();
  }
  std::remove(path.c_str());
  std::printf("%s\n", message.c_str());
  return passed && message.starts_with(path) ? 0 : 1;
}
