// expected-error: struct M : sma::Composition<...> requires M to leave the members of its composition as they are: what runs is the composition
// expected-error: sma::Changes<sma::Member::forward>

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Mine : sma::Chain<sma::Linear<4, 4>, sma::ReLU<4>> {
  template <class C, class S, class... Rest>
  static void forward(C&, const sma::Sequences&, sma::Rows<const S, 4>, Rest&&...) {}
};

int main() {
  sma::Network<sma::Residual<sma::Named<"inside", Mine>>, sma::Eigen<float>> net{sma::Seed{1}};
  net.infer(sma::Batch<float, 4>{3});
}
