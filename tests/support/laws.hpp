#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <sma/network/network.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

/// The laws that every module obeys on every backend, as checks over a description M and a backend B. Host code only.
///
///     for (const auto& lengths : laws::shapes_of<M>()) laws::check_gradients<M, B>(lengths, 1);
///
/// Each check takes an optional `setup(net)`, called after the parameters are set: settings, forced decisions.
namespace laws {

using sma::Index;
using Lengths = std::vector<Index>;

template <class M, class B>
using Net = sma::Network<M, B>;
template <class N>
using Input = sma::Batch<typename N::Element, N::input_width>;

/// The default setup.
struct AsTheyAre {
  template <class N>
  void operator()(N&) const {}
};

/// Relative error that the order of sums may cause.
template <class S>
constexpr double rounding() {
  return std::is_same_v<S, double> ? 1e-11 : 2e-5;
}

// ---- shapes and values -----------------------------------------------------------------------------------------

/// Sequence lengths of batches: the edge cases first, then lengths that differ by 100x, then random ones.
inline std::vector<Lengths> shapes() {
  std::vector<Lengths> all{{}, {0}, {0, 0}, {1}, {0, 1, 0}, {1, 1, 1}, {2, 200, 0, 2}, {100, 1, 1}, {64, 65}};
  sma::RandomSequence random(2024, 7);
  for (int i = 0; i < 3; ++i) {
    Lengths lengths(1 + static_cast<std::size_t>(random.uniform() * 6));
    for (Index& n : lengths) n = static_cast<Index>(random.uniform() * random.uniform() * 40);
    all.push_back(lengths);
  }
  return all;
}

/// `shapes()`, filled up with sequences of two rows to whole groups where M joins sequences (PairFeatures).
template <class M>
std::vector<Lengths> shapes_of() {
  constexpr std::size_t kGroup = std::max<std::size_t>(1, sma::sequences_per_output<M>());
  auto all = shapes();
  for (Lengths& lengths : all)
    while (lengths.size() % kGroup != 0) lengths.push_back(2);
  return all;
}

/// The few shapes that matter most, for checks that cost much: empty, one row, mixed with 100x, and several.
template <class M>
std::vector<Lengths> few_shapes_of() {
  constexpr bool kPairs = sma::sequences_per_output<M>() == 2;
  if (kPairs) return {{}, {1, 0}, {100, 1, 0, 3}};
  return {{}, {0, 1}, {100, 1, 0, 7}};
}

inline std::string text_of(const Lengths& lengths) {
  std::string text = "lengths {";
  for (const Index n : lengths) text += (text.back() == '{' ? "" : ", ") + std::to_string(n);
  return text + "}";
}

template <class M>
constexpr Index vocabulary() {
  if constexpr (requires { M::vocabulary; })
    return M::vocabulary;
  else
    return vocabulary<sma::child_module<M, 0>>();
}

/// A packed batch of standard normal numbers, or of tokens in the vocabulary.
template <class N>
Input<N> random_input(const Lengths& lengths, std::uint64_t seed) {
  Input<N> x{std::span<const Index>(lengths)};
  sma::RandomSequence random(seed, 11);
  for (auto& value : x.values()) {
    if constexpr (sma::takes_tokens<typename N::description>())
      value = static_cast<sma::Token>(random.uniform() *
                                      static_cast<double>(vocabulary<typename N::description>()));
    else
      value = static_cast<typename N::Scalar>(random.normal());
  }
  return x;
}

template <class S>
std::vector<S> random_values(std::size_t count, std::uint64_t seed) {
  std::vector<S> values(count);
  sma::RandomSequence random(seed, 12);
  for (S& value : values) value = static_cast<S>(random.normal());
  return values;
}

/// Copies of a network's buffers in host memory.
template <class N>
std::vector<typename N::Scalar> parameters_of(N& net) {
  return sma::host_copy(net, net.parameters());
}
template <class N>
std::vector<typename N::Scalar> gradients_of(N& net) {
  return sma::host_copy(net, net.gradients());
}
template <class N>
std::vector<typename N::Scalar> buffers_of(N& net) {
  return sma::host_copy(net, net.buffers());
}

/// All parameters and running statistics become generic numbers, so that no gradient is trivially zero: the initial value plus
/// noise, matrices scaled to keep the size of what passes through, variances positive.
template <class N>
void randomize(N& net, std::uint64_t seed) {
  using S = typename N::Scalar;
  using M = typename N::description;
  std::vector<S> w(static_cast<std::size_t>(N::parameter_count));
  std::vector<S> b(static_cast<std::size_t>(sma::extent_of<M>.buffers));
  sma::initialize<M>(w.data(), b.data(), seed);
  sma::RandomSequence random(seed, 13);
  for (const sma::TensorEntry& entry : sma::parameter_entries<M>()) {
    const double deviation =
        entry.shape.size() > 1 ? 1 / std::sqrt(static_cast<double>(entry.shape.back())) : 0.4;
    for (Index i = 0; i < entry.size; ++i)
      w[static_cast<std::size_t>(entry.offset + i)] += static_cast<S>(deviation * random.normal());
  }
  for (S& value : b) value += static_cast<S>(random.uniform() - 0.5);
  net.set_parameters(w);
  net.set_buffers(b);
}

// ---- decisions -------------------------------------------------------------------------------------------------

/// What `force` makes of the routers whose branches decide each for itself.
enum class Decision { mixed, none, all };

/// A setup that shifts the biases of every configurator, so that no step is active, or all are. Probabilities stay away from
/// 0 and 1, gradients from 0. Routers whose branches compete always have K active branches and stay as they are.
struct Force {
  Decision decision = Decision::mixed;

