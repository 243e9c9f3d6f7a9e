// expected-error: sma::Router<Configurator, Branch<Name, M>, ...> requires more than one branch where they compete
// expected-error: cannot_learn<sma::TopK<1>

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Mixture : sma::Router<sma::LatentConfigurator<4, sma::Switch, sma::Confidence>,
                             sma::Branch<"map", sma::Linear<4, 4>>> {};

int main() { sma::Network<Mixture, sma::Eigen<float>> net{sma::Seed{1}}; }
