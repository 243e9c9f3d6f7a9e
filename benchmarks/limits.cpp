/// What the machine can do at most: memory bandwidth, and with OpenBLAS the speed of a large matrix product.

#include <algorithm>
#include <common/bench.hpp>
#include <thread>

#ifdef SEQBOAT_BENCH_CBLAS
#include <cblas.h>
#endif

namespace {

/// GB/s of `pass(begin, end)` over `count` elements cut among threads; `bytes` an element are read and written, no more counted
/// (a cache that fetches what it is about to overwrite does more).
template <class Pass>
double bandwidth(const bench::Options& o, std::size_t count, double bytes, const Pass& pass) {
  const auto threads = static_cast<std::size_t>(o.threads);
  const double seconds = bench::least_seconds(o.seconds, [&] {
    std::vector<std::thread> others;
    const auto part = [&](std::size_t t) { pass(count * t / threads, count * (t + 1) / threads); };
    for (std::size_t t = 1; t < threads; ++t) others.emplace_back(part, t);
    part(0);
    for (std::thread& other : others) other.join();
  });
  return bytes * static_cast<double>(count) / seconds * 1e-9;
}

bench::Values memory(const bench::Options& o) {
  constexpr std::size_t count = (std::size_t{256} << 20) / sizeof(float);  // arrays of 256 MB
  std::vector<float> a(count, 1.0F), b(count, 2.0F), c(count, 3.0F);
  return {{"copy_gbs", bandwidth(o, count, 2 * sizeof(float),
                                 [&](std::size_t begin, std::size_t end) {
                                   std::copy(a.data() + begin, a.data() + end, b.data() + begin);
                                 })},
          {"triad_gbs", bandwidth(o, count, 3 * sizeof(float), [&](std::size_t begin, std::size_t end) {
             for (std::size_t i = begin; i < end; ++i) a[i] = b[i] + 3.0F * c[i];
           })}};
}

/// OpenBLAS takes its threads from OPENBLAS_NUM_THREADS; nothing where the program is built without it.
bench::Values sgemm([[maybe_unused]] const bench::Options& o) {
#ifdef SEQBOAT_BENCH_CBLAS
  constexpr int n = 2048;
  const std::vector<float> a(std::size_t{n} * n, 0.5F), b(std::size_t{n} * n, 0.25F);
  std::vector<float> c(std::size_t{n} * n);
  const double seconds = bench::least_seconds(o.seconds, [&] {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1.0F, a.data(), n, b.data(), n, 0.0F,
                c.data(), n);
  });
  return {{"openblas_gflops", 2.0 * n * n * n / seconds * 1e-9}};
#else
  return {};
#endif
}

}  // namespace

int main(int argc, char** argv) {
  constexpr const char* names[] = {"memory", "sgemm"};
  return bench::values_main(argc, argv, "Measures the machine's limits", names, [](const bench::Options& o) {
    return o.name == "memory" ? memory(o) : sgemm(o);
  });
}