  template <class N>
  void operator()(N& net) const {
    if (decision == Decision::mixed) return;
    using S = typename N::Scalar;
    auto w = parameters_of(net);
    const S shift = static_cast<S>(decision == Decision::all ? 8 : -8);
    shift_biases<typename N::description>(w.data(), shift);
    net.set_parameters(w);
  }

 private:
  /// Of M, whose weights begin at `w`, and of everything inside it.
  template <class M, class S>
  static void shift_biases(S* w, S shift) {
    if constexpr (requires { typename M::template GatingOf<S>; }) {
      using Gate = typename M::template GatingOf<S>;
      S* bias = w + Gate::logits * M::input_width;
      for (Index i = 0; i < M::branches && !Gate::competes; ++i) bias[Gate::paired ? 2 * i + 1 : i] += shift;
    }
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (shift_children<M, I>(w, shift), ...);
    }(std::make_index_sequence<sma::children_of<M>::size>{});
  }
  template <class M, std::size_t I, class S>
  static void shift_children(S* w, S shift) {
    using Child = sma::child_module<M, I>;
    for (Index k = 0; k < sma::children_of<M>::template at<I>::count; ++k)
      shift_biases<Child>(w + sma::detail::child_offset<M, I>().weights + k * sma::parameter_count<Child>,
                          shift);
  }
};

/// Which branches ran at which row in a forward pass, in inference or in training.
template <class N>
std::vector<bool> decisions_of(N& net, const Input<N>& x, bool in_training = false) {
  const auto pass = [&](std::span<typename N::Scalar> trace) {
    return in_training ? net.train(x, trace) : net.infer(x, trace);
  };
  if constexpr (N::trace_width == 0) {
    pass({});
    return {};
  } else {
    std::vector<typename N::Scalar> trace(static_cast<std::size_t>(x.rows() * N::trace_width));
    pass(trace);
    std::vector<bool> active(trace.size());
    for (std::size_t i = 0; i < trace.size(); ++i) active[i] = trace[i] != 0;
    return active;
  }
}

// ---- comparison ------------------------------------------------------------------------------------------------

/// Largest |a - b| is at most `tolerance` times the largest |b| (at least `floor`). NaN is never close.
template <class S, class T>
void check_close(std::span<const S> a, std::span<const T> b, double tolerance, const std::string& what,
                 double floor = 1.0) {
  REQUIRE_MESSAGE(a.size() == b.size(), what);
  double largest = floor;
  for (const T& value : b) largest = std::max(largest, std::abs(static_cast<double>(value)));
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(difference <= tolerance * largest)) {
      FAIL_CHECK(what << ", element " << i << ": found " << a[i] << ", expected " << b[i] << " within "
                      << tolerance * largest);
      return;
    }
  }
}
template <class S, class T>
void check_close(const std::vector<S>& a, const std::vector<T>& b, double tolerance, const std::string& what,
                 double floor = 1.0) {
  check_close(std::span<const S>(a), std::span<const T>(b), tolerance, what, floor);
}

