/// Steps of streams, one row at a time: models with a working memory, and small dense networks beside the same step written by hand
/// with Eigen's matrices of fixed size, as a program for audio in real time would.

#include <Eigen/Core>
#include <array>
#include <common/bench.hpp>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace {

using sma::Index;

/// Microseconds a call of each of f...: in turns, of each the fastest stretch of `count` calls.
template <class... F>
std::array<double, sizeof...(F)> microseconds(const bench::Options& o, int count, const F&... f) {
  // As programs for audio do around a block of steps; without it each step would, 5 to 10 ns.
  const sma::eigen::FlushDenormals silence_is_fast;
  std::array<double, sizeof...(F)> least{};
  double total = 0;
  for (int run = -1; run < 5 || total < o.seconds; ++run) {
    std::size_t which = 0;
    const auto measure = [&](const auto& call) {
      const double start = bench::now();
      for (int i = 0; i < count; ++i) call(i);
      const double taken = bench::now() - start;
      total += taken;
      double& best = least[which++];
      if (run <= 0 || taken < best) best = taken;
    };
    (measure(f), ...);
  }
  for (double& seconds : least) seconds *= 1e6 / count;
  return least;
}

/// A small model of text.
struct SmallLayer : seqboat::LayerDefaults {
  static constexpr Index width = 64, query_width = 32, hidden_width = 128;
  static constexpr bool causal = true;
  using position = seqboat::RotaryPosition;
};
struct SmallModel : seqboat::LanguageModelDefaults {
  using layer = SmallLayer;
  static constexpr Index layers = 4, vocabulary = 256;
};
/// Six layers as wide as the paper's for ListOps.
struct WideLayer : seqboat::LayerDefaults {
  static constexpr Index width = 80, query_width = 64, hidden_width = 160;
  static constexpr bool causal = true;
  using position = seqboat::RotaryPosition;
};
struct WideModel : seqboat::LanguageModelDefaults {
  using layer = WideLayer;
  static constexpr Index layers = 6, vocabulary = 18;
};

template <class Model>
struct Reader {
  using Net = sma::Network<seqboat::LanguageModel<Model>, sma::Eigen<float>>;
  Net net{sma::Seed{1}};
  typename Net::Stream stream = net.stream();
  std::array<float, Net::output_width> logits{};
  void operator()(int i) {
    net.step(stream, std::array{static_cast<sma::Token>((7 * i + i / 3) % Model::vocabulary)}, logits);
  }
};

template <class Model>
double model(const bench::Options& o) {
  Reader<Model> read;
  return microseconds(o, 500, [&](int i) { read(i); })[0];
}

/// Tokens of a text a second, one by one and in chunks.
bench::Values chunks(const bench::Options& o) {
  Reader<WideModel> read;
  std::vector<sma::Token> text(4096);
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<sma::Token>((7 * i + i / 3) % 18);
  const auto [single, together] = microseconds(
      o, 1,
      [&](int) {
        for (int i = 0; i < 4096; ++i) read(i);
      },
      [&](int) { read.net.steps(read.stream, text, read.logits); });
  return {{"one by one", single / 4096}, {"4096 at once", together / 4096}};
}

/// A step of a stream that has taken a thousand steps and of one that has taken a million, in turns, and the memory of the process.
bench::Values million(const bench::Options& o) {
  Reader<SmallModel> read;
  auto young = read.net.stream();
  const auto go_on = [&](auto& stream, Index steps) {
    std::swap(read.stream, stream);
    for (Index i = 0; i < steps; ++i) read(static_cast<int>(i));
    std::swap(read.stream, stream);
  };
  auto old = read.net.stream();
  go_on(young, 1000);
  go_on(old, 1000);
  const double memory = bench::memory_mb("VmRSS");
  while (old.time() < 1000000) go_on(old, 1000);
  const auto [first, last] = microseconds(
      o, 1, [&](int) { go_on(young, 1000); }, [&](int) { go_on(old, 1000); });
  return {{"us after a thousand steps", first / 1000},
          {"us after a million steps", last / 1000},
          {"MB after a thousand steps", memory},
          {"MB after a million steps", bench::memory_mb("VmRSS")}};
}

// By hand.

template <class T, int In, int Out>
struct Dense {
  Eigen::Matrix<T, Out, In> weight = Eigen::Matrix<T, Out, In>::Random() / In;
  Eigen::Matrix<T, Out, 1> bias = Eigen::Matrix<T, Out, 1>::Random();
};
struct None {
  template <class V>
  auto operator()(const V& x) const {
    return x;
  }
};
struct Relu {
  template <class V>
  auto operator()(const V& x) const {
    return x.cwiseMax(0);
  }
};
struct Tanh {
  template <class V>
  auto operator()(const V& x) const {
    return x.array().tanh().matrix();
  }
};
struct Sigmoid {
  template <class V>
  auto operator()(const V& x) const {
    return (1 / (1 + (-x.array()).exp())).matrix();
  }
};

