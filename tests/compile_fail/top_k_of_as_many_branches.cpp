// expected-error: sma::Router<Configurator, Branch<Name, M>, ...> requires more branches than its selection rule always chooses
// expected-error: cannot_learn<sma::TopK<2>

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Mixture : sma::Router<sma::LatentConfigurator<4, sma::TopK<2>, sma::StraightThrough>,
                             sma::Branch<"map", sma::Linear<4, 4>>, sma::Branch<"same", sma::Identity<4>>> {};

int main() { sma::Network<Mixture, sma::Eigen<float>> net{sma::Seed{1}}; }