template <class S>
void check_same_bits(const std::vector<S>& a, const std::vector<S>& b, const std::string& what) {
  REQUIRE_MESSAGE(a.size() == b.size(), what);
  const bool same = a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(S)) == 0;
  CHECK_MESSAGE(same, what);
}

template <class S, Index Width>
std::vector<S> values_of(const sma::Rows<const S, Width>& rows) {
  return {rows.data, rows.data + rows.rows * Width};
}
template <class S, Index Width>
std::vector<S> values_of(const sma::Output<S, Width>& y) {
  return values_of(y.host());
}

/// Everything that one training pass leaves behind.
template <class N>
struct Pass {
  std::vector<typename N::Scalar> y, dx, gradients, buffers;
  std::vector<double> metrics;
};

/// Forward and backward in training mode from zeroed gradients; dx stays empty for token inputs.
template <class N>
Pass<N> train(N& net, const Input<N>& x, const std::vector<typename N::Scalar>& dy) {
  Pass<N> pass;
  net.zero_gradients();
  const auto y = net.train(x);
  pass.y = values_of(y);
  const auto dx = net.backward({dy.data(), y.count, N::output_width});
  if (!sma::takes_tokens<typename N::description>()) pass.dx = values_of(dx);
  pass.gradients = gradients_of(net);
  pass.buffers = buffers_of(net);
  pass.metrics.assign(net.metric_values().begin(), net.metric_values().end());
  return pass;
}

/// Two passes that differ by the order of sums alone; parameter gradients are sums over the whole batch.
template <class A, class B>
void check_close_pass(const Pass<A>& found, const Pass<B>& expected, const std::string& where) {
  constexpr double tolerance = rounding<typename A::Scalar>();
  check_close(found.y, expected.y, tolerance, "output" + where);
  check_close(found.dx, expected.dx, tolerance, "input gradient" + where);
  check_close(found.gradients, expected.gradients, 10 * tolerance, "parameter gradients" + where);
  check_close(found.buffers, expected.buffers, tolerance, "running statistics" + where);
  check_close(found.metrics, expected.metrics, tolerance, "metrics" + where);
}

/// Output rows for sequences of these lengths.
template <class M>
std::size_t output_rows(const Lengths& lengths) {
  constexpr Index kGroup = sma::sequences_per_output<M>();
  if (kGroup > 0) return lengths.size() / std::max<std::size_t>(1, kGroup);
  std::size_t rows = 0;
  for (const Index n : lengths) rows += static_cast<std::size_t>(n);
  return rows;
}
template <class N>
std::vector<typename N::Scalar> random_output_gradient(const Lengths& lengths, std::uint64_t seed) {
  const std::size_t rows = output_rows<typename N::description>(lengths);
  return random_values<typename N::Scalar>(rows * static_cast<std::size_t>(N::output_width), seed + 500);
}

/// The value of an auxiliary loss as the network reports it, times its weight, summed over all routers.
template <class N>
double auxiliary_loss(const N& net) {
  const sma::AuxiliaryWeights& weights = net.settings().auxiliary;
  const std::pair<const char*, double> kinds[] = {
      {"load_balance", weights.load_balance}, {"z_loss", weights.z_loss}, {"budget", weights.budget}};
  double total = 0;
  for (const sma::TensorEntry& entry : sma::metric_entries<typename N::description>())
    for (const auto& [name, weight] : kinds)
      if (entry.name.ends_with(name))
        total += weight * net.metric_values()[static_cast<std::size_t>(entry.offset)];
  return total;
}

// ---- law 5 -----------------------------------------------------------------------------------------------------

namespace detail {

/// sum(y * g) plus the weighted auxiliary losses, and the decisions that were made.
template <class N>
struct Objective {
  N& net;
  const Input<N>& x;
  const std::vector<double>& g;
  std::vector<bool> decisions;
  double magnitude = 0;  // sum |y * g|: how much rounding the sum carries

