/// bench_gpu NAME [--train] [--batch B] [--seconds S] [--seed N] [--small] [--weights FILE]
///
/// NAME: device, copy, rows, ema, linear, attention, or listops/layer, listops/model, image/layer, image/model. Prints a line of
/// JSON a measurement (bench.hpp). Exit code 0; 77 where there is no GPU; 1 and a line on standard error for everything else.

#include <charconv>
#include <cstring>
#include <exception>
#include <string_view>

#include "bench.hpp"

namespace {

constexpr int kNoGpu = 77;

template <class T>
T number(std::string_view option, const char* text) {
  T value{};
  const char* end = text + std::strlen(text);
  const auto parsed = std::from_chars(text, end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end || !(value > 0))
    throw sma::Error("bench_gpu: " + std::string(option) + ": found '" + text +
                     "', expected a number above 0");
  return value;
}

bench::Options options(int argc, char** argv) {
  bench::Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto value = [&] {
      if (i + 1 == argc)
        throw sma::Error("bench_gpu: " + std::string(word) + ": expected a value, found nothing");
      return argv[++i];
    };
    if (word == "--train")
      o.train = true;
    else if (word == "--small")
      o.small = true;
    else if (word == "--batch")
      o.batch = number<sma::Index>(word, value());
    else if (word == "--seconds")
      o.seconds = number<double>(word, value());
    else if (word == "--seed")
      o.seed = number<std::uint64_t>(word, value());
    else if (word == "--weights")
      o.weights = value();
    else if (o.name.empty() && !word.starts_with("--"))
      o.name = word;
    else
      throw sma::Error("bench_gpu: found argument '" + std::string(word) +
                       "', expected those of --help in main.cpp");
  }
  return o;
}

#if defined(__CUDACC__)
/// Empty, or why there is no GPU.
std::string missing_gpu() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) return cudaGetErrorString(status);
  return count > 0 ? "" : "no device";
}

void print_device() {
  cudaDeviceProp device{};
  int driver = 0, runtime = 0;
  if (cudaGetDeviceProperties(&device, 0) != cudaSuccess || cudaDriverGetVersion(&driver) != cudaSuccess ||
      cudaRuntimeGetVersion(&runtime) != cudaSuccess)
    throw sma::Error("bench_gpu: device 0: found no properties, expected a GPU's");
  std::printf(
      "{\"name\": \"%s\", \"capability\": \"%d.%d\", \"multiprocessors\": %d, \"memory_mib\": %zu, "
      "\"l2_mib\": %d, "
      "\"driver_cuda\": \"%d.%d\", \"runtime_cuda\": \"%d.%d\"}\n",
      device.name, device.major, device.minor, device.multiProcessorCount, device.totalGlobalMem >> 20,
      device.l2CacheSize >> 20, driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
}
#else
std::string missing_gpu() { return ""; }
void print_device() { std::printf("{\"name\": \"none, a host system\"}\n"); }
#endif

}  // namespace

int main(int argc, char** argv) {
  try {
    const bench::Options o = options(argc, argv);
    if (const std::string why = missing_gpu(); !why.empty()) {
      std::fprintf(stderr, "bench_gpu: no GPU: %s\n", why.c_str());
      return kNoGpu;
    }
    if (o.name == "device") {
      print_device();
      return 0;
    }
    if (bench::operation(o) || bench::listops(o) || bench::image(o)) return 0;
    throw sma::Error("bench_gpu: found name '" + o.name + "', expected one of those in main.cpp");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
