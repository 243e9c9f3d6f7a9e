/// Every header, every module and every way to call a network, in single and double precision: what a user's compiler may have
/// to say about the library, it says here. Run, it finds that nothing of it throws and that weights come back from a file.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <ratio>
#include <seqboat/reference_names.hpp>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/checkpoint.hpp>
#include <sma/train/trainer.hpp>
#include <span>
#include <string>
#include <vector>

namespace {

using sma::Index;

/// A module of one's own, with modules inside.
template <class M>
struct Twice {
  static constexpr Index input_width = M::input_width, output_width = M::output_width;
  static constexpr sma::Reach reach = sma::reach_of<M>();
  using Children = sma::Children<sma::Child<"once", M>>;
  template <class S>
  struct Saved {
    sma::saved_of<M, S> once;
  };
  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences& s, sma::Rows<const S, input_width> x,
                      sma::Rows<S, output_width> y, sma::Weights<Twice, S> w, Saved<S>& saved) {
    sma::forward<M>(ctx, s, x, y, sma::child<0>(w), saved.once);
    ctx.launch(sma::ops::AddRows<S, output_width>{y, y});
  }
  template <class C, class S>
  static void backward(C& ctx, const sma::Sequences& s, sma::Rows<const S, input_width> x,
                       sma::Rows<const S, output_width> dy, sma::Rows<S, input_width> dx,
                       sma::Weights<Twice, S> w, sma::Gradients<Twice, S> g, Saved<S>& saved) {
    auto scope = ctx.scope();
    const auto both = ctx.template scratch_rows<output_width>(s.rows);
    ctx.launch(sma::ops::Fill<S>{both.data, s.rows * output_width, S(0)});
    for (int i = 0; i < 2; ++i) ctx.launch(sma::ops::AddRows<S, output_width>{dy, both});
    sma::backward<M>(ctx, s, x, both, dx, sma::child<0>(w), sma::child<0>(g), saved.once);
  }
};

/// Routers: every rule, every estimator, branches that run nothing and routers inside.
template <class Rule, class Estimator, class... More>
using Routed = sma::Router<sma::LatentConfigurator<8, Rule, Estimator>,
                           sma::Branch<"small", sma::Linear<8, 8>>, sma::SkipBranch, More...>;
struct Inner : Routed<sma::Independent, sma::Confidence, sma::Branch<"own", Twice<sma::Linear<8, 8>>>> {};
using Routers = sma::Chain<
    sma::Residual<Routed<sma::Threshold<std::ratio<1, 2>>, sma::StraightThrough>>,
    sma::Residual<Routed<sma::TopK<2>, sma::GumbelSoft, sma::Branch<"inner", Inner>>>,
    sma::Residual<Routed<sma::Switch, sma::GumbelHard, sma::Branch<"mlp", sma::FeedForward<8, 4>>>>,
    sma::Residual<Routed<sma::Independent, sma::SigmoidConfidence>>,
    sma::Residual<Routed<sma::Independent, sma::Blocked>>>;

/// Modules by rows, pools and pairs.
using Rows = sma::Chain<sma::RealEmbedding<8>, sma::AbsolutePosition<8>, sma::LayerNorm<8>,
                        sma::Named<"rms", sma::RmsNorm<8>>, sma::SiLU<8>, sma::ScaleNorm<8>, sma::GELU<8>,
                        sma::Repeat<2, sma::Residual<sma::Chain<sma::BatchNorm<8>, sma::FeedForward<8, 4>>>>,
                        sma::Sum<sma::ReLU<8>, sma::Tanh<8>, sma::Sigmoid<8>, sma::LinearWithoutBias<8, 8>>,
                        sma::ReLU2<8>, sma::Dropout<8, std::ratio<1, 4>>, sma::Identity<8>, Routers,
                        sma::MeanPool<8>, sma::PairFeatures<8>, sma::Linear<32, 2>>;

/// SeqBoat: every attention function, every kind of position, both directions.
struct Narrow : seqboat::LayerDefaults {
  static constexpr Index width = 8, query_width = 4, hidden_width = 8, states = 2;
  using span = seqboat::Window<3>;
  using dropout = std::ratio<1, 10>;
};
struct First : Narrow {
  using attention = seqboat::Laplace;
  using position = seqboat::SimplePosition<16>;
  using hidden_dropout = std::ratio<1, 10>;
  static constexpr Index feed_forward_width = 8;
};
struct Second : Narrow {
  using attention = seqboat::Relu2;
  using position = seqboat::LocalPosition<3>;
  static constexpr bool prenorm = false;
  static constexpr Index truncation = 4;
};
struct Third : Narrow {
  using span = seqboat::Full;
  using position = seqboat::T5Position;
  static constexpr bool always_active = true;
};
struct Causal : Narrow {
  using position = seqboat::RotaryPosition;
  static constexpr bool causal = true;
  static constexpr Index truncation = 4;
};
struct CausalToo : Causal {
  using attention = seqboat::Relu2;
  using position = seqboat::SimplePosition<16>;
};
using Layers = sma::Chain<seqboat::Layer<First>, seqboat::Layer<Second>, seqboat::Layer<Third>,
                          seqboat::Layer<CausalToo>>;

