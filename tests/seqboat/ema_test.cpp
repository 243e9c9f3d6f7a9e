#include <doctest/doctest.h>

#include <cmath>
#include <seqboat/ema.hpp>
#include <sma/eigen.hpp>
#include <sma/network/network.hpp>
#include <support/laws.hpp>
#include <vector>

namespace {

using sma::Index;

/// The kernel form of REFERENCE: k[m] = sum_n p_n beta_n gamma_n q_n^m / sqrt(N), summed directly, for one row of parameters.
template <class Net>
double kernel_at(const Net& net, Index rows, Index states, Index row, Index m) {
  const double* w = net.parameters().data();
  const Index size = rows * states;
  double k = 0;
  for (Index n = 0; n < states; ++n) {
    const Index i = row * states + n;
    const double p = 1 / (1 + std::exp(-w[i]));
    const double q = 1 - p / (1 + std::exp(-w[size + i]));
    k += p * w[2 * size + i] * w[3 * size + i] * std::pow(q, static_cast<double>(m)) /
         std::sqrt(static_cast<double>(states));
  }
  return k;
}

/// The recurrence against the sum over all pairs of steps.
template <bool Bidirectional, Index Truncation>
void check_kernel_form() {
  constexpr Index kWidth = 5;
  constexpr Index kStates = 3;
  sma::Network<seqboat::Ema<kWidth, kStates, Bidirectional, Truncation>, sma::Eigen<double>> net(
      sma::Seed{2});
  constexpr Index kRows = Bidirectional ? 2 * kWidth : kWidth;
  const double* omega = net.parameters().data() + 4 * kRows * kStates;
  sma::Batch<double, kWidth> x{0, 1, 40, 7};
  sma::RandomSequence random(3, 3);
  for (double& value : x.values()) value = random.normal();
  const auto y = net.infer(x);
  const sma::Sequences s = x.sequences();
  const auto kept = [](Index m) { return Truncation == 0 || m < Truncation; };
  for (Index q = 0; q < s.count; ++q)
    for (Index t = s.begin(q); t < s.end(q); ++t)
      for (Index c = 0; c < kWidth; ++c) {
        double expected = omega[c] * x(t, c);
        for (Index u = s.begin(q); u <= t; ++u)
          if (kept(t - u)) expected += kernel_at(net, kRows, kStates, c, t - u) * x(u, c);
        if (Bidirectional)
          for (Index u = t; u < s.end(q); ++u)
            if (kept(u - t)) expected += kernel_at(net, kRows, kStates, kWidth + c, u - t) * x(u, c);
        REQUIRE(y(t, c) == doctest::Approx(expected).epsilon(1e-11));
      }
}

}  // namespace

TEST_CASE(
    "a long stream in single precision stays with double precision where the kernel is truncated, decays "
    "near 1 included") {
  // 1 - q = 1e-2, ..., 1e-9: single precision holds the last ones as 1.
  constexpr Index kWidth = 8;
  const auto set_up = [](auto& net) {
    using Net = std::remove_reference_t<decltype(net)>;
    for (const auto& entry : sma::parameter_entries<typename Net::description>())
      for (Index c = 0; c < entry.size; ++c) {
        const double a = 2 * std::pow(10.0, -(static_cast<double>(c) + 2));
        const double value = entry.name == "alpha"                           ? std::log(a / (1 - a))
                             : entry.name == "beta" || entry.name == "gamma" ? 1.0
                                                                             : 0.0;
        net.parameters()[static_cast<std::size_t>(entry.offset + c)] =
            static_cast<typename Net::Scalar>(static_cast<float>(value));
      }
  };
  sma::Network<seqboat::Ema<kWidth, 1, false, 100>, sma::Eigen<float>> single(sma::Seed{1});
  sma::Network<seqboat::Ema<kWidth, 1, false, 100>, sma::Eigen<double>> exact(sma::Seed{1});
  set_up(single);
  set_up(exact);
  auto a = single.stream();
  auto b = exact.stream();
  std::array<float, kWidth> x{}, y{};
  std::array<double, kWidth> exact_x{}, exact_y{};
  sma::RandomSequence random(1, 1);
  double largest = 0;
  double error = 0;
  for (int t = 0; t < 100000; ++t) {
    for (std::size_t c = 0; c < x.size(); ++c) exact_x[c] = x[c] = static_cast<float>(random.normal());
    single.step(a, x, y);
    exact.step(b, exact_x, exact_y);
    for (std::size_t c = 0; c < x.size(); ++c) {
      largest = std::max(largest, std::abs(exact_y[c]));
      error = std::max(error, std::abs(static_cast<double>(y[c]) - exact_y[c]));
    }
  }
  CHECK(error < 5e-5 * largest);
}

