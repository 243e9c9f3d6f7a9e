/// Writes what modules, the loss, optimizers and schedules of this library compute, in double and in float, for peers/equal.py to
/// compare with PyTorch: bench_equal FILE. Tensors are named SCALAR.CASE.TENSOR.

#include <deque>
#include <iostream>
#include <limits>
#include <sma/eigen.hpp>
#include <sma/io/safetensors.hpp>
#include <sma/sma.hpp>
#include <sma/train/loss.hpp>
#include <sma/train/optimizer.hpp>
#include <sma/train/schedule.hpp>

namespace {

using sma::Index;

template <class S>
class Cases {
 public:
  explicit Cases(sma::SafetensorsWriter& file) : file_(file) {}

  /// One training step and one inference of M on `x`, of normal numbers and random tokens where it is empty.
  template <class M>
  void module(const std::string& name, std::vector<S> x = {}) {
    using Net = sma::Network<M, sma::Eigen<S>>;
    constexpr Index in = Net::input_width;
    constexpr Index out = Net::output_width;
    Net net(sma::Seed{1});
    for (S& w : net.parameters())
      if (w != 0) w += static_cast<S>(0.3 * random_.normal());  // a padding row stays zero
    add_entries(name + ".param.", sma::parameter_entries<M>(), net.parameters());

    sma::Batch<typename Net::Element, in> batch;
    const bool given = !x.empty();
    for (const Index rows :
         given ? std::vector<Index>{static_cast<Index>(x.size()) / in} : std::vector<Index>{5, 1, 30}) {
      std::vector<typename Net::Element> part;
      for (Index i = 0; i < rows * in; ++i) {
        if constexpr (sma::takes_tokens<M>())
          part.push_back(static_cast<sma::Token>(random_.uniform() * M::vocabulary));
        else
          part.push_back(given ? x[static_cast<std::size_t>(i)] : static_cast<S>(2 * random_.normal()));
      }
      batch.append(part);
    }
    add(name + ".x", {batch.rows(), in}, batch.values());

    const auto y = net.train(batch);
    add(name + ".y", {y.count, out},
        std::span<const S>(y.host().data, static_cast<std::size_t>(y.count * out)));
    std::vector<S> dy(static_cast<std::size_t>(y.count * out));
    for (S& d : dy) d = static_cast<S>(random_.normal());
    add(name + ".dy", {y.count, out}, std::span<const S>(dy));
    const auto dx = net.backward({dy.data(), y.count});
    if constexpr (!sma::takes_tokens<M>())
      add(name + ".dx", {batch.rows(), in},
          std::span<const S>(dx.host().data, static_cast<std::size_t>(batch.rows() * in)));
    add_entries(name + ".grad.", sma::parameter_entries<M>(), net.gradients());
    add_entries(name + ".buffer.", sma::buffer_entries<M>(), net.buffers());
    const auto inferred = net.infer(batch);
    add(name + ".inferred", {y.count, out},
        std::span<const S>(inferred.host().data, static_cast<std::size_t>(y.count * out)));
  }

  void cross_entropy() {
    constexpr Index classes = 11;
    constexpr Index rows = 50;
    using Net = sma::Network<sma::Identity<classes>, sma::Eigen<S>>;
    Net net(sma::Seed{1});
    sma::Batch<S, classes> x;
    std::vector<S> logits(rows * classes);
    for (S& l : logits) l = static_cast<S>(5 * random_.normal());
    x.append(logits);
    std::vector<std::int32_t> targets(rows);
    for (auto& t : targets) t = static_cast<std::int32_t>(random_.uniform() * classes);
    std::vector<S> dy(logits.size());
    const auto loss = [&](auto& ctx, auto y, auto d, std::span<const std::int32_t> wanted, S scale) {
      const auto sum = sma::CrossEntropy{}(ctx, y, d, wanted, scale);
      std::copy_n(d.data, dy.size(), dy.data());  // one sequence is one shard
      return sum;
    };
    const double total = net.accumulate(x, std::span<const std::int32_t>(targets), loss, 1.0 / rows).loss;
    add("CrossEntropy.x", {rows, classes}, std::span<const S>(logits));
    add("CrossEntropy.targets", {rows}, std::span<const std::int32_t>(targets));
    add("CrossEntropy.y", {}, std::span<const double>(&total, 1));
    add("CrossEntropy.dx", {rows, classes}, std::span<const S>(dy));
  }

  template <bool Rectified>
  void optimizer(const std::string& name, double epsilon) {
    constexpr Index steps = 300;
    using Net = sma::Network<sma::Linear<10, 7>, sma::Eigen<S>>;
    Net net(sma::Seed{1});
    sma::Adam<Net, Rectified> adam(net, {.epsilon = epsilon, .weight_decay = 0.05});
    add(name + ".start", {Net::parameter_count}, net.parameters());
    std::vector<S> gradients;
    for (Index t = 0; t < steps; ++t) {
      for (S& g : net.gradients()) {
        g = static_cast<S>(0.2 * random_.normal());
        gradients.push_back(g);
      }
      adam.step(0.01, sma::clip_factor(adam.gradient_norm(), 1.5));
    }
    add(name + ".gradients", {steps, Net::parameter_count}, std::span<const S>(gradients));
    add(name + ".y", {Net::parameter_count}, net.parameters());
  }

