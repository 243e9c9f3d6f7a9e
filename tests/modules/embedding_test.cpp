#include <doctest/doctest.h>

#include <sma/compose/tied.hpp>
#include <sma/eigen.hpp>
#include <sma/modules/activation.hpp>
#include <sma/modules/embedding.hpp>
#include <sma/modules/linear.hpp>
#include <support/laws.hpp>

using sma::Index;
using Double = sma::Eigen<double>;

TEST_CASE("a token embedding obeys the laws") {
  laws::check_streaming_module<sma::TokenEmbedding<7, 4>, Double>(1);
}

TEST_CASE("a token embedding is the token's row times the scale, and padding tokens leave no gradient") {
  using M = sma::TokenEmbedding<7, 4, 4, 2>;  // scale 2, padding token 2
  using Net = sma::Network<M, Double>;
  Net net(sma::Seed{1});
  laws::randomize(net, 1);
  const auto table = laws::parameters_of(net);
  sma::Batch<sma::Token, 1> x;
  x.append(std::vector<sma::Token>{0, 6, 2, 6});
  x.append(std::vector<sma::Token>{2, 3});
  const auto dy = laws::random_values<double>(6 * 4, 1);
  const auto pass = laws::train(net, x, dy);
  std::vector<double> y, gradient(table.size());
  for (std::size_t t = 0; t < 6; ++t)
    for (std::size_t j = 0; j < 4; ++j) {
      const auto e = static_cast<std::size_t>(x.values()[t]) * 4 + j;
      y.push_back(2 * table[e]);
      if (x.values()[t] != 2) gradient[e] += 2 * dy[t * 4 + j];
    }
  laws::check_close(pass.y, y, 1e-15, "output");
  laws::check_close(pass.gradients, gradient, 1e-15, "gradient");
  CHECK(pass.gradients[2 * 4] == 0.0);
}

TEST_CASE("the padding token's row starts at zero, and the other rows as without padding, tied or not") {
  const auto check = [](const auto& padded, const auto& plain) {
    REQUIRE(padded.parameters().size() == 28);
    for (std::size_t i = 0; i < 28; ++i) {
      CHECK(plain.parameters()[i] != 0.0);
      CHECK(padded.parameters()[i] == (i / 4 == 2 ? 0.0 : plain.parameters()[i]));
    }
  };
  check(sma::Network<sma::TokenEmbedding<7, 4, 1, 2>, Double>(sma::Seed{1}),
        sma::Network<sma::TokenEmbedding<7, 4>, Double>(sma::Seed{1}));
  check(sma::Network<sma::TiedEmbedding<7, sma::Tanh<4>, 4, 2>, Double>(sma::Seed{1}),
        sma::Network<sma::TiedEmbedding<7, sma::Tanh<4>>, Double>(sma::Seed{1}));
}

TEST_CASE("an embedding of real numbers has the shapes of a linear map from one number") {
  const auto real = sma::parameter_entries<sma::RealEmbedding<4>>();
  const auto linear = sma::parameter_entries<sma::Linear<1, 4>>();
  REQUIRE(real.size() == linear.size());
  for (std::size_t i = 0; i < real.size(); ++i) {
    CHECK(real[i].name == linear[i].name);
    CHECK(real[i].shape == linear[i].shape);
  }
}

TEST_CASE("an embedding of real numbers is x w + b and obeys the laws") {
  laws::check_streaming_module<sma::RealEmbedding<4>, Double>(2);
  using Net = sma::Network<sma::RealEmbedding<4>, Double>;
  Net net(sma::Seed{1});
  const auto w = laws::parameters_of(net);
  sma::Batch<double, 1> x;
  x.append(std::vector<double>{0.5, -3});
  const auto y = net.infer(x);
  for (Index t = 0; t < 2; ++t)
    for (std::size_t j = 0; j < 4; ++j)
      CHECK(y(t, static_cast<Index>(j)) == doctest::Approx(x(t, 0) * w[j] + w[4 + j]).epsilon(1e-15));
}

TEST_CASE("absolute positions obey the laws, streams included") {
  laws::check_streaming_module<sma::AbsolutePosition<6>, Double>(3);
}

TEST_CASE("absolute positions are sines, then cosines, of each sequence's own time") {
  using Net = sma::Network<sma::AbsolutePosition<6>, Double>;
  Net net(sma::Seed{1});
  CHECK(net.parameters()[0] == doctest::Approx(1 / std::sqrt(6.0)).epsilon(1e-15));
  const sma::Batch<double, 6> x{5, 0, 3};
  const auto y = net.infer(x);
  for (Index row = 0; row < 8; ++row) {
    const double t = static_cast<double>(row < 5 ? row : row - 5);
    for (Index i = 0; i < 3; ++i) {
      const double angle = t * std::pow(10000.0, -2.0 * static_cast<double>(i) / 6.0);
      CHECK(y(row, i) == doctest::Approx(std::sin(angle) / std::sqrt(6.0)).epsilon(1e-12));
      CHECK(y(row, 3 + i) == doctest::Approx(std::cos(angle) / std::sqrt(6.0)).epsilon(1e-12));
    }
  }
}

TEST_CASE("a tied embedding reads tokens and writes logits with one matrix, and obeys the laws") {
  using M = sma::TiedEmbedding<7, sma::Tanh<4>>;
  laws::check_streaming_module<M, Double>(4);
  using Net = sma::Network<M, Double>;
  static_assert(Net::parameter_count == 28);
  Net net(sma::Seed{1});
  laws::randomize(net, 1);
  const auto e = laws::parameters_of(net);
  sma::Batch<sma::Token, 1> x;
  x.append(std::vector<sma::Token>{5, 1});
  const auto y = net.infer(x);
  for (Index t = 0; t < 2; ++t)
    for (std::size_t v = 0; v < 7; ++v) {
      double logit = 0;
      for (std::size_t j = 0; j < 4; ++j)
        logit += std::tanh(2 * e[static_cast<std::size_t>(x(t, 0)) * 4 + j]) * e[v * 4 + j];
      CHECK(y(t, static_cast<Index>(v)) == doctest::Approx(logit).epsilon(1e-13));
    }
}
