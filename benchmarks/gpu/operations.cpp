/// Single operations in the shapes of the paper's Image and ListOps: those that move memory are to be held against `copy`, products
/// against cuBLAS's.

#include <common/attention.hpp>
#include <seqboat/seqboat.hpp>

#include "bench.hpp"
#include "blas.hpp"

namespace bench {

namespace {

/// Bytes read and written once by n floats.
double moved(Index n) { return 2.0 * static_cast<double>(n) * sizeof(float); }

/// From device memory to device memory.
void copy(const Options& o) {
  const Index count = o.small ? Index{1} << 16 : Index{1} << 27;
  const DeviceValues from(count, 1);
  const auto to = sma::detail::DeviceBuffer<Backend, float>::unset(device(), count);
  report("copy",
         timed(o.seconds,
               [&] {
#if defined(__CUDACC__)
                 if (cudaMemcpyAsync(to.data(), from.data(), static_cast<std::size_t>(count) * sizeof(float),
                                     cudaMemcpyDeviceToDevice, device().stream()) != cudaSuccess)
                   throw sma::Error("bench_gpu: copy: found an error, expected a copy");
#else
                         ::thrust::copy_n(device().policy(), from.data(), count, to.data());
#endif
               }),
         "bytes", moved(count));
}

/// Compress and extract half of the rows. Compress reads the active rows and writes them, extract writes all rows. Selecting, which
/// waits for the number of active rows, is a case of its own.
template <Index Width>
void move_rows(const Options& o) {
  const Index count = (o.small ? Index{1} << 16 : Index{1} << 27) / Width;
  const EqualSequences sequences(1, count);
  std::vector<std::uint8_t> flags(static_cast<std::size_t>(count));
  sma::RandomSequence random(1, 2);
  for (auto& flag : flags) flag = random.uniform() < 0.5 ? 1 : 0;
  sma::detail::DeviceBuffer<Backend, std::uint8_t> active(device(), count);
  active.upload(flags.data(), count);
  sma::Context<Backend> ctx(device());
  const std::string width = "/" + std::to_string(Width);
  report("select" + width,
         timed(o.seconds,
               [&] {
                 ctx.reset();
                 sma::select_active(ctx, sequences.view(), active.data());
               }),
         "rows", static_cast<double>(count));

  ctx.reset();
  const auto selected = sma::select_active(ctx, sequences.view(), active.data());
  const Index rows = selected.sequences.rows;
  const DeviceValues all(count * Width, 3);
  const DeviceValues some(rows * Width, 4);
  const auto out = sma::detail::DeviceBuffer<Backend, float>::unset(device(), count * Width);
  const sma::Rows<const float, Width> x{all.data(), count}, c{some.data(), rows};
  report("compress" + width,
         timed(o.seconds,
               [&] {
                 sma::compress(ctx, selected, x, sma::Rows<float, Width>{out.data(), rows});
               }),
         "bytes", moved(rows * Width));
  report("extract" + width,
         timed(o.seconds,
               [&] {
                 sma::extract(ctx, selected, c, sma::Rows<float, Width>{out.data(), count});
               }),
         "bytes", moved(rows * Width) / 2 + moved(count * Width) / 2);
}

/// Forward alone of one module, in inference mode, or forward and backward.
template <class M>
void pass(const Options& o, const std::string& name, bool both, Index sequences, Index length,
          const char* unit, double work) {
  Alone<M> one(o.seed, sequences, length, both);
  if (both)
    report(name + "/both", timed(o.seconds, [&] { one.both(); }), unit, work);
  else
    report(name + "/forward", timed(o.seconds, [&] { one.forward(); }), unit, work);
}

/// Forward reads x and writes y; both passes read x and dy and write y and dx.
void ema(const Options& o) {
  const Index sequences = o.small ? 1 : 32, length = o.small ? 50 : 1024, width = 160;
  const double once = moved(sequences * length * width);
  using Ema = seqboat::Ema<width, 16, true, 1024>;
  pass<Ema>(o, "ema", false, sequences, length, "bytes", once);
  pass<Ema>(o, "ema", true, sequences, length, "bytes", 2 * once);
}

/// 2 rows In Out a product; backward has two more.
template <Index In, Index Out>
void product(const Options& o) {
  const Index sequences = o.small ? 1 : 32, length = o.small ? 50 : 1024, rows = sequences * length;
  const double flops = 2.0 * static_cast<double>(rows) * In * Out;
  const std::string name = "linear/" + std::to_string(In) + "x" + std::to_string(Out);
  if (blas::available()) {
    const DeviceValues x(rows * In, 1), w(Out * In, 2);
    const auto y = sma::detail::DeviceBuffer<Backend, float>::unset(device(), rows * Out);
    const blas::Product p{static_cast<int>(rows), Out, In, x.data(), w.data(), y.data()};
    report(name + "/cublas", timed(o.seconds, [&] { blas::multiply(p, blas::Precision::fp32); }), "flops",
           flops);
    report(name + "/cublas_tf32", timed(o.seconds, [&] { blas::multiply(p, blas::Precision::tf32); }),
           "flops", flops);
  }
  pass<sma::Linear<In, Out>>(o, name, false, sequences, length, "flops", flops);
  pass<sma::Linear<In, Out>>(o, name, true, sequences, length, "flops", 3 * flops);
}

void linear(const Options& o) {
  product<160, 736>(o);
  product<320, 160>(o);
  product<80, 384>(o);
}

/// 2 Z flops a pair for its score, 2 V for its value; backward has the score again, two products with v and two with q and k.
void attention(const Options& o) {
  constexpr Index z = 96, v = 320, w = 128;
  const Index sequences = o.small ? 1 : 8, length = o.small ? 50 : 1024;
  double pairs = 0;
  for (Index i = 0; i < length; ++i)
    pairs += static_cast<double>(std::min(i + w, length - 1) - std::max<Index>(i - w, 0) + 1);
  pairs *= static_cast<double>(sequences);
  const double forward = pairs * 2 * (z + v), both = forward + pairs * 2 * (3 * z + 2 * v);
  for (const bool backward : {false, true}) {  // what takes longest comes last
    const double work = backward ? both : forward;
    pass<Attention<seqboat::Relu2, z, v, w>>(o, "attention/relu2", backward, sequences, length, "flops",
                                             work);
    pass<Attention<seqboat::Softmax, z, v, w>>(o, "attention/softmax", backward, sequences, length, "flops",
                                               work);
  }
}

}  // namespace

bool operation(const Options& o) {
  if (o.name == "copy") {
    copy(o);
  } else if (o.name == "rows") {
    move_rows<64>(o);
    move_rows<160>(o);
  } else if (o.name == "ema") {
    ema(o);
  } else if (o.name == "linear") {
    linear(o);
  } else if (o.name == "attention") {
    attention(o);
  } else {
    return false;
  }
  return true;
}

}  // namespace bench
