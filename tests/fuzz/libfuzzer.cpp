#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <fuzz/program.hpp>

// A program around one reader, for libFuzzer. With SEQBOAT_FUZZ_SEEDS=DIR it writes the reader's seeds there and ends.

namespace {

struct Program {
  fuzz::Folder folder;
  const fuzz::Reader& reader = *fuzz::readers().at(0);
};

Program& program() {
  static Program one;
  return one;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***);
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* directory = std::getenv("SEQBOAT_FUZZ_SEEDS");
  if (directory == nullptr) return 0;
  std::vector<std::string> seeds = program().reader.seeds(program().folder);
  seeds.insert(seeds.end(), {std::string(fuzz::no_file), std::string(fuzz::a_folder)});
  for (std::size_t i = 0; i < seeds.size(); ++i)
    std::ofstream(std::filesystem::path(directory) / ("seed_" + std::to_string(i)), std::ios::binary)
        << seeds[i];
  std::exit(0);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::run(program().reader, program().folder, {reinterpret_cast<const char*>(data), size});
  return 0;
}