  double operator()() {
    decisions = decisions_of(net, x, true);
    const auto y = values_of(net.train(x));
    double total = auxiliary_loss(net);
    magnitude = std::abs(total);
    for (std::size_t i = 0; i < y.size(); ++i) {
      total += y[i] * g[i];
      magnitude += std::abs(y[i] * g[i]);
    }
    return total;
  }
};

/// Up to `most` indices of 0..count-1, spread over all of it.
inline std::vector<Index> sample(Index count, Index most, std::uint64_t seed) {
  std::vector<Index> chosen;
  if (count <= most) {
    for (Index i = 0; i < count; ++i) chosen.push_back(i);
    return chosen;
  }
  sma::RandomSequence random(seed, 17);
  for (Index i = 0; i < most; ++i)
    chosen.push_back(static_cast<Index>((static_cast<double>(i) + random.uniform()) *
                                        static_cast<double>(count) / static_cast<double>(most)));
  return chosen;
}

}  // namespace detail

/// Law 5: the gradient of sum(y * g), auxiliary losses included, is its central difference, for every tensor (all elements of
/// small ones, a sample of large ones) and for the input. Elements whose step changes a decision are left out; at least
/// three in four must remain. For descriptions whose backward is their derivative: not StraightThrough and its like.
template <class M, class B, class Setup = AsTheyAre>
void check_gradients(const Lengths& lengths, std::uint64_t seed, const Setup& setup = {},
                     sma::NetworkOptions options = {.threads = 1, .lanes = 3}, Index most = 24) {
  using N = Net<M, B>;
  static_assert(std::is_same_v<typename N::Scalar, double>, "gradients are checked in double");
  INFO(text_of(lengths));
  N net(sma::Seed{seed}, options);
  randomize(net, seed);
  setup(net);
  auto x = random_input<N>(lengths, seed);
  const auto g = random_output_gradient<N>(lengths, seed);
  const auto buffers = buffers_of(net);
  const Pass<N> pass = train(net, x, g);

  // Gradients add up.
  net.set_buffers(buffers);
  net.train(x);
  net.backward({g.data(), static_cast<Index>(g.size()) / N::output_width, N::output_width});
  auto twice = pass.gradients;
  for (double& value : twice) value *= 2;
  check_close(gradients_of(net), twice, rounding<double>(), "a second backward adds the same gradient");

  detail::Objective<N> objective{net, x, g, {}};
  objective();
  const auto decisions = objective.decisions;
  const double magnitude = objective.magnitude;
  double overall = 0;
  for (const double value : pass.gradients) overall = std::max(overall, std::abs(value));

  Index compared = 0;
  Index left_out = 0;
  const auto check_element = [&](auto&& set, double value, double gradient, double largest,
                                 const std::string& what) {
    // A kink (ReLU) nearer than the step spoils a difference; a smaller step gets past it.
    double found = 0;
    for (const double step : {1e-5, 1e-6}) {
      set(value + step);
      const double up = objective();
      const bool same_up = objective.decisions == decisions;
      set(value - step);
      const double down = objective();
      const bool same = same_up && objective.decisions == decisions;
      set(value);
      if (!same) {
        ++left_out;
        return;
      }
      found = (up - down) / (2 * step);
      // Truncation: relative to the tensor's gradients. Rounding: sums of this size have errors of about 1e-15 of it.
      const double allowed = 2e-6 * std::max(largest, 1e-3 * overall) + 4e-15 * (magnitude + 1) / step;
      if (std::abs(found - gradient) <= allowed) {
        ++compared;
        return;
      }
    }
    ++compared;
    FAIL_CHECK(what << ": gradient " << gradient << ", finite difference " << found);
  };

  auto w = parameters_of(net);
  for (const sma::TensorEntry& entry : sma::parameter_entries<M>()) {
    const double* tensor = pass.gradients.data() + entry.offset;
    double largest = 0;
    for (Index i = 0; i < entry.size; ++i) largest = std::max(largest, std::abs(tensor[i]));
    for (const Index i : detail::sample(entry.size, most, seed)) {
      double& element = w[static_cast<std::size_t>(entry.offset + i)];
      check_element(
          [&](double value) {
            element = value;
            net.set_parameters(w);
          },
          element, tensor[i], largest, entry.name + "[" + std::to_string(i) + "]");
    }
  }
  if constexpr (!sma::takes_tokens<M>()) {
    double largest = 0;
    for (const double value : pass.dx) largest = std::max(largest, std::abs(value));
    for (const Index i : detail::sample(static_cast<Index>(pass.dx.size()), 2 * most, seed)) {
      double& element = x.values()[static_cast<std::size_t>(i)];
      check_element([&](double value) { element = value; }, element, pass.dx[static_cast<std::size_t>(i)],
                    largest, "input[" + std::to_string(i) + "]");
    }
  }
  CHECK_MESSAGE((compared > 0 || N::parameter_count == 0 || x.rows() == 0), "nothing was compared");
  CHECK_MESSAGE(left_out * 4 <= compared + left_out, left_out << " elements left out, compared " << compared);
}