 private:
  /// The writer borrows: a copy lives here.
  template <class Values>
  void add(const std::string& name, std::vector<std::int64_t> shape, const Values& values) {
    using T = std::remove_cvref_t<decltype(values[0])>;
    auto& bytes = kept_.emplace_back(values.size() * sizeof(T));
    if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    file_.add((sizeof(S) == 8 ? "f64." : "f32.") + name, std::move(shape),
              reinterpret_cast<const T*>(bytes.data()));
  }
  void add_entries(const std::string& prefix, const std::vector<sma::TensorEntry>& entries,
                   std::span<const S> values) {
    for (const sma::TensorEntry& e : entries)
      add(prefix + e.name, {e.shape.begin(), e.shape.end()},
          values.subspan(static_cast<std::size_t>(e.offset), static_cast<std::size_t>(e.size)));
  }

  sma::SafetensorsWriter& file_;
  sma::RandomSequence random_{1, 2};
  std::deque<std::vector<std::byte>> kept_;
};

template <class S>
void write_all(Cases<S>& cases) {
  constexpr Index w = 24;
  cases.template module<sma::Linear<40, w>>("Linear");
  cases.template module<sma::LinearWithoutBias<40, w>>("LinearWithoutBias");
  cases.template module<sma::LayerNorm<w>>("LayerNorm");
  cases.template module<sma::LayerNorm<w, false>>("LayerNorm, not affine");
  cases.template module<sma::RmsNorm<w>>("RmsNorm");
  cases.template module<sma::BatchNorm<w>>("BatchNorm");
  cases.template module<sma::SiLU<w>>("SiLU");
  cases.template module<sma::GELU<w>>("GELU");
  cases.template module<sma::ReLU<w>>("ReLU");
  cases.template module<sma::ReLU2<w>>("ReLU2");
  cases.template module<sma::Tanh<w>>("Tanh");
  cases.template module<sma::Sigmoid<w>>("Sigmoid");
  cases.template module<sma::FeedForward<w, 48>>("FeedForward");
  cases.template module<sma::TokenEmbedding<9, w, 1, 2>>("TokenEmbedding");
  cases.template module<sma::RealEmbedding<w>>("RealEmbedding");
  cases.template module<sma::MeanPool<w>>("MeanPool");
  cases.cross_entropy();
  cases.template optimizer<false>("AdamW", 1e-8);
  cases.template optimizer<false>("AdamW, eps 1e-2", 1e-2);
  cases.template optimizer<true>("RAdam", 1e-8);
  cases.template optimizer<true>("RAdam, eps 1e-2", 1e-2);

  constexpr S infinity = std::numeric_limits<S>::infinity();
  const std::vector<S> extreme{
      -infinity, S(-1e30), -1000, -745, -710,    -120,    -104,     -103,
      -100,      -90,      -89,   -88,  S(-0.0), 0,       80,       88,
      89,        90,       103,   710,  1000,    S(1e30), infinity, std::numeric_limits<S>::quiet_NaN()};
  cases.template module<sma::SiLU<w>>("extreme SiLU", extreme);
  cases.template module<sma::GELU<w>>("extreme GELU", extreme);
  cases.template module<sma::ReLU<w>>("extreme ReLU", extreme);
  cases.template module<sma::ReLU2<w>>("extreme ReLU2", extreme);
  cases.template module<sma::Tanh<w>>("extreme Tanh", extreme);
  cases.template module<sma::Sigmoid<w>>("extreme Sigmoid", extreme);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "bench_equal: found " << argc - 1 << " arguments, expected the file to write\n";
    return 2;
  }
  try {
    sma::SafetensorsWriter file;
    Cases<double> in_double(file);
    Cases<float> in_float(file);
    write_all(in_double);
    write_all(in_float);
    constexpr Index steps = 50;
    std::vector<double> linear;
    std::vector<double> cosine;
    for (Index t = 0; t <= steps; ++t) {
      const auto at = static_cast<double>(t);
      linear.push_back(sma::Schedule{.peak = 0.01, .total = steps}.at(at));
      cosine.push_back(
          sma::Schedule{.peak = 0.01, .total = steps, .decay = sma::Schedule::Decay::cosine}.at(at));
    }
    file.add("f64.Schedule, linear.y", {steps + 1}, linear.data());
    file.add("f64.Schedule, cosine.y", {steps + 1}, cosine.data());
    std::vector<std::int64_t> buckets[2];
    for (std::int32_t n = -20000; n <= 20000; ++n) {
      buckets[0].push_back(sma::ops::T5Bias<float, false>{}.slot(n, 0, 0, 0));
      buckets[1].push_back(sma::ops::T5Bias<float, true>{}.slot(n, 0, 0, 0));
    }
    file.add("T5 both ways", {40001}, buckets[0].data());
    file.add("T5 causal", {40001}, buckets[1].data());
    file.write(argv[1]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
