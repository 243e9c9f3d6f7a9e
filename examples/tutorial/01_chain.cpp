/// A network is a type. Declare it, give it a backend and a seed, run it forward and backward.

#include <cmath>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <vector>

#include "claim.hpp"

// The output of each module is the input of the next; widths that do not meet do not compile.
using Model = sma::Chain<sma::Linear<4, 16>, sma::SiLU<16>, sma::LayerNorm<16>, sma::Linear<16, 3>>;

int main() {
  sma::Network<Model, sma::Eigen<double>> net{sma::Seed{1}};

  // Three sequences of 5, 0 and 2 rows of width 4, one after another: a packed batch has no padding.
  sma::Batch<double, 4> x{5, 0, 2};
  for (sma::Index i = 0; double& value : x.values()) value = std::sin(static_cast<double>(++i));

  const auto y = net.train(x);  // (7, 3)
  claim("seven rows go in and seven come out", x.rows() == 7 && y.count == 7);
  const double last = y(6, 2);  // y's rows live in the network until its next call

  // Back-propagate L = y(6, 2). Parameter gradients add up until zero_gradients().
  std::vector<double> dy(7 * 3);
  dy[6 * 3 + 2] = 1;
  const auto dx = net.backward({dy.data(), 7});  // dL/dx (7, 4)
  claim("an output depends on its own row alone", dx(6, 0) != 0 && dx(5, 0) == 0);
  const double gradient = net.gradients()[0];
  net.train(x);
  net.backward({dy.data(), 7});
  claim("gradients add up", net.gradients()[0] == 2 * gradient);
  net.zero_gradients();

  // All parameters are one buffer. Is the gradient of the first one right?
  claim("backward is the derivative of forward", std::abs(difference(net, x, 0, 6, 2) - gradient) < 1e-8);

  // A sequence does not know its batch mates.
  sma::Batch<double, 4> alone;
  alone.append(x.values().subspan(5 * 4, 2 * 4));
  const double same = net.infer(alone)(1, 2);
  claim("a sequence alone gives the same numbers as in a batch", std::abs(same - last) < 1e-12);
}
