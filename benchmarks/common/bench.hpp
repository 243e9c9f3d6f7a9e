#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

/// What all benchmark programs share: command line, clock, memory, and the one line of JSON that each prints.
/// The parser and the JSON library are included in bench.cpp alone, which is compiled once.
namespace bench {

/// The command line of the model programs.
struct ModelOptions {
  std::string mode;        // train, infer or weights
  std::int64_t batch = 8;  // sequences
  std::int64_t threads = 2;
  std::int64_t lanes = 8;
  std::vector<std::int64_t> lengths;  // taken one after another, from the first again after the last
  double seconds = 10;                // of measured steps
  std::int64_t steps = 3;             // measured at least
  std::int64_t warmup = 2;            // unmeasured steps
  double activation = -1;             // each step is active with this probability; < 0: as the routers decide
  std::uint64_t seed = 1;
  std::string output;  // of weights: the file
};

/// What a model program has measured.
struct ModelResult {
  std::vector<double> seconds;     // of each measured step
  std::vector<double> tokens;      // of each measured step
  double base_mb = 0;              // resident before the steps, the program loaded
  double peak_mb = 0;              // resident at most
  std::vector<double> activation;  // share of active steps in each layer, mean over the measured steps
};

/// Parses, runs, prints. `measure` gets the options; in mode weights it writes the file and its result is not printed.
/// Errors: one line on stderr, exit code not 0.
int model_main(int argc, char** argv, const char* task, std::int64_t length,
               ModelResult (*measure)(const ModelOptions&));

/// The command line of the programs that measure one thing after another: NAME --threads N --seconds S.
struct Options {
  std::string name;
  std::int64_t threads = 2;
  double seconds = 2;  // of each measurement
};
/// Named numbers, in the order measured; printed as {"values": {name: number}}, as peers/ops.py does.
using Values = std::vector<std::pair<std::string, double>>;
int values_main(int argc, char** argv, const char* description, std::span<const char* const> names,
                Values (*measure)(const Options&));

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// A field of /proc/self/status in MB: VmRSS, resident now, or VmHWM, its peak.
double memory_mb(const char* field);

double median(std::vector<double> values);

/// Seconds of the fastest call of `f`, of calls that take `seconds` in all, after one that is not counted.
template <class F>
double least_seconds(double seconds, F&& f) {
  f();
  double least = 0;
  double total = 0;
  for (int i = 0; i < 3 || total < seconds; ++i) {
    const double start = now();
    f();
    const double taken = now() - start;
    total += taken;
    least = i == 0 || taken < least ? taken : least;
  }
  return least;
}

}  // namespace bench
