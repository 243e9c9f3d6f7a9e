// labels: threads
#include <doctest/doctest.h>

#include <routing/by_hand.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <support/laws.hpp>
#include <support/neighbour.hpp>

// Laws 3, 4 and 5 for routers as they stand in networks, and what threads may not change.

namespace {

using sma::Index;
using Double = sma::Eigen<double>;
using Float = sma::Eigen<float>;

struct Mixture : sma::Router<sma::LatentConfigurator<6, sma::Independent, sma::Confidence>,
                             sma::Branch<"mlp", sma::FeedForward<6, 5>>,
                             sma::Branch<"neighbour", user::Neighbour<6>>, sma::SkipBranch> {};

/// A router whose branch is a router: the inner one sees the outer one's active rows.
struct Nested
    : sma::Router<sma::LatentConfigurator<6, sma::TopK<1>, sma::Confidence>,
                  sma::Branch<"mixture", sma::Residual<Mixture>>, sma::Branch<"map", sma::Linear<6, 6>>> {};

struct WholeSequence : sma::Router<sma::LatentConfigurator<6, by_hand::HalfOfTheSteps, sma::Confidence>,
                                   sma::Branch<"neighbour", user::Neighbour<6>>,
                                   sma::Branch<"map", sma::LinearWithoutBias<6, 6>>> {};

/// Batch norm inside a branch: shards must meet there though one of them may have no active row.
struct Coupled : sma::Router<sma::LatentConfigurator<6, sma::Independent, sma::Confidence>,
                             sma::Branch<"norm", sma::Chain<sma::BatchNorm<6>, sma::SiLU<6>>>,
                             sma::Branch<"mlp", sma::FeedForward<6, 5>>> {};

constexpr laws::Decision kDecisions[] = {laws::Decision::mixed, laws::Decision::none, laws::Decision::all};

}  // namespace

TEST_CASE("forcing decisions makes every branch run everywhere or nowhere") {
  using Net = sma::Network<Mixture, Double>;
  const auto x = laws::random_input<Net>({2, 200, 0, 2}, 1);
  for (const auto decision : kDecisions) {
    Net net(sma::Seed{1});
    laws::randomize(net, 1);
    laws::Force{decision}(net);
    const auto active = laws::decisions_of(net, x);
    const auto count = std::count(active.begin(), active.end(), true);
    if (decision == laws::Decision::none) CHECK(count == 0);
    if (decision == laws::Decision::all) CHECK(count == 3 * 204);
    if (decision == laws::Decision::mixed) CHECK((count > 61 && count < 551));
  }
}

TEST_CASE("an independent mixture obeys the laws with some, no and all steps active") {
  for (const auto decision : kDecisions)
    laws::check_streaming_module<sma::Residual<Mixture>, Double>(2, laws::Force{decision});
}

TEST_CASE("an independent mixture in single precision streams and keeps its sequences apart") {
  for (const auto& lengths : laws::shapes()) laws::check_batch_is_its_sequences<Mixture, Float>(lengths, 2);
  laws::check_stream_is_whole<Mixture, Float>(50, 2);
}

TEST_CASE("nested routers obey the laws with some, no and all inner steps active") {
  for (const auto decision : kDecisions)
    laws::check_streaming_module<Nested, Double>(3, laws::Force{decision});
}

TEST_CASE("a router with a rule over whole sequences obeys the laws and neither is causal nor streams") {
  static_assert(!sma::is_causal<WholeSequence>() && !sma::is_streamable<WholeSequence>());
  static_assert(sma::is_causal<Mixture>() && sma::is_streamable<Nested>());
  laws::check_module<WholeSequence, Double>(4);
}

TEST_CASE("threads change no bit of a router's pass, with batch norm in a branch too") {
  for (const auto decision : kDecisions)
    for (const auto& lengths : laws::shapes())
      laws::check_threads<Coupled, Double>(lengths, 5, laws::Force{decision});
  laws::check_gradients<Coupled, Double>({7, 0, 30, 1}, 5);
}

TEST_CASE("the trace holds each router's weights at its own columns, inner rows at their outer steps") {
  using Net = sma::Network<Nested, Double>;
  static_assert(Net::trace_width == 2 + 3);
  Net net(sma::Seed{1});
  laws::randomize(net, 4);
  const auto x = laws::random_input<Net>({60, 40}, 2);
  std::vector<double> trace(100 * 5);
  net.infer(x, trace);
  int inner = 0;
  for (std::size_t t = 0; t < 100; ++t) {
    const double* row = &trace[5 * t];
    CHECK((row[0] != 0) != (row[1] != 0));  // the switch takes exactly one
    const bool runs_inside = row[2] != 0 || row[3] != 0 || row[4] != 0;
    if (runs_inside) CHECK(row[0] != 0);
    inner += runs_inside ? 1 : 0;
  }
  CHECK(inner > 0);
}

TEST_CASE("a router reports rows, active steps and confidence of each branch, for the rows that reached it") {
  using Net = sma::Network<Nested, Double>;
  Net net(sma::Seed{1}, {.threads = 1, .lanes = 3});
  laws::randomize(net, 4);
  const auto x = laws::random_input<Net>({60, 0, 40}, 2);
  std::vector<double> trace(100 * 5);
  net.infer(x, trace);
  std::vector<double> active(5), confidence(5);
  for (std::size_t e = 0; e < trace.size(); ++e)
    if (trace[e] != 0) {
      active[e % 5] += 1;
      confidence[e % 5] += trace[e];
    }
  const auto metric = [&](const std::string& name) {
    for (const sma::Metric& m : net.metrics())
      if (m.name == name) return m.value;
    FAIL("no metric " << name);
    return 0.0;
  };
  CHECK(metric("configurator.rows") == 100);
  CHECK(metric("mixture.configurator.rows") == active[0]);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(metric("configurator.active." + std::to_string(i)) == active[i]);
    CHECK(metric("configurator.confidence." + std::to_string(i)) == doctest::Approx(confidence[i]));
  }
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(metric("mixture.configurator.active." + std::to_string(i)) == active[2 + i]);
}

TEST_CASE("a branch that no step chooses is not run: its parameters may be NaN") {
  using Net = sma::Network<Mixture, Double>;
  Net net(sma::Seed{1});
  laws::randomize(net, 1);
  laws::Force{laws::Decision::none}(net);
  auto w = laws::parameters_of(net);
  for (const auto& entry : sma::parameter_entries<Mixture>())
    if (!entry.name.starts_with("configurator."))
      std::fill_n(w.begin() + entry.offset, entry.size, std::nan(""));
  net.set_parameters(w);
  const auto x = laws::random_input<Net>({20, 3}, 1);
  const auto pass = laws::train(net, x, laws::random_output_gradient<Net>({20, 3}, 1));
  CHECK(std::count(pass.y.begin(), pass.y.end(), 0.0) == 23 * 6);
  CHECK(std::count(pass.gradients.begin(), pass.gradients.end(), 0.0) ==
        static_cast<std::ptrdiff_t>(pass.gradients.size()));
}
