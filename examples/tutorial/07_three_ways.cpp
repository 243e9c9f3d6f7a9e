/// A module of your own with little work: the value of a function alone, or Eigen's expressions. The third way, a kernel, is 02.

#include <cmath>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <vector>

#include "claim.hpp"

using namespace sma::literals;
using sma::Gradients, sma::Index, sma::NoState, sma::Rows, sma::Sequences, sma::Weights;

/// x + sin(a x)^2 / a (Ziyin, Hartwig and Ueda, 2020), a learned a channel. The derivatives, by x and by a, follow from the value at
/// compile time; it runs on every backend.
struct Snake {
  using Learned = sma::Numbers<sma::Number<"a", sma::init::Ones>>;
  template <class T>
  SMA_HD static T value(const T& x, const T& a) {
    using std::sin;
    const T wave = sin(a * x);
    return x + wave * wave / a;
  }
};

/// y = x U^T D^T, a linear map of rank `Rank`, in Eigen's expressions: on the Eigen backend.
template <Index Width, Index Rank>
struct LowRank {
  static constexpr Index input_width = Width, output_width = Width;
  static constexpr sma::Reach reach = sma::Reach::row;
  using Parameters = sma::Parameters<sma::Param<"up", sma::Shape<Rank, Width>, sma::SmallNormal>,
                                     sma::Param<"down", sma::Shape<Width, Rank>, sma::SmallNormal>>;
  template <class S>
  struct Saved {
    Rows<S, Rank> inner;  // x U^T
  };

  template <class C, class S>
  static void forward(C& ctx, const Sequences& s, Rows<const S, Width> x, Rows<S, Width> y,
                      Weights<LowRank, S> w, Saved<S>& saved) {
    saved.inner = ctx.template keep_rows<Rank>(s.rows);
    sma::matrix(saved.inner).noalias() = sma::matrix(x) * sma::matrix(w["up"_p]).transpose();
    sma::matrix(y).noalias() = sma::matrix(saved.inner) * sma::matrix(w["down"_p]).transpose();
  }

  template <class C, class S>
  static void backward(C& ctx, const Sequences& s, Rows<const S, Width> x, Rows<const S, Width> dy,
                       Rows<S, Width> dx, Weights<LowRank, S> w, Gradients<LowRank, S> g, Saved<S>& saved) {
    auto scope = ctx.scope();
    const Rows<S, Rank> dinner = ctx.template scratch_rows<Rank>(s.rows);
    sma::matrix(dinner).noalias() = sma::matrix(dy) * sma::matrix(w["down"_p]);
    sma::matrix(g["down"_p]).noalias() += sma::matrix(dy).transpose() * sma::matrix(saved.inner);
    sma::matrix(g["up"_p]).noalias() += sma::matrix(dinner).transpose() * sma::matrix(x);
    if (dx) sma::matrix(dx).noalias() = sma::matrix(dinner) * sma::matrix(w["up"_p]);
  }
};

using Model = sma::Chain<sma::Named<"low_rank", LowRank<6, 2>>, sma::Named<"snake", sma::Map<6, Snake>>>;

int main() {
  sma::Network<Model, sma::Eigen<double>> net{sma::Seed{1}};
  for (double& weight : net.parameters()) weight *= 20;  // away from where everything is small
  sma::Batch<double, 6> x{4, 3};
  for (Index i = 0; double& value : x.values()) value = std::sin(static_cast<double>(++i));

  std::vector<double> dy(7 * 6);
  dy[5 * 6 + 2] = 1;
  net.train(x);
  net.backward({dy.data(), 7});
  for (const sma::TensorEntry& entry : sma::parameter_entries<Model>()) {
    double worst = 0;
    for (Index i = 0; i < entry.size; ++i) {
      const auto at = static_cast<std::size_t>(entry.offset + i);
      worst = std::max(worst, std::abs(net.gradients()[at] - difference(net, x, at, 5, 2)));
    }
    claim(("the gradient of " + entry.name + " is the derivative").c_str(), worst < 1e-7);
  }
}
