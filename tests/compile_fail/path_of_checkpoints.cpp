// expected-error: sma::Network requires paths that checkpoints do not keep for themselves: optimizer.first_moment, optimizer.second_moment, training.counters, training.numbers, __metadata__

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

using Part = sma::Chain<sma::Named<"first_moment", sma::Linear<4, 4>>>;
using Model = sma::Chain<sma::Linear<4, 4>, sma::Named<"optimizer", Part>>;

int main() { sma::Network<Model, sma::Eigen<float>> net{sma::Seed{1}}; }
