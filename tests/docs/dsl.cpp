/// The snippets of docs/dsl.md.

#include <doctest/doctest.h>

#include <array>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <string>
#include <vector>

using namespace sma::literals;

namespace {

using Block = sma::Residual<sma::Chain<sma::LayerNorm<16>, sma::FeedForward<16, 32>>>;
using Model = sma::Chain<sma::Named<"embed", sma::Linear<4, 16>>, sma::Named<"blocks", sma::Repeat<3, Block>>,
                         sma::MeanPool<16>, sma::Named<"head", sma::Linear<16, 2>>>;

template <class S>
struct Multiply {  // a kernel: one index is one row
  sma::Rows<const S, 16> x;
  sma::Rows<S, 16> y;
  const S* weight;
  SMA_HD sma::Index extent() const { return y.rows; }
  SMA_HD void operator()(sma::Index i) const {
    for (sma::Index j = 0; j < 16; ++j) y(i, j) = weight[j] * x(i, j);
  }
};

struct Scale {  // y = w * x, one weight a channel
  static constexpr sma::Index input_width = 16, output_width = 16;
  static constexpr sma::Reach reach = sma::Reach::row;  // a row of y depends on that row of x alone
  using Parameters = sma::Parameters<sma::Param<"weight", sma::Shape<16>, sma::init::Ones>>;

  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences&, sma::Rows<const S, 16> x, sma::Rows<S, 16> y,
                      sma::Weights<Scale, S> w, sma::NoState&) {
    ctx.launch(Multiply<S>{x, y, w["weight"_p].data});
  }

  template <class C, class S>
  static void backward(C& ctx, const sma::Sequences&, sma::Rows<const S, 16> x, sma::Rows<const S, 16> dy,
                       sma::Rows<S, 16> dx, sma::Weights<Scale, S> w, sma::Gradients<Scale, S> g,
                       sma::NoState&) {
    using Product = sma::ops::ProductTerm<S, 16>;
    sma::ops::column_sum<16>(ctx, dy.rows, Product{dy, x}, g["weight"_p].data);  // adds
    if (dx) ctx.launch(Multiply<S>{dy, dx, w["weight"_p].data});                 // writes
  }
};

template <class M>
struct Gated {  // y = x * M(x)
  static constexpr sma::Index width = M::input_width;
  static constexpr sma::Index input_width = width, output_width = width;
  static constexpr sma::Reach reach = sma::reach_of<M>();
  using Children = sma::Children<sma::Child<"gate", M>>;

  template <class S>
  struct Saved {
    sma::saved_of<M, S> gate;
    sma::Rows<S, width> m;  // M(x)
  };

  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences& s, sma::Rows<const S, width> x, sma::Rows<S, width> y,
                      sma::Weights<Gated, S> w, Saved<S>& saved) {
    saved.m = ctx.template keep_rows<width>(s.rows);
    sma::forward<M>(ctx, s, x, saved.m, sma::child<"gate">(w), saved.gate);
    ctx.launch(sma::ops::MultiplyRows<S, width>{x, saved.m, y});
  }

  template <class C, class S>
  static void backward(C& ctx, const sma::Sequences& s, sma::Rows<const S, width> x,
                       sma::Rows<const S, width> dy, sma::Rows<S, width> dx, sma::Weights<Gated, S> w,
                       sma::Gradients<Gated, S> g, Saved<S>& saved) {
    auto scope = ctx.scope();  // gives the scratch memory back at its end
    const auto part = ctx.template scratch_rows<width>(s.rows);
    ctx.launch(sma::ops::MultiplyRows<S, width>{dy, x, part});
    sma::backward<M>(ctx, s, x, part, dx, sma::child<"gate">(w), sma::child<"gate">(g), saved.gate);
    if (!dx) return;
    ctx.launch(sma::ops::MultiplyRows<S, width>{dy, saved.m, part});
    ctx.launch(sma::ops::AddRows<S, width>{part, dx});
  }
};

}  // namespace

TEST_CASE("the first program of dsl.md runs") {
  sma::Network<Model, sma::Eigen<float>> net{sma::Seed{1}, {.threads = 2}};

  sma::Batch<float, 4> x;
  x.append(std::vector<float>(30 * 4, 0.5F));  // a sequence of 30 rows
  x.append(std::vector<float>{});              // an empty one
  x.append(std::vector<float>(4, -1.0F));      // one row

  const auto y = net.train(x);  // (3, 2): MeanPool makes one row a sequence
  const std::vector<float> dy(3 * 2, 1.0F);
  const auto dx = net.backward({dy.data(), y.count});  // (31, 4)

  CHECK(y.count == 3);
  CHECK(dx.count == 31);
  CHECK(dx(0, 0) != 0);
}

TEST_CASE("names and places of parameters are those that dsl.md prints") {
  std::string names;
  for (const sma::TensorEntry& entry : sma::parameter_entries<Model>())
    names += std::to_string(entry.offset) + " " + entry.name + "\n";
  CHECK(
      names.starts_with("0 embed.weight\n64 embed.bias\n80 blocks.0.0.weight\n96 blocks.0.0.bias\n"
                        "112 blocks.0.1.up.weight\n"));
  CHECK(names.find(" blocks.2.1.down.bias\n") != std::string::npos);
  CHECK(names.ends_with(" head.bias\n"));
}

TEST_CASE("the modules of dsl.md compute what they say") {
  sma::Network<Gated<Scale>, sma::Eigen<double>> net{sma::Seed{1}};
  for (double& weight : net.parameters()) weight = 3;
  sma::Batch<double, 16> x{2};
  for (double& value : x.values()) value = 5;
  CHECK(net.train(x)(1, 7) == 75);  // x * 3x
  const std::vector<double> dy(2 * 16, 1.0);
  const auto dx = net.backward({dy.data(), 2});
  CHECK(dx(0, 0) == 30);            // 6x
  CHECK(net.gradients()[0] == 50);  // two rows of x * x
  CHECK(sma::parameter_entries<Gated<Scale>>()[0].name == "gate.weight");

  auto stream = net.stream();
  std::array<double, 16> in{};
  in.fill(2);
  std::array<double, 16> out{};
  net.step(stream, in, out);
  CHECK(out[3] == 12);
}
