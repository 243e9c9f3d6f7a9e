// expected-error: sma::Network::stream requires every module's Stream<S> to be plain data

#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <vector>

/// The row before.
struct Delay {
  static constexpr sma::Index input_width = 4, output_width = 4;
  static constexpr sma::Reach reach = sma::Reach::past;
  template <class S>
  struct Stream {
    std::vector<S> before;
  };
  template <class C, class S>
  static void forward(C&, const sma::Sequences&, sma::Rows<const S, 4>, sma::Rows<S, 4>,
                      sma::Weights<Delay, S>, sma::NoState&) {}
  template <class C, class S>
  static void backward(C&, const sma::Sequences&, sma::Rows<const S, 4>, sma::Rows<S, 4>,
                       sma::Weights<Delay, S>, sma::Gradients<Delay, S>, sma::NoState&) {}
  template <class C, class S>
  static void step(C&, const sma::Sequences&, sma::Rows<const S, 4>, sma::Rows<S, 4>, sma::Weights<Delay, S>,
                   Stream<S>&) {}
};

int main() {
  sma::Network<Delay, sma::Eigen<float>> net{sma::Seed{1}};
  auto stream = net.stream();
}