// ---- law 4 -----------------------------------------------------------------------------------------------------

namespace detail {

/// True when training draws random numbers: these are keyed by the row's place in the batch.
template <class N>
bool draws_random_numbers(N& net, const Input<N>& x) {
  const auto buffers = buffers_of(net);
  const auto first = values_of(net.train(x));
  net.settings().step += 1;
  const auto second = values_of(net.train(x));
  net.settings().step -= 1;
  net.set_buffers(buffers);
  return first != second;
}

}  // namespace detail

/// Law 4: a batch is its sequences one by one, in any order: outputs in inference and training, input gradients, and the sums
/// of parameter gradients. What draws random numbers in training is compared in inference only. Not for modules that
/// couple the batch, nor with auxiliary losses on (these are means over the batch).
template <class M, class B, class Setup = AsTheyAre>
void check_batch_is_its_sequences(const Lengths& lengths, std::uint64_t seed, const Setup& setup = {}) {
  using N = Net<M, B>;
  using S = typename N::Scalar;
  static_assert(!sma::couples_batch<M>(), "a module that couples the batch has no law 4");
  INFO(text_of(lengths));
  constexpr std::size_t kGroup = static_cast<std::size_t>(N::sequence_group);
  constexpr bool kPools = sma::sequences_per_output<M>() > 0;
  N net(sma::Seed{seed}, {.threads = 1, .lanes = 3});
  randomize(net, seed);
  setup(net);
  const auto x = random_input<N>(lengths, seed);
  const auto g = random_output_gradient<N>(lengths, seed);
  const bool trains = !detail::draws_random_numbers(net, x);
  const auto in_width = static_cast<std::size_t>(N::input_width);
  const auto out_width = static_cast<std::size_t>(N::output_width);

  const auto whole = values_of(net.infer(x));
  const Pass<N> pass = train(net, x, g);

  // A group of sequences of the batch: rows of x, rows of y.
  struct Part {
    Lengths lengths;
    std::size_t first_row = 0, rows = 0, first_output = 0, outputs = 0;
  };
  std::vector<Part> parts;
  std::size_t row = 0;
  for (std::size_t q = 0; q < lengths.size(); q += kGroup) {
    Part part;
    part.first_row = row;
    for (std::size_t i = q; i < q + kGroup; ++i) {
      part.lengths.push_back(lengths[i]);
      part.rows += static_cast<std::size_t>(lengths[i]);
    }
    row += part.rows;
    part.first_output = kPools ? q / kGroup : part.first_row;
    part.outputs = kPools ? 1 : part.rows;
    parts.push_back(part);
  }

  // Runs `order` as one batch and compares it with the same rows of the whole batch; adds its parameter gradients.
  const auto run = [&](const std::vector<Part>& order, std::vector<S>& gradients, const std::string& what) {
    Input<N> some;
    std::vector<S> dy, expected, expected_training, expected_dx;
    const auto append = [](std::vector<S>& to, const std::vector<S>& from, std::size_t first,
                           std::size_t count) {
      to.insert(to.end(), from.begin() + static_cast<std::ptrdiff_t>(first),
                from.begin() + static_cast<std::ptrdiff_t>(first + count));
    };
    for (const Part& part : order) {
      auto at = part.first_row;
      for (const Index length : part.lengths) {
        const auto count = static_cast<std::size_t>(length);
        some.append(x.values().subspan(at * in_width, count * in_width));
        at += count;
      }
      append(dy, g, part.first_output * out_width, part.outputs * out_width);
      append(expected, whole, part.first_output * out_width, part.outputs * out_width);
      append(expected_training, pass.y, part.first_output * out_width, part.outputs * out_width);
      if (!pass.dx.empty()) append(expected_dx, pass.dx, part.first_row * in_width, part.rows * in_width);
    }
    check_close(values_of(net.infer(some)), expected, rounding<S>(), what + ": output in inference");
    if (!trains) return;
    const Pass<N> alone = train(net, some, dy);
    check_close(alone.y, expected_training, rounding<S>(), what + ": output in training");
    check_close(alone.dx, expected_dx, rounding<S>(), what + ": input gradient");
    for (std::size_t i = 0; i < gradients.size(); ++i) gradients[i] += alone.gradients[i];
  };

  const auto count = static_cast<std::size_t>(N::parameter_count);
  std::vector<S> summed(count);
  for (std::size_t i = 0; i < parts.size(); ++i)
    run({parts[i]}, summed, "sequence " + std::to_string(i * kGroup) + " alone");
  std::vector<S> shuffled(count);
  auto order = parts;
  sma::RandomSequence random(seed, 19);
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[static_cast<std::size_t>(random.uniform() * static_cast<double>(i))]);
  run(order, shuffled, "in another order");
  if (!trains) return;
  // Sums over all rows: rounding grows with their number.
  const double tolerance = 10 * rounding<S>();
  check_close(summed, pass.gradients, tolerance, "parameter gradients, sequences one by one");
  check_close(shuffled, pass.gradients, tolerance, "parameter gradients, in another order");
}

