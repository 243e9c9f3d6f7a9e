/// The snippets of docs/routing.md.

#include <doctest/doctest.h>

#include <cmath>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <string>
#include <vector>

namespace {

struct Mixture
    : sma::Router<sma::LatentConfigurator<16, sma::Independent, sma::Confidence>,
                  sma::Branch<"mlp", sma::FeedForward<16, 32>>, sma::Branch<"map", sma::Linear<16, 16>>> {};

struct WarmStart : sma::ConfiguratorDefaults {
  using temperature_scale = std::ratio<3, 10>;  // tau starts at 0.3 * sqrt(Width)
  using act_bias = std::ratio<1, 2>;            // added to u_skip
};
struct Warm : sma::Router<sma::LatentConfigurator<16, sma::Independent, sma::Confidence, WarmStart>,
                          sma::Branch<"mlp", sma::FeedForward<16, 32>>> {};

struct Experts : sma::Router<sma::LatentConfigurator<16, sma::TopK<1>, sma::Confidence>, sma::SkipBranch,
                             sma::Branch<"small", sma::Linear<16, 16>>, sma::Branch<"mixture", Mixture>> {
};  // routers nest

/// Every branch that is within `Factor` of the most probable one.
template <sma::Index Factor>
struct NearTheBest {
  static constexpr bool causal = true;
  static constexpr sma::Competition competition = sma::Competition::among;
  template <class T, sma::Index M>
  SMA_HD static void select(const T* p, std::uint8_t* active) {
    T best = p[0];
    for (sma::Index i = 1; i < M; ++i) best = p[i] > best ? p[i] : best;
    for (sma::Index i = 0; i < M; ++i) active[i] = p[i] * T(Factor) >= best ? 1 : 0;
  }
};

/// The more probable half of each sequence, for each branch: looks ahead, and says so.
struct UpperHalf {
  static constexpr bool causal = false;
  static constexpr sma::Competition competition = sma::Competition::each;
  template <class T, sma::Index M>
  SMA_HD static void select_sequence(const T* p, sma::Index length, std::uint8_t* active) {
    for (sma::Index e = 0; e < length * M; ++e) {  // p, active (length, M)
      sma::Index above = 0;
      for (sma::Index o = e % M; o < length * M; o += M) above += p[o] > p[e] ? 1 : 0;
      active[e] = 2 * above < length ? 1 : 0;
    }
  }
};

/// The weight is the root of the probability; gradient flows as it should.
struct RootConfidence {
  static constexpr sma::Gate gate = sma::Gate::softmax;
  template <class T>
  SMA_HD static T weight(T p) {
    return std::sqrt(p);
  }
  template <class T>
  SMA_HD static T slope(T p) {
    return T(0.5) / std::sqrt(p);
  }
};

}  // namespace

TEST_CASE("routing.md's trace, statistics and auxiliary losses are returned values") {
  sma::Network<Mixture, sma::Eigen<float>> net{sma::Seed{1}};
  sma::Batch<float, 16> x{7, 0, 3};
  for (sma::Index i = 0; float& value : x.values()) value = std::sin(static_cast<float>(++i));

  net.settings().auxiliary = {.load_balance = 0.01, .z_loss = 0.001, .budget = 0.1, .budget_target = 0.3};
  std::vector<float> trace(static_cast<std::size_t>(x.rows() * net.trace_width));  // (rows, 2)
  net.train(x, trace);
  // "configurator.active.0", "configurator.z_loss", ...
  const std::vector<sma::Metric> metrics = net.metrics();

  double weighted = 0;
  for (const float weight : trace) weighted += static_cast<double>(weight);
  double reported = 0;
  for (const sma::Metric& metric : metrics) {
    CHECK(std::isfinite(metric.value));
    if (metric.name.starts_with("configurator.confidence")) reported += metric.value;
  }
  CHECK(weighted == doctest::Approx(reported));
  CHECK(metrics.size() == 8);
  CHECK(metrics[0].name == "configurator.rows");
  CHECK(metrics[0].value == 10);
}

TEST_CASE("options of the configurator set where temperature starts") {
  sma::Network<Warm, sma::Eigen<double>> net{sma::Seed{1}};
  for (const sma::TensorEntry& entry : sma::parameter_entries<Warm>())
    if (entry.name == "configurator.temp")
      CHECK(std::exp(net.parameters()[static_cast<std::size_t>(entry.offset)]) == doctest::Approx(0.3 * 4));
}

TEST_CASE("rules and estimators of one's own select and weigh") {
  std::uint8_t active[3];
  const double p[3] = {0.2, 0.5, 0.3};
  NearTheBest<2>::select<double, 3>(p, active);
  CHECK(active[0] == 0);
  CHECK(active[1] == 1);
  CHECK(active[2] == 1);
  UpperHalf::select_sequence<double, 1>(p, 3, active);
  CHECK(active[0] == 0);
  CHECK(active[1] == 1);
  CHECK(active[2] == 1);

  using Own = sma::Router<sma::LatentConfigurator<16, UpperHalf, RootConfidence>,
                          sma::Branch<"map", sma::Linear<16, 16>>>;
  static_assert(!sma::is_causal<Own>() && !sma::is_streamable<Own>());
  sma::Network<Own, sma::Eigen<double>> net{sma::Seed{2}};
  sma::Batch<double, 16> x{10};
  for (sma::Index i = 0; double& value : x.values()) value = std::sin(static_cast<double>(++i));
  net.infer(x);
  CHECK(net.metrics()[1].value == 5);  // half of ten rows
  static_assert(sma::Network<Experts, sma::Eigen<double>>::trace_width == 5);
}

TEST_CASE("compress and extract are inverse on the active rows") {
  const sma::Batch<float, 2> batch = [] {
    sma::Batch<float, 2> b;
    b.append(std::vector<float>{1, 2, 3, 4, 5, 6});
    b.append(std::vector<float>{7, 8});
    return b;
  }();
  const std::vector<std::uint8_t> flags{1, 0, 1, 0};

  sma::Context<sma::Eigen<float>> ctx;
  const sma::Selection active = sma::select_active(ctx, batch.sequences(), flags.data());
  const auto packed = ctx.scratch_rows<2>(active.sequences.rows);  // (2, 2), positions 0 and 2
  const auto back = ctx.scratch_rows<2>(batch.rows());             // (4, 2)
  sma::compress(ctx, active, batch.view(), packed);
  sma::extract(ctx, active, sma::Rows<const float, 2>(packed), back);  // exact zero where skipped

  CHECK(active.sequences.rows == 2);
  CHECK(active.sequences.positions[1] == 2);
  CHECK(active.sequences.length(1) == 0);
  CHECK(packed(1, 0) == 5);
  CHECK(back(2, 1) == 6);
  CHECK(back(1, 0) == 0);
  CHECK(back(3, 1) == 0);
}
