// expected-error: sma::Network requires the parameters, buffers, metrics and children of a module to have different names, so that no two tensors have one path
// expected-error: have_one_name<Gated, sma::Param<sma::FixedString<12>{"gate.weight"}
// expected-error: sma::Child<sma::FixedString<5>{"gate"}

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Gated {
  using Gate = sma::Linear<4, 4>;
  static constexpr sma::Index input_width = 4, output_width = 4;
  using Parameters = sma::Parameters<sma::Param<"gate.weight", sma::Shape<4, 4>>>;
  using Children = sma::Children<sma::Child<"gate", Gate>>;
  template <class S>
  using Saved = sma::saved_of<Gate, S>;
  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences& s, sma::Rows<const S, 4> x, sma::Rows<S, 4> y,
                      sma::Weights<Gated, S> w, Saved<S>& saved) {
    sma::forward<Gate>(ctx, s, x, y, sma::child<0>(w), saved);
  }
  template <class C, class S>
  static void backward(C& ctx, const sma::Sequences& s, sma::Rows<const S, 4> x, sma::Rows<const S, 4> dy,
                       sma::Rows<S, 4> dx, sma::Weights<Gated, S> w, sma::Gradients<Gated, S> g,
                       Saved<S>& saved) {
    sma::backward<Gate>(ctx, s, x, dy, dx, sma::child<0>(w), sma::child<0>(g), saved);
  }
};

int main() { sma::Network<sma::Residual<Gated>, sma::Eigen<float>> net{sma::Seed{1}}; }
