#pragma once

#include <array>
#include <cmath>
#include <sma/base/random.hpp>
#include <sma/routing/configurator.hpp>
#include <sma/routing/estimators.hpp>
#include <sma/routing/rules.hpp>
#include <support/laws.hpp>
#include <vector>

/// Configurators and routers written out by hand, slowly, as the oracle of the library's: softmax by its definition with the
/// full Jacobian, decisions by sorting, branches as networks of their own on rows that the test gathered itself.
namespace by_hand {

using sma::Index;

// ---- a user's rules and estimator ------------------------------------------------------------------------------

/// The first branch with a probability above 0.4, alone.
struct FirstLikely {
  static constexpr bool causal = true;
  static constexpr auto competition = sma::Competition::each;
  template <class T, Index M>
  SMA_HD static void select(const T* p, std::uint8_t* active) {
    bool taken = false;
    for (Index i = 0; i < M; ++i) {
      active[i] = !taken && p[i] > T(0.4) ? 1 : 0;
      taken = taken || active[i] != 0;
    }
  }
};

/// Each branch takes the half (rounded up) of a sequence's steps that wants it most: not causal.
struct HalfOfTheSteps {
  static constexpr bool causal = false;
  static constexpr auto competition = sma::Competition::each;
  template <class T, Index M>
  SMA_HD static void select_sequence(const T* p, Index length, std::uint8_t* active) {
    for (Index i = 0; i < M; ++i)
      for (Index t = 0; t < length; ++t) {
        Index before = 0;
        for (Index u = 0; u < length; ++u)
          before += (p[u * M + i] > p[t * M + i] || (p[u * M + i] == p[t * M + i] && u < t)) ? 1 : 0;
        active[t * M + i] = before < (length + 1) / 2 ? 1 : 0;
      }
  }
};

/// The weight is the probability's square.
struct SquaredConfidence {
  static constexpr auto gate = sma::Gate::softmax;
  template <class T>
  SMA_HD static T weight(T p) {
    return p * p;
  }
  template <class T>
  SMA_HD static T slope(T p) {
    return 2 * p;
  }
};

// ---- what the rules and estimators mean ------------------------------------------------------------------------

/// Decisions of one sequence from its probabilities (length, M).
using Probabilities = std::vector<std::vector<double>>;
using Active = std::vector<std::vector<bool>>;

template <class Keep>
Active each(const Probabilities& p, const Keep& keep) {
  Active a;
  for (const auto& row : p) {
    a.emplace_back();
    for (const double value : row) a.back().push_back(keep(value));
  }
  return a;
}
inline Active decide(sma::Independent, const Probabilities& p) {
  return each(p, [](double v) { return v > 0.5; });
}
template <class Limit>
Active decide(sma::Threshold<Limit>, const Probabilities& p) {
  return each(p, [](double v) { return v > static_cast<double>(Limit::num) / Limit::den; });
}
template <Index K>
Active decide(sma::TopK<K>, const Probabilities& p) {
  Active a = each(p, [](double) { return false; });
  for (std::size_t t = 0; t < p.size(); ++t)
    for (Index k = 0; k < K; ++k) {
      std::size_t best = p[t].size();
      for (std::size_t i = 0; i < p[t].size(); ++i)
        if (!a[t][i] && (best == p[t].size() || p[t][i] > p[t][best])) best = i;
      a[t][best] = true;
    }
  return a;
}
inline Active decide(FirstLikely, const Probabilities& p) {
  Active a = each(p, [](double) { return false; });
  for (std::size_t t = 0; t < p.size(); ++t) {
    const auto first = std::find_if(p[t].begin(), p[t].end(), [](double v) { return v > 0.4; });
    if (first != p[t].end()) a[t][static_cast<std::size_t>(first - p[t].begin())] = true;
  }
  return a;
}
inline Active decide(HalfOfTheSteps, const Probabilities& p) {
  Active a = each(p, [](double) { return false; });
  for (std::size_t i = 0; !p.empty() && i < p[0].size(); ++i)
    for (std::size_t k = 0; k < (p.size() + 1) / 2; ++k) {
      std::size_t best = p.size();
      for (std::size_t t = 0; t < p.size(); ++t)
        if (!a[t][i] && (best == p.size() || p[t][i] > p[best][i])) best = t;
      a[best][i] = true;
    }
  return a;
}

/// Weight of an active branch and the slope that backward uses in place of d weight / d p.
struct Crossing {
  double weight, slope;
};
inline Crossing cross(sma::Confidence, double p) { return {p, 1}; }
inline Crossing cross(sma::StraightThrough, double) { return {1, 1}; }
inline Crossing cross(sma::Blocked, double p) { return {p, 0}; }
inline Crossing cross(sma::SigmoidConfidence, double p) { return {p, 1}; }
inline Crossing cross(sma::GumbelSoft, double p) { return {p, 1}; }
inline Crossing cross(sma::GumbelHard, double) { return {1, 1}; }
inline Crossing cross(SquaredConfidence, double p) { return {p * p, 2 * p}; }

/// The estimators whose backward is the true derivative of their forward, decisions kept.
template <class Estimator>
inline constexpr bool is_exact =
    !std::is_same_v<Estimator, sma::StraightThrough> && !std::is_same_v<Estimator, sma::Blocked> &&
    !std::is_same_v<Estimator, sma::GumbelHard>;

// ---- the configurator ------------------------------------------------------------------------------------------

struct ConfiguratorShape {
  bool competes;  // one softmax over the branches
  bool paired;    // a softmax over (skip, run) a branch; else a sigmoid a branch
  bool sigmoid;   // no temperature
  bool noisy;     // Gumbel noise in training
  bool anneals;   // temperature from progress, not from a parameter
};
template <class Rule, class Estimator>
constexpr ConfiguratorShape shape_of() {
  constexpr bool kSigmoid = std::is_same_v<Estimator, sma::SigmoidConfidence>;
  constexpr bool kGumbel =
      std::is_same_v<Estimator, sma::GumbelSoft> || std::is_same_v<Estimator, sma::GumbelHard>;
  constexpr bool kAmong = Rule::competition == sma::Competition::among;
  return {kAmong && !kSigmoid, !kAmong && !kSigmoid, kSigmoid, kGumbel, kGumbel};
}

/// One step's probabilities and their derivatives.
struct Step {
  std::vector<double> u;                  // (K)
  std::vector<double> p;                  // (M)
  std::vector<std::vector<double>> dpdu;  // (M, K)
  std::vector<double> dpdtheta;           // (M), theta = log temperature
};

/// Probabilities of one step by the definition; `noise` (K) is added to the logits.
inline Step step_of(const ConfiguratorShape& shape, Index branches, const std::vector<double>& u,
                    const std::vector<double>& noise, double act_bias, double temperature) {
  const auto m = static_cast<std::size_t>(branches);
  Step step{u, std::vector<double>(m), {}, std::vector<double>(m)};
  step.dpdu.assign(m, std::vector<double>(u.size()));
  std::vector<double> z(u.size());
  for (std::size_t k = 0; k < u.size(); ++k) {
    const double bias = shape.paired && k % 2 == 0 ? act_bias : 0.0;
    z[k] = (u[k] + bias + noise[k]) / temperature;
  }
  for (std::size_t i = 0; i < m; ++i) {
    std::vector<std::size_t> group;  // the logits that share a softmax with branch i's own
    if (shape.competes)
      for (std::size_t k = 0; k < m; ++k) group.push_back(k);
    else if (shape.paired)
      group = {2 * i, 2 * i + 1};
    else
      group = {i};
    const std::size_t own = shape.paired ? 2 * i + 1 : i;
    double sum = shape.competes || shape.paired ? 0.0 : 1.0;  // a lone logit stands against 0
    for (const std::size_t k : group) sum += std::exp(z[k]);
    const auto share = [&](std::size_t k) { return std::exp(z[k]) / sum; };
    step.p[i] = share(own);
    for (const std::size_t k : group) {
      const double slope = share(own) * ((k == own ? 1.0 : 0.0) - share(k));
      step.dpdu[i][k] = slope / temperature;
      step.dpdtheta[i] -= slope * z[k];
    }
  }
  return step;
}

/// -log(-log(u)) for the place in the random stream that the library documents.
inline double gumbel(const sma::RandomStream& random, std::int32_t id, Index column) {
  return -std::log(-std::log(random.uniform(id, column)));
}

/// What tells one configurator from another.
struct Kind {
  ConfiguratorShape shape;
  Active (*decide)(const Probabilities&);
  Crossing (*cross)(double p);
};
template <class Rule, class Estimator>
Kind kind_of() {
  return {shape_of<Rule, Estimator>(), [](const Probabilities& p) { return decide(Rule{}, p); },
          [](double p) { return cross(Estimator{}, p); }};
}

/// A configurator's pass over a batch, by hand.
struct Configurator {
  Kind kind;
  Index width, branches;
  double act_bias;
  std::vector<double> w;  // weight (K, width), bias (K), temp where it is learned
  sma::StepSettings settings;
  Index instance;

