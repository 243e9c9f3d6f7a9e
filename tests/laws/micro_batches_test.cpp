#include <doctest/doctest.h>

#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/loss.hpp>
#include <support/laws.hpp>

/// Law 15: k micro-batches are one batch, auxiliary losses included; and so are the shards of a batch.

using sma::Index;

namespace {

template <class Rule>
struct Mixture
    : sma::Router<sma::LatentConfigurator<6, Rule, sma::Confidence>, sma::Branch<"map", sma::Linear<6, 6>>,
                  sma::Branch<"same", sma::Identity<6>>, sma::SkipBranch> {};
template <class Rule>
using Rows = sma::Chain<sma::Residual<Mixture<Rule>>, sma::Linear<6, 3>>;
template <class Rule>
using Pooled = sma::Chain<sma::Residual<Mixture<Rule>>, sma::MeanPool<6>, sma::Linear<6, 3>>;

/// The gradients of one update over sequences of these lengths, `at_once` at a time.
template <class M>
std::vector<double> update(const laws::Lengths& lengths, std::size_t at_once,
                           const sma::AuxiliaryWeights& weights, Index lanes, double factor = 1) {
  using Net = sma::Network<M, sma::Eigen<double>>;
  Net net(sma::Seed{1}, {.threads = 1, .lanes = lanes});
  laws::randomize(net, 1);
  net.settings().auxiliary = weights;
  const auto x = laws::random_input<Net>(lengths, 1);
  const sma::Sequences s = x.sequences();
  const auto outputs = static_cast<double>(laws::output_rows<M>(lengths));
  for (std::size_t first = 0; first < lengths.size(); first += at_once) {
    laws::Input<Net> part;
    for (std::size_t q = first; q < std::min(first + at_once, lengths.size()); ++q)
      part.append(x.values().subspan(static_cast<std::size_t>(s.begin(static_cast<Index>(q)) * 6),
                                     static_cast<std::size_t>(lengths[q] * 6)));
    const bool pools = sma::sequences_per_output<M>() > 0;
    std::vector<std::int32_t> targets;
    for (Index i = 0; i < (pools ? part.count() : part.rows()); ++i)
      targets.push_back(static_cast<std::int32_t>(
                            (pools ? static_cast<Index>(first) : s.begin(static_cast<Index>(first))) + i) %
                        3);
    net.accumulate(part, std::span<const std::int32_t>(targets), sma::CrossEntropy{}, factor / outputs);
  }
  return laws::gradients_of(net);
}

template <class M>
void check(const laws::Lengths& lengths) {
  for (const sma::AuxiliaryWeights& weights :
       {sma::AuxiliaryWeights{}, sma::AuxiliaryWeights{.load_balance = 3}, sma::AuxiliaryWeights{.z_loss = 2},
        sma::AuxiliaryWeights{.budget = 4, .budget_target = 0.1}}) {
    const auto whole = update<M>(lengths, lengths.size(), weights, 1);
    for (const std::size_t at_once : {std::size_t{1}, std::size_t{2}, std::size_t{3}})
      laws::check_close(update<M>(lengths, at_once, weights, 1), whole, 1e-12, "micro-batches", 1e-3);
    laws::check_close(update<M>(lengths, lengths.size(), weights, 3), whole, 1e-12, "lanes", 1e-3);
    auto eight = whole;
    for (double& g : eight) g *= 8;
    laws::check_close(update<M>(lengths, 2, weights, 2, 8), eight, 1e-12, "a scale of eight", 1e-3);
    if (weights.load_balance + weights.z_loss + weights.budget > 0)
      CHECK(whole != update<M>(lengths, lengths.size(), {}, 1));
  }
}

}  // namespace

TEST_CASE("micro-batches of any size are one batch, where each sequence has one output") {
  check<Pooled<sma::Independent>>({9, 1, 30, 2, 0, 7});
  check<Pooled<sma::TopK<2>>>({9, 1, 30, 2, 0, 7});
}

TEST_CASE("micro-batches of sequences of one length are one batch, where each row has an output") {
  check<Rows<sma::Independent>>({7, 7, 7, 7, 7, 7});
}
