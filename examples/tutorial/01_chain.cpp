/// A network is a type. Declare it, give it a backend and a seed, run it forward and backward.

#include <cmath>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <vector>

#include "claim.hpp"

// The output of each module is the input of the next; widths that do not meet do not compile.
using Model = sma::Chain<sma::Linear<4, 16>, sma::SiLU<16>, sma::LayerNorm<16>, sma::Linear<16, 3>>;
using Net = sma::Network<Model, sma::Eigen<double>>;

int main() {
  Net net{sma::Seed{1}};
  net.training(true);  // keep what backward needs

  // Three sequences of 5, 0 and 2 rows of width 4, one after another: a packed batch has no padding.
  sma::Batch<double, 4> x{5, 0, 2};
  for (sma::Index row = 0; row < x.rows(); ++row)
    for (sma::Index column = 0; column < 4; ++column)
      x(row, column) = std::sin(static_cast<double>(4 * row + column));

  const auto y = net.forward(x);  // (7, 3)
  claim("seven rows go in and seven come out", x.rows() == 7 && y.count == 7);
  const double last = y(6, 2);  // y's rows live in the network until its next call

  // The gradient of L = sum of all outputs. Parameter gradients add up until zero_gradients().
  const std::vector<double> ones(7 * 3, 1.0);
  const auto dx = net.backward({ones.data(), 7});  // dL/dx (7, 4)
  claim("an input has a gradient", dx.rows == 7 && dx(0, 0) != 0);
  const double gradient = net.gradients()[0];
  net.forward(x);
  net.backward({ones.data(), 7});
  claim("gradients add up", net.gradients()[0] == 2 * gradient);
  net.zero_gradients();

  // All parameters are one buffer, so a finite difference is easy: is the first gradient right?
  const auto loss = [&] {
    double sum = 0;
    const auto out = net.forward(x);
    for (sma::Index row = 0; row < out.count; ++row)
      for (sma::Index column = 0; column < 3; ++column) sum += out(row, column);
    return sum;
  };
  const double step = 1e-5;
  net.parameters()[0] += step;
  const double above = loss();
  net.parameters()[0] -= 2 * step;
  const double below = loss();
  net.parameters()[0] += step;
  // The difference is wrong by step^2 and by 1e-16 / step of a loss of order one.
  claim("backward is the derivative of forward",
        std::abs((above - below) / (2 * step) - gradient) < 1e-8 * (1 + std::abs(gradient)));

  // A sequence does not know its batch mates.
  net.training(false);
  sma::Batch<double, 4> alone;
  alone.append(x.values().subspan(5 * 4, 2 * 4));
  claim("a sequence alone gives the same numbers as in a batch",
        std::abs(net.forward(alone)(1, 2) - last) < 1e-12);
}
