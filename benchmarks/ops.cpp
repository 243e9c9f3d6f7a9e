/// Single operations and steps, through the library's public interface; shapes are those of the Image model unless a case says otherwise.
/// The counterpart of peers/ops.py.

#include <array>
#include <barrier>
#include <common/attention.hpp>
#include <common/bench.hpp>
#include <random>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <thread>

namespace {

using sma::Index;
using Backend = sma::Eigen<float>;

constexpr Index kSequences = 8, kLength = 1024, kRows = kSequences * kLength, kWidth = 160;

template <Index Width>
sma::Batch<float, Width> random_batch(unsigned seed) {
  const std::vector<Index> lengths(kSequences, kLength);
  sma::Batch<float, Width> x{std::span<const Index>(lengths)};
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  for (float& value : x.values()) value = normal(random);
  return x;
}

/// Seconds of one module's forward and backward pass on 8 sequences of 1,024 rows; backward gives all gradients, the input's too.
struct Times {
  double forward, backward;
};
template <class M>
Times times(const bench::Options& o) {
  sma::Network<M, Backend> net(sma::Seed{1}, {.threads = static_cast<Index>(o.threads)});
  const auto x = random_batch<M::input_width>(1);
  const auto dy = random_batch<M::output_width>(2);
  std::vector<double> forward, backward;
  double total = 0;
  for (int i = -2; i < 3 || total < o.seconds; ++i) {
    const double start = bench::now();
    net.train(x);
    const double middle = bench::now();
    net.backward(dy.view());
    const double end = bench::now();
    if (i < 0) continue;
    forward.push_back(middle - start);
    backward.push_back(end - middle);
    total += end - start;
  }
  return {bench::median(forward), bench::median(backward)};
}

template <class M>
void rows_per_second(const bench::Options& o, const std::string& name, bench::Values& values) {
  const Times t = times<M>(o);
  values.emplace_back(name + "forward", kRows / t.forward);
  values.emplace_back(name + "both", kRows / (t.forward + t.backward));
}

bench::Values ema(const bench::Options& o) {
  bench::Values values;
  rows_per_second<seqboat::Ema<kWidth, 16, true, 1024>>(o, "", values);
  return values;
}

bench::Values attention(const bench::Options& o) {
  bench::Values values;
  rows_per_second<bench::Attention<seqboat::Relu2>>(o, "relu2/", values);
  rows_per_second<bench::Attention<seqboat::Softmax>>(o, "softmax/", values);
  return values;
}

/// GFLOP/s of a linear layer's products: 2 rows In Out forward, twice that backward.
template <Index In, Index Out>
void products(const bench::Options& o, bench::Values& values) {
  const Times t = times<sma::Linear<In, Out>>(o);
  const double flops = 2.0 * kRows * In * Out * 1e-9;
  const std::string name = std::to_string(In) + "x" + std::to_string(Out) + "/";
  values.emplace_back(name + "forward", flops / t.forward);
  values.emplace_back(name + "backward", 2 * flops / t.backward);
}

bench::Values gemm(const bench::Options& o) {
  bench::Values values;
  products<160, 160>(o, values);
  products<160, 736>(o, values);
  products<320, 160>(o, values);
  products<80, 80>(o, values);
  products<80, 384>(o, values);
  products<160, 80>(o, values);
  return values;
}

/// compress and extract of rows that do not fit into caches. Threads have parts of the rows of their own, as a network's shards
/// do. GB/s count what must be read and written once: compress the active rows twice and a byte a row of flags; extract the
/// active rows, and all rows that it writes, the zeros too.
bench::Values move_rows(const bench::Options& o) {
  constexpr Index rows = Index{3} << 18;  // 503 MB
  const bool out = o.name == "extract";
  const auto threads = static_cast<std::size_t>(o.threads);
  std::vector<double> moved(threads), seconds;
  std::barrier meeting(o.threads);
  bool done = false;  // written by thread 0 between two meetings
  const auto part = [&](std::size_t t) {
    const auto count = rows / static_cast<Index>(threads);
    sma::Batch<float, kWidth> all{count};
    std::vector<std::uint8_t> flags(static_cast<std::size_t>(count));
    std::mt19937 random(static_cast<unsigned>(t));
    for (auto& flag : flags) flag = random() % 2 == 0 ? 1 : 0;
    sma::Context<Backend> ctx;
    const auto select = [&] { return sma::select_active(ctx, all.sequences(), flags.data()); };
    const Index active = select().sequences.rows;
    ctx.reset();
    std::vector<float> some(static_cast<std::size_t>(active * kWidth), 1.0F);
    const sma::Rows<float, kWidth> packed{some.data(), active};
    const auto bytes = [](Index n) { return static_cast<double>(n * kWidth) * sizeof(float); };
    moved[t] = out ? bytes(active) + bytes(count) : 2 * bytes(active) + static_cast<double>(count);
    const sma::Selection selection = select();
    double total = 0;
    for (int i = -1;; ++i) {
      meeting.arrive_and_wait();
      if (done) return;
      const double start = bench::now();
      if (out) {
        sma::extract(ctx, selection, sma::Rows<const float, kWidth>(packed), all.view());
      } else {
        ctx.reset();
        sma::compress(ctx, select(), std::as_const(all).view(), packed);
      }
      meeting.arrive_and_wait();
      if (t != 0 || i < 0) continue;
      seconds.push_back(bench::now() - start);
      total += seconds.back();
      done = seconds.size() >= 3 && total >= o.seconds;
    }
  };
  std::vector<std::thread> others;
  for (std::size_t t = 1; t < threads; ++t) others.emplace_back(part, t);
  part(0);
  for (std::thread& other : others) other.join();
  double sum = 0;
  for (const double bytes : moved) sum += bytes;
  return {{"", sum / bench::median(seconds) * 1e-9}};
}

/// Microseconds a call of f(i), i = 0, 1, ...: the median over stretches of `count` calls.
template <class F>
double microseconds(const bench::Options& o, int count, const F& f) {
  std::vector<double> times;
  double total = 0;
  for (int run = -1; run < 3 || total < o.seconds; ++run) {
    const double start = bench::now();
    for (int i = 0; i < count; ++i) f(i);
    const double taken = bench::now() - start;
    total += taken;
    if (run >= 0) times.push_back(taken * 1e6 / count);
  }
  return bench::median(times);
}

/// How much longer a causal EMA takes on silence that follows noise than on noise, the longest of a row of forward, a row of backward
/// with a loss on the last row alone, and a step.
bench::Values silence(const bench::Options& o) {
  using M = seqboat::Ema<16, 16, false>;
  constexpr Index rows = 6000;
  sma::Network<M, Backend> net(sma::Seed{3});
  sma::Batch<float, 16> noise{rows};
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (float& value : noise.values()) value = normal(random);
  sma::Batch<float, 16> silent{rows};
  std::copy_n(noise.values().begin(), 100 * 16, silent.values().begin());
  std::vector<float> everywhere(noise.values().begin(), noise.values().end());
  std::vector<float> last(everywhere.size());
  std::copy_n(everywhere.begin(), 16, last.end() - 16);
  const auto forward = [&](const auto& x) { return microseconds(o, 4, [&](int) { net.infer(x); }); };
  const auto backward = [&](const std::vector<float>& dy) {
    return microseconds(o, 4, [&](int) {
      net.infer(noise);
      net.backward({dy.data(), rows});
    });
  };
  const double forward_ratio = forward(silent) / forward(noise);
  const double backward_ratio = backward(last) / backward(everywhere);
  auto state = net.stream();
  std::array<float, 16> x{}, y{};
  const auto steps = [&] { return microseconds(o, 2000, [&](int) { net.step(state, x, y); }); };
  x.fill(0.5F);
  const double sounding = steps();
  x.fill(0);
  const double step_ratio = steps() / sounding;  // silent for many times as long as states take to decay
  return {{"forward", forward_ratio}, {"backward", backward_ratio}, {"step", step_ratio}};
}

}  // namespace

int main(int argc, char** argv) {
  constexpr const char* names[] = {"compress", "extract", "ema", "attention", "gemm", "silence"};
  return bench::values_main(argc, argv, "Times one operation", names, [](const bench::Options& o) {
    if (o.name == "ema") return ema(o);
    if (o.name == "attention") return attention(o);
    if (o.name == "gemm") return gemm(o);
    if (o.name == "silence") return silence(o);
    return move_rows(o);
  });
}