// ---- law 3 -----------------------------------------------------------------------------------------------------

/// Law 3: row by row through `Network::step`, and in chunks of any sizes through `Network::steps`, is the whole sequence in inference; a
/// copied stream goes on by itself, and so does one that was saved and restored; a reset stream starts again.
template <class M, class B, class Setup = AsTheyAre>
void check_stream_is_whole(Index length, std::uint64_t seed, const Setup& setup = {}) {
  using N = Net<M, B>;
  using S = typename N::Scalar;
  using Element = typename N::Element;
  INFO("length " << length);
  constexpr auto kIn = static_cast<std::size_t>(N::input_width);
  constexpr auto kOut = static_cast<std::size_t>(N::output_width);
  N net(sma::Seed{seed});
  randomize(net, seed);
  setup(net);
  const auto x = random_input<N>({length}, seed);
  const Index half = length / 2;
  auto other = random_input<N>({length}, seed + 1);  // the same first half, another second half
  std::copy_n(x.values().begin(), static_cast<std::size_t>(half) * kIn, other.values().begin());
  const auto whole = values_of(net.infer(x));
  const auto other_whole = values_of(net.infer(other));

  auto stream = net.stream();
  auto copy = net.stream();
  std::vector<S> out(static_cast<std::size_t>(length) * kOut), other_out(out.size()), again(out.size());
  const auto step = [&net](auto& state, const Input<N>& from, std::vector<S>& to, Index t) {
    const auto at = static_cast<std::size_t>(t);
    net.step(state, std::span<const Element, kIn>(from.values().subspan(at * kIn).template first<kIn>()),
             std::span<S, kOut>(std::span<S>(to).subspan(at * kOut).template first<kOut>()));
  };
  for (Index t = 0; t < length; ++t) {
    if (t == half) {
      copy = stream;
      std::copy_n(out.begin(), static_cast<std::size_t>(half) * kOut, other_out.begin());
    }
    step(stream, x, out, t);
    if (t >= half) step(copy, other, other_out, t);
  }
  check_close(out, whole, rounding<S>(), "step by step");
  check_close(other_out, other_whole, rounding<S>(), "a copied stream");
  CHECK(stream.time() == length);
  stream.reset();
  CHECK(stream.time() == 0);
  for (Index t = 0; t < length; ++t) step(stream, x, again, t);
  check_same_bits(again, out, "a reset stream");

  // In chunks of any sizes, single steps among them; saved and restored in between.
  sma::RandomSequence random(seed, 77);
  auto chunks = net.stream();
  std::vector<S> chunked(out.size());
  for (Index t = 0; t < length;) {
    const auto draw =
        static_cast<Index>(random.uniform() * 2.5 * static_cast<double>(length)) % (length - t) + 1;
    const Index rows = random.uniform() < 0.3 ? 1 : draw;
    if (rows == 1 && random.uniform() < 0.5)
      step(chunks, x, chunked, t);
    else
      net.steps(chunks,
                x.values().subspan(static_cast<std::size_t>(t) * kIn, static_cast<std::size_t>(rows) * kIn),
                std::span<S>(chunked).subspan(static_cast<std::size_t>(t) * kOut,
                                              static_cast<std::size_t>(rows) * kOut));
    t += rows;
    CHECK(chunks.time() == t);
    if (random.uniform() < 0.5) {
      std::vector<std::byte> bytes(decltype(chunks)::state_bytes);
      const auto whole_state = std::span(bytes).template first<decltype(chunks)::state_bytes>();
      chunks.save(whole_state);
      chunks = net.stream();
      chunks.restore(whole_state);
    }
  }
  check_close(chunked, whole, rounding<S>(), "in chunks");
}

