// expected-error: sma::Network::step(stream, x, y) requires every module's step to be callable as M::step(ctx, sequences, x, y, weights, stream)
// expected-error: cannot_be_called<Previous>

#include <array>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>

/// y_t = x_{t-1}; its step takes no weights.
struct Previous {
  static constexpr sma::Index input_width = 1, output_width = 1;
  static constexpr sma::Reach reach = sma::Reach::past;
  template <class S>
  struct Stream {
    S last;
  };
  template <class C, class S>
  static void forward(C&, const sma::Sequences& s, sma::Rows<const S, 1> x, sma::Rows<S, 1> y,
                      sma::Weights<Previous, S>, sma::NoState&) {
    for (sma::Index q = 0; q < s.count; ++q)
      for (sma::Index t = s.begin(q); t < s.end(q); ++t) y(t, 0) = t > s.begin(q) ? x(t - 1, 0) : S(0);
  }
  template <class C, class S>
  static void backward(C&, const sma::Sequences& s, sma::Rows<const S, 1> dy, sma::Rows<S, 1> dx,
                       sma::Weights<Previous, S>, sma::Gradients<Previous, S>, sma::NoState&) {
    if (!dx) return;
    for (sma::Index q = 0; q < s.count; ++q)
      for (sma::Index t = s.begin(q); t < s.end(q); ++t) dx(t, 0) = t + 1 < s.end(q) ? dy(t + 1, 0) : S(0);
  }
  template <class C, class S>
  static void step(C&, sma::Rows<const S, 1> x, sma::Rows<S, 1> y, Stream<S>& stream) {
    y(0, 0) = stream.last;
    stream.last = x(0, 0);
  }
};

int main() {
  sma::Network<Previous, sma::Eigen<float>> net{sma::Seed{1}};
  auto stream = net.stream();
  const std::array<float, 1> x{};
  std::array<float, 1> y{};
  net.step(stream, x, y);
}
