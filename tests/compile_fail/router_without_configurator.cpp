// expected-error: sma::Router<Configurator, Branch<Name, M>, ...> requires its first argument to be a configurator: input_width, For<branches>
// expected-error: is_not_a_configurator<sma::Branch<

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Mixture
    : sma::Router<sma::Branch<"mlp", sma::FeedForward<16, 32>>, sma::Branch<"map", sma::Linear<16, 16>>> {};

int main() { sma::Network<Mixture, sma::Eigen<float>> net{sma::Seed{1}}; }