// ---- law 6 and the machine -------------------------------------------------------------------------------------

/// Law 6: two backends agree on outputs (inference and training), gradients, running statistics and metrics.
template <class M, class A, class B, class Setup = AsTheyAre>
void check_backends_agree(const Lengths& lengths, std::uint64_t seed, const Setup& setup = {}) {
  using First = Net<M, A>;
  using Second = Net<M, B>;
  using S = typename First::Scalar;
  static_assert(std::is_same_v<S, typename Second::Scalar>, "backends are compared with one scalar type");
  INFO(text_of(lengths));
  First a(sma::Seed{seed});
  Second b(sma::Seed{seed});
  randomize(a, seed);
  randomize(b, seed);
  setup(a);
  setup(b);
  check_same_bits(parameters_of(b), parameters_of(a), "parameters");
  const auto x = random_input<First>(lengths, seed);
  const auto g = random_output_gradient<First>(lengths, seed);
  check_close(values_of(b.infer(x)), values_of(a.infer(x)), rounding<S>(), "output in inference");
  const auto pass_a = train(a, x, g);
  const auto pass_b = train(b, x, g);
  check_close_pass(pass_b, pass_a, " in training");
}

/// The number of threads changes no bit of a training pass; the number of lanes only rounding.
template <class M, class B, class Setup = AsTheyAre>
void check_threads(const Lengths& lengths, std::uint64_t seed, const Setup& setup = {}) {
  using N = Net<M, B>;
  INFO(text_of(lengths));
  const auto g = random_output_gradient<N>(lengths, seed);
  const auto x = random_input<N>(lengths, seed);
  const auto pass_with = [&](sma::NetworkOptions options) {
    N net(sma::Seed{seed}, options);
    randomize(net, seed);
    setup(net);
    return train(net, x, g);
  };
  const Pass<N> one = pass_with({.threads = 1, .lanes = 5});
  for (const Index threads : {2, 3}) {
    const Pass<N> more = pass_with({.threads = threads, .lanes = 5});
    check_same_bits(more.y, one.y, "output");
    check_same_bits(more.dx, one.dx, "input gradient");
    check_same_bits(more.gradients, one.gradients, "parameter gradients");
    check_same_bits(more.buffers, one.buffers, "running statistics");
    check_same_bits(more.metrics, one.metrics, "metrics");
  }
  const Pass<N> single = pass_with({.threads = 1, .lanes = 1});
  check_close_pass(single, one, " with one lane");
}

/// Laws 4 and 5 over the shapes: all of them for law 4, the most telling for law 5.
template <class M, class B, class Setup = AsTheyAre>
void check_module(std::uint64_t seed, const Setup& setup = {}) {
  for (const Lengths& lengths : few_shapes_of<M>()) check_gradients<M, B>(lengths, seed, setup);
  if constexpr (!sma::couples_batch<M>())
    for (const Lengths& lengths : shapes_of<M>()) check_batch_is_its_sequences<M, B>(lengths, seed, setup);
}

/// And law 3, for modules that stream.
template <class M, class B, class Setup = AsTheyAre>
void check_streaming_module(std::uint64_t seed, const Setup& setup = {}) {
  check_module<M, B>(seed, setup);
  for (const Index length : {0, 1, 2, 37}) check_stream_is_whole<M, B>(length, seed, setup);
}

}  // namespace laws