/// Layers of widths W...: y = f(w x + b) each.
template <class T, class F, int... W>
class Hand {
  template <std::size_t N>
  static constexpr int width = std::array{W...}[N];
  template <std::size_t... N>
  static auto layers_of(std::index_sequence<N...>) {
    return std::tuple<Dense<T, width<N>, width<N + 1>>...>();
  }
  static constexpr std::size_t count = sizeof...(W) - 1;

 public:
  [[gnu::noinline]] void step(const T* from, T* to) const { run<0>(from, to); }

 private:
  template <std::size_t N>
  void run(const T* from, T* to) const {
    if constexpr (N < count) {
      const auto& layer = std::get<N>(layers_);
      const Eigen::Map<const Eigen::Matrix<T, width<N>, 1>> x(from);
      Eigen::Matrix<T, width<N + 1>, 1> y = layer.bias;
      y.noalias() += layer.weight * x;
      y = F()(y).eval();
      if constexpr (N + 1 == count)
        Eigen::Map<Eigen::Matrix<T, width<N + 1>, 1>>{to} = y;
      else
        run<N + 1>(y.data(), to);
    }
  }
  decltype(layers_of(std::make_index_sequence<count>())) layers_;
};

/// Ours and by hand, of the same input.
template <class T, class F, class Ours, int... W>
void dense(bench::Values& values, const bench::Options& o, const char* name) {
  constexpr auto widths = std::array{W...};
  sma::Network<Ours, sma::Eigen<T>> net(sma::Seed{1});
  auto stream = net.stream();
  const Hand<T, F, W...> hand;
  std::array<T, widths.front()> x{};
  std::array<T, widths.back()> y{};
  x.fill(T(0.5));
  std::array<T, widths.back()> z{};
  const auto [ours, theirs] = microseconds(
      o, 4000, [&](int) { net.step(stream, x, y); }, [&](int) { hand.step(x.data(), z.data()); });
  const std::string of = std::string(name) + (sizeof(T) == 8 ? " double" : "");
  values.emplace_back(of, ours);
  values.emplace_back(of + " by hand", theirs);
}

template <template <Index> class F, Index N>
using Layer = sma::Chain<sma::Linear<N, N>, F<N>>;
template <template <Index> class F, Index N>
using Four = sma::Chain<Layer<F, N>, Layer<F, N>, Layer<F, N>, Layer<F, N>>;

template <class T>
void dense_networks(bench::Values& values, const bench::Options& o) {
  dense<T, None, sma::Linear<64, 64>, 64, 64>(values, o, "dense 64");
  dense<T, Relu, Four<sma::ReLU, 64>, 64, 64, 64, 64, 64>(values, o, "4 x 64 relu");
  dense<T, Tanh, Four<sma::Tanh, 64>, 64, 64, 64, 64, 64>(values, o, "4 x 64 tanh");
  dense<T, Sigmoid, Four<sma::Sigmoid, 64>, 64, 64, 64, 64, 64>(values, o, "4 x 64 sigmoid");
  dense<T, Relu, Four<sma::ReLU, 16>, 16, 16, 16, 16, 16>(values, o, "4 x 16 relu");
  dense<T, Relu, Four<sma::ReLU, 128>, 128, 128, 128, 128, 128>(values, o, "4 x 128 relu");
  dense<T, Tanh,
        sma::Chain<sma::Linear<1, 16>, sma::Tanh<16>, sma::Linear<16, 16>, sma::Tanh<16>, sma::Linear<16, 1>,
                   sma::Tanh<1>>,
        1, 16, 16, 1>(values, o, "1-16-16-1 tanh");
}

}  // namespace

int main(int argc, char** argv) {
  constexpr const char* names[] = {"models", "chunks", "million", "dense"};
  return bench::values_main(argc, argv, "Times steps of streams", names, [](const bench::Options& o) {
    if (o.name == "models")
      return bench::Values{{"4 layers of width 64", model<SmallModel>(o)},
                           {"6 layers of width 80", model<WideModel>(o)}};
    if (o.name == "chunks") return chunks(o);
    if (o.name == "million") return million(o);
    bench::Values values;
    dense_networks<float>(values, o);
    dense_networks<double>(values, o);
    return values;
  });
}
