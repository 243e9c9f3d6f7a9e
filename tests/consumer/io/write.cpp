#include <cstdint>
#include <string>
#include <vector>

#include <sma/io/safetensors.hpp>

void write(const std::string& path, const std::vector<double>& values);

void write(const std::string& path, const std::vector<double>& values) {
  sma::SafetensorsWriter writer;
  writer.add("values", {2, static_cast<std::int64_t>(values.size()) / 2}, values.data());
  writer.metadata("by", "write.cpp");
  writer.write(path);
}
