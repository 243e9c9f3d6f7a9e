#include <cstdint>
#include <seqboat/ema.hpp>
#include <vector>

#include "thrust/system.hpp"

namespace {

using sma::Index;

/// Three unlike branches: row by row, along the sequence, and a chain that begins with a norm.
struct Mixture
    : sma::Router<sma::LatentConfigurator<4, sma::Independent, sma::Confidence>,
                  sma::Branch<"mlp", sma::FeedForward<4, 6>>, sma::Branch<"ema", seqboat::Ema<4, 2, false>>,
                  sma::Branch<"scaled", sma::Chain<sma::RmsNorm<4>, sma::Linear<4, 4>>>> {};

// Every compiler sees the names: a checkpoint is the same file whoever wrote it.
static_assert(sma::children_of<sma::canonical<Mixture>>::at<1>::name.view() == "mlp");
static_assert(sma::children_of<sma::canonical<sma::FeedForward<4, 6>>>::at<0>::name.view() == "up");

constexpr laws::Decision kDecisions[] = {laws::Decision::mixed, laws::Decision::none, laws::Decision::all};

/// The branch I of a mixture, alone on the reference backend: over all rows when it looks at one row at a time, otherwise over
/// the active ones.
template <std::size_t I, class Net>
void check_branch(Net& net, const laws::Input<Net>& x, const std::vector<double>& trace,
                  const std::vector<double>& dy, const std::vector<double>& gradients,
                  std::vector<double>& y) {
  using M = sma::canonical<Mixture>;
  using Branch = typename M::template branch<I>;
  constexpr Index width = Mixture::output_width;
  constexpr auto kWidth = static_cast<std::size_t>(width);
  constexpr Index first = sma::detail::child_offset<M, I + 1>().weights;
  using Alone = laws::Net<Branch, on::Reference<double>>;
  Alone alone(sma::Seed{1});
  const auto w = laws::parameters_of(net);
  alone.set_parameters({w.data() + first, static_cast<std::size_t>(Alone::parameter_count)});

  std::vector<Index> rows;
  std::vector<double> dout;
  laws::Input<Alone> in;
  const auto s = x.sequences();
  for (Index q = 0; q < s.count; ++q) {
    std::vector<double> sequence;
    for (Index t = s.begin(q); t < s.end(q); ++t) {
      const double weight = trace[static_cast<std::size_t>(t * Mixture::branches) + I];
      if (weight == 0 && !sma::is_rowwise<Branch>()) continue;
      rows.push_back(t);
      for (Index j = 0; j < width; ++j) {
        sequence.push_back(x(t, j));
        dout.push_back(weight * dy[static_cast<std::size_t>(t * width + j)]);
      }
    }
    in.append(sequence);
  }
  const auto pass = laws::train(alone, in, dout);
  for (std::size_t c = 0; c < rows.size(); ++c) {
    const auto t = static_cast<std::size_t>(rows[c]);
    for (std::size_t j = 0; j < kWidth; ++j)
      y[t * kWidth + j] += trace[t * Mixture::branches + I] * pass.y[c * kWidth + j];
  }
  laws::check_close(
      pass.gradients,
      std::vector<double>(gradients.begin() + first, gradients.begin() + first + Alone::parameter_count),
      10 * laws::rounding<double>(), "parameter gradients of branch " + std::to_string(I));
}

void check_sparse_is_dense(const laws::Lengths& lengths, laws::Decision decision) {
  using Net = laws::Net<Mixture, on::Backend<double>>;
  INFO(laws::text_of(lengths));
  Net net(sma::Seed{1});
  laws::randomize(net, 4);
  laws::Force{decision}(net);
  const auto x = laws::random_input<Net>(lengths, 5);
  const auto dy = laws::random_output_gradient<Net>(lengths, 6);
  std::vector<double> trace(static_cast<std::size_t>(x.rows() * Mixture::branches));
  net.infer(x, trace);
  const auto pass = laws::train(net, x, dy);
  std::vector<double> y(pass.y.size(), 0.0);
  check_branch<0>(net, x, trace, dy, pass.gradients, y);
  check_branch<1>(net, x, trace, dy, pass.gradients, y);
  check_branch<2>(net, x, trace, dy, pass.gradients, y);
  laws::check_close(pass.y, y, laws::rounding<double>(), "output");

  std::size_t active = 0;
  for (const double weight : trace) active += weight != 0 ? 1 : 0;
  if (decision == laws::Decision::none) CHECK(active == 0);
  if (decision == laws::Decision::all) CHECK(active == trace.size());
  if (decision == laws::Decision::mixed && x.rows() > 50) CHECK((active > 0 && active < trace.size()));
}

TEST_CASE("a sparse run is the dense run of each branch, masked and weighed") {
  for (const laws::Decision decision : kDecisions)
    for (const auto& lengths : laws::shapes()) check_sparse_is_dense(lengths, decision);
}

TEST_CASE("a routed batch is its sequences, in any order") {
  for (const laws::Decision decision : kDecisions) on::check_batch_is_its_sequences<Mixture>({decision});
}

TEST_CASE("a router's gradients are finite differences") {
  for (const laws::Decision decision : kDecisions) on::check_gradients<Mixture>({decision});
}

TEST_CASE("auxiliary losses have the gradients of the values that the network reports") {
  const auto weighed = [](auto& net) { net.settings().auxiliary = {0.3, 0.2, 0.7, 0.4}; };
  laws::check_gradients<Mixture, on::Backend<double>>({5, 0, 1, 9}, 8, weighed, {}, on::kSample);
}

TEST_CASE_TEMPLATE("a router equals the reference backend's", S, float, double) {
  for (const laws::Decision decision : kDecisions) on::check_equals_reference<Mixture, S>({decision});
}

}  // namespace
