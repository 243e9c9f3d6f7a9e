// expected-error: struct M : sma::Composition<...> requires M to leave the members of its composition as they are: what runs is the composition
// expected-error: changes_composition<Mine, sma::Changes<sma::Member::Parameters>

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Mine : sma::Router<sma::LatentConfigurator<4, sma::Independent, sma::Confidence>,
                          sma::Branch<"map", sma::Linear<4, 4>>> {
  using Parameters = sma::Parameters<sma::Param<"scale", sma::Shape<1>>>;  // the router has none
};

int main() { sma::Network<sma::Repeat<2, Mine>, sma::Eigen<float>> net{sma::Seed{1}}; }
