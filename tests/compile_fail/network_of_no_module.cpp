// expected-error: sma::Network<Description, Backend> requires 'Description' to be a Module: input_width, output_width, forward, backward
// expected-error: Options

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Options {
  int width = 16;
};

int main() { sma::Network<Options, sma::Eigen<float>> net{sma::Seed{1}}; }
