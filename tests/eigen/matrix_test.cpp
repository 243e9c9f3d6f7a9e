#include <doctest/doctest.h>

#include <sma/compose/chain.hpp>
#include <sma/eigen.hpp>
#include <sma/modules/linear.hpp>
#include <support/laws.hpp>

using sma::Index;
using namespace sma::literals;

namespace {

/// Linear, in Eigen's expressions.
template <Index In, Index Out>
struct Expressed {
  static constexpr Index input_width = In, output_width = Out;
  static constexpr sma::Reach reach = sma::Reach::row;
  using Parameters = sma::Linear<In, Out>::Parameters;

  template <class C, class S>
  static void forward(C&, const sma::Sequences&, sma::Rows<const S, In> x, sma::Rows<S, Out> y,
                      sma::Weights<Expressed, S> w, sma::NoState&) {
    sma::matrix(y).noalias() = sma::matrix(x) * sma::matrix(w["weight"_p]).transpose();
    sma::matrix(y).rowwise() += sma::row(w["bias"_p]);
  }
  template <class C, class S>
  static void backward(C&, const sma::Sequences&, sma::Rows<const S, In> x, sma::Rows<const S, Out> dy,
                       sma::Rows<S, In> dx, sma::Weights<Expressed, S> w, sma::Gradients<Expressed, S> g,
                       sma::NoState&) {
    sma::matrix(g["weight"_p]).noalias() += sma::matrix(dy).transpose() * sma::matrix(x);
    sma::row(g["bias"_p]) += sma::matrix(dy).colwise().sum();
    if (dx) sma::matrix(dx).noalias() = sma::matrix(dy) * sma::matrix(w["weight"_p]);
  }
};

}  // namespace

TEST_CASE("a module in Eigen's expressions obeys the laws, and is Linear") {
  using M = sma::Chain<Expressed<5, 3>, Expressed<3, 1>, Expressed<1, 2>>;
  using Reference = sma::Chain<sma::Linear<5, 3>, sma::Linear<3, 1>, sma::Linear<1, 2>>;
  laws::check_module<M, sma::Eigen<double>>(1);
  sma::Network<M, sma::Eigen<double>> net(sma::Seed{3});
  sma::Network<Reference, sma::Eigen<double>> reference(sma::Seed{3});
  const laws::Lengths lengths{20, 0, 7, 1};
  const auto x = laws::random_input<sma::Network<M, sma::Eigen<double>>>(lengths, 2);
  const auto dy = laws::random_output_gradient<sma::Network<M, sma::Eigen<double>>>(lengths, 3);
  laws::check_close_pass(laws::train(net, x, dy), laws::train(reference, x, dy), ", in expressions");
}

TEST_CASE("column blocks of wider rows are matrices too") {
  float numbers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const sma::Rows<float, 4> whole{numbers, 3};
  sma::matrix(whole.columns<2>(1)) *= 10;
  CHECK(numbers[0] == 0);
  CHECK(numbers[1] == 10);
  CHECK(numbers[6] == 60);
  CHECK(numbers[7] == 7);
  const sma::Rows<const float, 1> column = whole.columns<1>(3);
  CHECK(sma::matrix(column).sum() == 3 + 7 + 11);
}