  std::vector<Step> steps = {};
  Active active = {};               // (rows, M)
  std::vector<double> weight = {};  // (rows, M)

  [[nodiscard]] std::size_t logits() const {
    return static_cast<std::size_t>(kind.shape.paired ? 2 * branches : branches);
  }
  [[nodiscard]] double temperature() const {
    if (kind.shape.sigmoid) return 1.0;
    if (kind.shape.anneals) return 2.0 * std::pow(0.25, std::min(2 * settings.progress, 1.0));
    return std::exp(w.back());
  }

  void forward(const sma::Sequences& s, const std::vector<double>& x) {
    const auto d = static_cast<std::size_t>(width);
    const bool noisy = kind.shape.noisy && settings.mode == sma::Mode::training;
    const auto drawn =
        sma::Philox::generate(settings.seed, settings.step,
                              (std::uint64_t{1} << 63) + (static_cast<std::uint64_t>(instance) << 32));
    const sma::RandomStream random{(std::uint64_t{drawn.word[0]} << 32) + drawn.word[1],
                                   (std::uint64_t{drawn.word[2]} << 32) + drawn.word[3]};
    for (std::size_t t = 0; t < static_cast<std::size_t>(s.rows); ++t) {
      std::vector<double> u(logits()), noise(logits());
      for (std::size_t k = 0; k < u.size(); ++k) {
        u[k] = w[logits() * d + k];
        for (std::size_t j = 0; j < d; ++j) u[k] += w[k * d + j] * x[t * d + j];
      }
      for (Index i = 0; noisy && i < branches; ++i) {
        const auto own = static_cast<std::size_t>(kind.shape.paired ? 2 * i + 1 : i);
        noise[own] = gumbel(random, s.ids[t], 2 * i);
        if (kind.shape.paired) noise[own - 1] = gumbel(random, s.ids[t], 2 * i + 1);
      }
      steps.push_back(step_of(kind.shape, branches, u, noise, act_bias, temperature()));
    }
    for (Index q = 0; q < s.count; ++q) {
      Probabilities p;
      for (Index t = s.begin(q); t < s.end(q); ++t) p.push_back(steps[static_cast<std::size_t>(t)].p);
      for (const auto& row : kind.decide(p)) active.push_back(row);
    }
    for (std::size_t t = 0; t < steps.size(); ++t)
      for (std::size_t i = 0; i < steps[t].p.size(); ++i)
        weight.push_back(active[t][i] ? kind.cross(steps[t].p[i]).weight : 0.0);
  }