struct Model : seqboat::ClassifierDefaults {
  using layer = Narrow;
  static constexpr Index layers = 2, classes = 3, classifier_width = 8, vocabulary = 5;
};
struct Text : seqboat::LanguageModelDefaults {
  using layer = Causal;
  static constexpr Index layers = 1, vocabulary = 5;
};

/// Any tokens.
class Data {
 public:
  using Input = sma::Batch<sma::Token, 1>;
  void next(Index count, Input& x, std::vector<std::int32_t>& targets) {
    for (Index i = 0; i < count; ++i) example(sma::Split::validation, index_++, x, targets);
  }
  [[nodiscard]] static std::int64_t epoch() { return 0; }
  [[nodiscard]] std::int64_t index() const { return index_; }
  void seek(std::int64_t, std::int64_t index) { index_ = index; }
  [[nodiscard]] static Index size(sma::Split) { return 3; }
  static void example(sma::Split, Index i, Input& x, std::vector<std::int32_t>& targets) {
    const auto token = static_cast<sma::Token>(i % 3);
    x.append(std::vector<sma::Token>{token, 1, 4});
    targets.push_back(token);
  }

 private:
  std::int64_t index_ = 0;
};

template <class T, Index Width>
sma::Batch<T, Width> batch() {
  sma::Batch<T, Width> x{9, 0, 5, 1};
  for (std::int32_t i = 0; T & value : x.values()) value = static_cast<T>(i++ % 5);
  return x;
}

/// Forward with a trace, backward, an update; returns whether the weights come back from a file.
template <class Description, class S>
bool pass(const std::string& directory) {
  using Net = sma::Network<Description, sma::Eigen<S>>;
  Net net{sma::Seed{1}, {.threads = 2}};
  const auto x = batch<typename Net::Element, Net::input_width>();
  std::vector<S> trace(static_cast<std::size_t>(x.rows() * Net::trace_width));
  net.settings().auxiliary = {.load_balance = 0.01, .z_loss = 0.001, .budget = 0.1, .budget_target = 0.3};
  const auto y = trace.empty() ? net.train(x) : net.train(x, trace);
  const std::vector<S> dy(static_cast<std::size_t>(y.count * Net::output_width), S(1));
  net.backward({dy.data(), y.count});
  sma::RAdam<Net> optimizer(net);
  optimizer.step(0.001, sma::clip_factor(optimizer.gradient_norm(), 1.0));
  const std::string path = directory + "/weights.safetensors";
  sma::save_weights(net, path);
  Net other{sma::Seed{2}};
  sma::load_weights(other, path);
  return std::ranges::equal(net.parameters(), other.parameters()) && !net.metrics().empty();
}

template <class S>
bool train(const std::string& directory) {
  using Net = sma::Network<seqboat::Classifier<Model>, sma::Eigen<S>>;
  sma::TrainerOptions options;
  options.steps = 2;
  options.batch = 3;
  options.directory = directory;
  options.log_file = directory + "/log.jsonl";
  options.quiet = true;
  Net net{sma::Seed{1}};
  Data data;
  sma::Trainer trainer(net, data, options);
  trainer.run();
  trainer.resume(trainer.last_path());
  seqboat::save_reference(net, directory + "/reference.safetensors");
  seqboat::load_reference(net, sma::SafetensorsFile::open(directory + "/reference.safetensors"));
  return sma::SafetensorsFile::open(trainer.last_path()).template read<double>("training.numbers").size() ==
         2;
}

template <class S>
bool stream() {
  sma::Network<seqboat::LanguageModel<Text>, sma::Eigen<S>> net{sma::Seed{1}};
  const auto whole = net.infer(batch<sma::Token, 1>());
  auto one = net.stream();
  std::array<S, 5> y{};
  for (sma::Token token = 0; token < 5; ++token) net.step(one, std::array{token}, y);
  const S difference = y[0] - whole(4, 0);
  return difference * difference < S(1e-6);
}

template <class S>
bool pack() {
  const auto x = batch<S, 2>();
  sma::Context<sma::Eigen<S>> ctx;
  const std::vector<std::uint8_t> flags(static_cast<std::size_t>(x.rows()), 1);
  const sma::Selection active = sma::select_active(ctx, x.sequences(), flags.data());
  const auto packed = ctx.template scratch_rows<2>(active.sequences.rows);
  const auto back = ctx.template scratch_rows<2>(x.rows());
  sma::compress(ctx, active, x.view(), packed);
  sma::extract(ctx, active, sma::Rows<const S, 2>(packed), back);
  return active.sequences.rows == x.rows();
}

template <class S>
bool everything(const std::string& directory) {
  return pass<Rows, S>(directory) && pass<Layers, S>(directory) && train<S>(directory) && stream<S>() &&
         pack<S>();
}

}  // namespace

int main(int, char** arguments) {
  const std::string directory = std::string(arguments[0]) + ".files";
  std::filesystem::create_directories(directory);
  const bool passed = everything<float>(directory) && everything<double>(directory);
  std::filesystem::remove_all(directory);
  std::printf("%s\n", passed ? "everything is as it should be" : "something is wrong");
  return passed ? 0 : 1;
}