TEST_CASE("the recurrence is the convolution with the exponential kernel") {
  check_kernel_form<false, 0>();
  check_kernel_form<true, 0>();
}

TEST_CASE("a truncated recurrence is the convolution with the truncated kernel") {
  check_kernel_form<false, 1>();
  check_kernel_form<false, 6>();
  check_kernel_form<true, 6>();
  check_kernel_form<true, 100>();
}

TEST_CASE("the recurrence obeys the laws of a module") {
  laws::check_streaming_module<seqboat::Ema<5, 3, false>, sma::Eigen<double>>(1);
  laws::check_module<seqboat::Ema<5, 3, true>, sma::Eigen<double>>(2);
}

TEST_CASE(
    "a truncated recurrence obeys the laws of a module, its kernel shorter than the sequence, as long and "
    "longer") {
  laws::check_streaming_module<seqboat::Ema<5, 3, false, 6>, sma::Eigen<double>>(3);
  laws::check_module<seqboat::Ema<5, 3, true, 6>, sma::Eigen<double>>(4);
  for (const Index length : {5, 6, 7}) {
    laws::check_gradients<seqboat::Ema<5, 3, false, 6>, sma::Eigen<double>>({length}, 5);
    laws::check_gradients<seqboat::Ema<5, 3, true, 6>, sma::Eigen<double>>({length}, 6);
    laws::check_stream_is_whole<seqboat::Ema<5, 3, false, 6>, sma::Eigen<double>>(length, 7);
  }
}

TEST_CASE("a recurrence cut after one step keeps no memory") {
  laws::check_gradients<seqboat::Ema<5, 3, false, 1>, sma::Eigen<double>>({0, 1, 9}, 8);
  laws::check_stream_is_whole<seqboat::Ema<5, 3, false, 1>, sma::Eigen<double>>(9, 9);
}

TEST_CASE("only the causal recurrence streams") {
  CHECK(sma::is_streamable<seqboat::Ema<5, 3, false>>());
  CHECK(sma::is_streamable<seqboat::Ema<5, 3, false, 6>>());
  CHECK(!sma::is_streamable<seqboat::Ema<5, 3, true>>());
}

TEST_CASE("a truncated recurrence in single precision stays with the one in double over 20,000 steps") {
  constexpr Index kWidth = 4;
  using Ema = seqboat::Ema<kWidth, 16, false, 1000>;
  sma::Network<Ema, sma::Eigen<double>> exact(sma::Seed{2});
  sma::Network<Ema, sma::Eigen<float>> single(sma::Seed{2});
  sma::Batch<double, kWidth> x{20000};
  sma::Batch<float, kWidth> z{20000};
  sma::RandomSequence random(3, 3);
  for (std::size_t i = 0; i < x.values().size(); ++i) {
    x.values()[i] = random.normal();
    z.values()[i] = static_cast<float>(x.values()[i]);
  }
  const auto y = exact.infer(x);
  const auto w = single.infer(z);
  double largest = 0;
  double difference = 0;
  for (Index t = 0; t < y.count; ++t)
    for (Index c = 0; c < kWidth; ++c) {
      largest = std::max(largest, std::abs(y(t, c)));
      difference = std::max(difference, std::abs(y(t, c) - static_cast<double>(w(t, c))));
    }
  CHECK(difference < 1e-4 * largest);
}
