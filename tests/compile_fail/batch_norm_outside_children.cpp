// expected-error: ctx.shards().all_reduce(data, count) requires a network whose shards meet: the module that calls it has couples_batch = true and stands in the Children of whatever holds it
// expected-error: Holder

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct Holder {  // of a batch norm that it does not list
  using Norm = sma::BatchNorm<4>;
  static constexpr sma::Index input_width = 4, output_width = 4;
  using Parameters = Norm::Parameters;
  using Buffers = Norm::Buffers;
  template <class S>
  using Saved = Norm::Saved<S>;
  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences& s, sma::Rows<const S, 4> x, sma::Rows<S, 4> y,
                      sma::Weights<Holder, S> w, Saved<S>& saved) {
    sma::forward<Norm>(ctx, s, x, y, sma::Weights<Norm, S>{w.data, w.buffer_data}, saved);
  }
  template <class C, class S>
  static void backward(C&, const sma::Sequences&, sma::Rows<const S, 4>, sma::Rows<S, 4>,
                       sma::Weights<Holder, S>, sma::Gradients<Holder, S>, Saved<S>&) {}
};

int main() {
  sma::Network<sma::Residual<Holder>, sma::Eigen<float>> net{sma::Seed{1}};
  net.infer(sma::Batch<float, 4>{3});
}