  /// Adds to dw and dx what d loss / d weight (rows, M) makes through the active steps.
  void backward(const std::vector<double>& x, const std::vector<double>& dweight, std::vector<double>& dw,
                std::vector<double>& dx) const {
    const auto d = static_cast<std::size_t>(width);
    for (std::size_t t = 0; t < steps.size(); ++t)
      for (std::size_t i = 0; i < steps[t].p.size(); ++i) {
        if (!active[t][i]) continue;
        const double dp = kind.cross(steps[t].p[i]).slope * dweight[t * steps[t].p.size() + i];
        for (std::size_t k = 0; k < logits(); ++k) {
          const double du = dp * steps[t].dpdu[i][k];
          dw[logits() * d + k] += du;
          for (std::size_t j = 0; j < d; ++j) {
            dw[k * d + j] += du * x[t * d + j];
            dx[t * d + j] += du * w[k * d + j];
          }
        }
        if (!kind.shape.sigmoid && !kind.shape.anneals) dw.back() += dp * steps[t].dpdtheta[i];
      }
  }

  /// Number and summed probabilities of branch i's active steps.
  [[nodiscard]] std::pair<double, double> statistics(std::size_t i) const {
    std::pair<double, double> total{0, 0};
    for (std::size_t t = 0; t < steps.size(); ++t)
      if (active[t][i]) {
        total.first += 1;
        total.second += steps[t].p[i];
      }
    return total;
  }
};

}  // namespace by_hand
