#include <doctest/doctest.h>

#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <support/laws.hpp>
#include <support/neighbour.hpp>

// The paper's Figure 2, and its Theorem 1: a router over M modules opens any subset of them at any step.

namespace {

using sma::Index;
constexpr Index kWidth = 4;

/// Sets the weights so that channel i of the input opens branch i where it is positive, with probability sigmoid(2 h_i / tau).
template <class Net>
void let_channels_decide(Net& net) {
  using R = typename Net::description;
  auto w = laws::parameters_of(net);
  for (Index i = 0; i < R::branches; ++i) {
    for (Index j = 0; j < kWidth; ++j) {
      w[static_cast<std::size_t>((2 * i) * kWidth + j)] = j == i ? -1.0 : 0.0;     // u_skip
      w[static_cast<std::size_t>((2 * i + 1) * kWidth + j)] = j == i ? 1.0 : 0.0;  // u_run
    }
  }
  for (Index k = 0; k < 2 * R::branches; ++k)
    w[static_cast<std::size_t>(2 * R::branches * kWidth + k)] = 0.0;  // biases
  net.set_parameters(w);
}

template <class Net>
double confidence_of(const Net& net, double h) {
  constexpr Index kLogits = 2 * Net::description::branches;
  const double theta = net.parameters()[static_cast<std::size_t>(kLogits * kWidth + kLogits)];
  return 1 / (1 + std::exp(-2 * h / std::exp(theta)));
}

}  // namespace

TEST_CASE("the worked example: of four steps module 1 sees the second and fourth, module 2 the fourth") {
  using R = sma::Router<sma::LatentConfigurator<kWidth, sma::Independent, sma::Confidence>,
                        sma::Branch<"one", user::Neighbour<kWidth>>,
                        sma::Branch<"two", sma::LinearWithoutBias<kWidth, kWidth>>>;
  sma::Network<R, sma::Eigen<double>> net(sma::Seed{3});
  laws::randomize(net, 3);
  let_channels_decide(net);
  sma::Batch<double, kWidth> h;
  h.append(std::vector<double>{-1, -2, 5, 6,      //
                               0.5, -1, 7, 8,     // a_2^1
                               -0.1, -0.2, 1, 2,  //
                               2, 1.5, 3, 4});    // a_4^1, a_4^2
  std::vector<double> trace(4 * 2);
  net.infer(h);  // so that the output's memory has been used before
  const auto y = net.infer(h, trace);
  const std::vector<double> confidence{0, 0, confidence_of(net, 0.5), 0,
                                       0, 0, confidence_of(net, 2),   confidence_of(net, 1.5)};
  laws::check_close(trace, confidence, 1e-12, "confidence");

  // Module 1 on {h_2, h_4}: its neighbour of step 4 is step 2, two steps away. Module 2 on {h_4}.
  const double* here = net.parameters().data() + 4 * kWidth + 4 + 1;
  const double* before = here + kWidth;
  const double* matrix = before + kWidth;
  for (Index j = 0; j < kWidth; ++j) {
    const double one_2 = here[j] * h(1, j);
    const double one_4 = here[j] * h(3, j) + before[j] * h(1, j) / 2;
    double two_4 = 0;
    for (Index k = 0; k < kWidth; ++k) two_4 += matrix[j * kWidth + k] * h(3, k);
    CHECK(y(0, j) == 0.0);
    CHECK(y(1, j) == doctest::Approx(confidence[2] * one_2).epsilon(1e-12));
    CHECK(y(2, j) == 0.0);
    CHECK(y(3, j) == doctest::Approx(confidence[6] * one_4 + confidence[7] * two_4).epsilon(1e-12));
  }
}

TEST_CASE("all eight subsets of three modules open at a step, and the output is their combination") {
  using Map = sma::LinearWithoutBias<kWidth, kWidth>;
  using R = sma::Router<sma::LatentConfigurator<kWidth, sma::Independent, sma::Confidence>,
                        sma::Branch<"a", Map>, sma::Branch<"b", Map>, sma::Branch<"c", Map>>;
  sma::Network<R, sma::Eigen<double>> net(sma::Seed{4});
  laws::randomize(net, 4);
  let_channels_decide(net);
  // Every subset in every order of neighbours: all pairs of subsets stand next to each other somewhere.
  sma::Batch<double, kWidth> h;
  std::vector<int> subsets;
  std::vector<double> rows;
  sma::RandomSequence random(1, 1);
  for (int first = 0; first < 8; ++first)
    for (int second = 0; second < 8; ++second)
      for (const int subset : {first, second}) {
        subsets.push_back(subset);
        for (int j = 0; j < kWidth; ++j)
          rows.push_back((0.05 + random.uniform()) * ((subset >> j) % 2 == 1 ? 1 : -1));
      }
  h.append(rows);
  std::vector<double> trace(subsets.size() * 3);
  const auto y = net.infer(h, trace);
  const double* maps = net.parameters().data() + 6 * kWidth + 6 + 1;
  std::vector<double> combined, found = laws::values_of(y), confidence;
  for (std::size_t t = 0; t < subsets.size(); ++t) {
    const auto row = static_cast<Index>(t);
    double c[3];
    for (Index i = 0; i < 3; ++i) {
      c[i] = (subsets[t] >> i) % 2 == 1 ? confidence_of(net, h(row, i)) : 0.0;
      confidence.push_back(c[i]);
    }
    for (Index j = 0; j < kWidth; ++j) {
      double sum = 0;
      for (Index i = 0; i < 3; ++i)
        for (Index k = 0; k < kWidth; ++k) sum += c[i] * maps[(i * kWidth + j) * kWidth + k] * h(row, k);
      combined.push_back(sum);
    }
  }
  laws::check_close(trace, confidence, 1e-12, "the open subset and its confidence");
  laws::check_close(found, combined, 1e-12, "the combination");
  for (std::size_t t = 0; t < subsets.size(); ++t)
    if (subsets[t] == 0)
      for (Index j = 0; j < kWidth; ++j) CHECK(y(static_cast<Index>(t), j) == 0.0);
}
