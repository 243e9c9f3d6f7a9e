#pragma once

#include <optional>
#include <sma/module/module.hpp>
#include <support/laws.hpp>

/// Modules without what they offer to compositions, and the law that results do not show what is offered.
namespace laws {

using sma::Index;

/// M without what it offers to compositions: its input and output are kept.
template <class M>
struct Kept {
  static constexpr Index input_width = M::input_width;
  static constexpr Index output_width = M::output_width;
  static constexpr sma::Reach reach = sma::reach_of<M>();
  using Children = sma::Children<sma::Child<"", M>>;
  template <class S>
  struct Saved {
    sma::saved_of<sma::canonical<M>, S> inner;
  };
  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences& s, sma::Rows<const S, input_width> x,
                      sma::Rows<S, output_width> y, sma::Weights<Kept, S> w, Saved<S>& saved) {
    sma::forward<sma::canonical<M>>(ctx, s, x, y, sma::child<0>(w), saved.inner);
  }
  template <class C, class S>
  static void backward(C& ctx, const sma::Sequences& s, sma::Rows<const S, input_width> x,
                       sma::Rows<const S, output_width> dy, sma::Rows<S, input_width> dx,
                       sma::Weights<Kept, S> w, sma::Gradients<Kept, S> g, Saved<S>& saved) {
    sma::backward<sma::canonical<M>>(ctx, s, x, dy, dx, sma::child<0>(w), sma::child<0>(g), saved.inner);
  }
};

inline const Lengths kKeptLengths{70, 0, 33, 1, 150};

/// M against the same with everything kept: a training pass, unless masks differ, and, where a share is given, that M needs no more
/// than it of the reference's memory.
template <class M, class Reference>
void check_same(std::optional<double> share = {}, bool equal = true) {
  sma::Network<M, sma::Eigen<double>> net(sma::Seed{1}, {.threads = 1, .lanes = 1});
  sma::Network<Reference, sma::Eigen<double>> reference(sma::Seed{1}, {.threads = 1, .lanes = 1});
  randomize(net, 3);
  reference.set_parameters(parameters_of(net));
  reference.set_buffers(buffers_of(net));
  const auto x = random_input<sma::Network<M, sma::Eigen<double>>>(kKeptLengths, 2);
  const auto dy = random_output_gradient<sma::Network<M, sma::Eigen<double>>>(kKeptLengths, 3);
  for (int pass = 0; pass < 2; ++pass) {  // the second one finds the memory of the first
    const auto found = train(net, x, dy);
    const auto expected = train(reference, x, dy);
    if (equal) check_close_pass(found, expected, ", kept or not");
  }
  if (share)
    CHECK(static_cast<double>(net.workspace_bytes()) <=
          *share * static_cast<double>(reference.workspace_bytes()));
}

}  // namespace laws
