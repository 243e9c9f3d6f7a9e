// expected-error: ctx.shards().all_reduce(data, count) requires a network whose shards meet: the module that calls it has couples_batch = true and stands in the Children of whatever holds it
// expected-error: MeanOfBatch

#include <sma/eigen.hpp>
#include <sma/sma.hpp>

struct MeanOfBatch {
  static constexpr sma::Index input_width = 4, output_width = 4;
  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences&, sma::Rows<const S, 4>, sma::Rows<S, 4> y,
                      sma::Weights<MeanOfBatch, S>, sma::NoState&) {
    ctx.shards().all_reduce(y.data, 4);
  }
  template <class C, class S>
  static void backward(C&, const sma::Sequences&, sma::Rows<const S, 4>, sma::Rows<S, 4>,
                       sma::Weights<MeanOfBatch, S>, sma::Gradients<MeanOfBatch, S>, sma::NoState&) {}
};

int main() {
  sma::Network<MeanOfBatch, sma::Eigen<float>> net{sma::Seed{1}};
  net.infer(sma::Batch<float, 4>{3});
}
