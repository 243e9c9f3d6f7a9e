#pragma once

#include <routing/by_hand.hpp>
#include <sma/routing/router.hpp>
#include <string_view>

namespace by_hand {

/// The rows of a batch where branch i runs, gathered by hand with their positions and ids.
struct Gathered {
  std::vector<std::int32_t> offsets{0};
  std::vector<sma::Position> positions = {};
  std::vector<std::int32_t> ids = {};
  std::vector<std::size_t> rows = {};

  Gathered(const sma::Sequences& s, const Active& active, std::size_t i) {
    for (Index q = 0; q < s.count; ++q) {
      for (Index t = s.begin(q); t < s.end(q); ++t) {
        if (!active[static_cast<std::size_t>(t)][i]) continue;
        rows.push_back(static_cast<std::size_t>(t));
        positions.push_back(s.positions[t]);
        ids.push_back(s.ids[t]);
      }
      offsets.push_back(static_cast<std::int32_t>(rows.size()));
    }
  }
  [[nodiscard]] sma::Sequences sequences() const {
    return {static_cast<Index>(rows.size()), static_cast<Index>(offsets.size()) - 1, offsets.data(),
            positions.data(), ids.data()};
  }
};

/// Where the parameters whose names start with `prefix` lie; they stand together.
template <class R>
std::pair<std::size_t, std::size_t> range_of(std::string_view prefix) {
  std::size_t first = 0;
  std::size_t size = 0;
  for (const sma::TensorEntry& entry : sma::parameter_entries<R>())
    if (entry.name.starts_with(prefix)) {
      if (size == 0) first = static_cast<std::size_t>(entry.offset);
      size += static_cast<std::size_t>(entry.size);
    }
  return {first, size};
}

/// A router's training pass by hand: outputs, input and parameter gradients for d loss / d output `dy`.
struct Result {
  std::vector<double> y, dx, dw;
  Active active;
};

/// One branch: forward on its own rows alone, then backward; what it adds to the result and to dweight.
template <class B, class R, std::size_t I>
void run_branch(const Configurator& configurator, const sma::Sequences& s, const std::vector<double>& x,
                const std::vector<double>& dy, std::vector<double> weights, std::vector<double>& dweight,
                Result& result) {
  using Branch = typename R::template branch<I>;
  if constexpr (!sma::detail::is_skip<Branch>) {
    constexpr auto kIn = static_cast<std::size_t>(R::input_width);
    constexpr auto kOut = static_cast<std::size_t>(R::output_width);
    constexpr auto kM = static_cast<std::size_t>(R::branches);
    const Gathered own(s, configurator.active, I);
    const std::size_t rows = own.rows.size();
    std::vector<double> in(rows * kIn), out(rows * kOut), dout(rows * kOut), din(rows * kIn);
    for (std::size_t c = 0; c < rows; ++c)
      for (std::size_t j = 0; j < kIn; ++j) in[c * kIn + j] = x[own.rows[c] * kIn + j];

    const auto [first, size] = range_of<R>(std::string(R::Children::template at<I + 1>::name.view()) + ".");
    sma::Context<B> ctx;
    ctx.settings = configurator.settings;
    sma::saved_of<Branch, double> saved{};
    std::vector<double> metrics(static_cast<std::size_t>(sma::extent_of<Branch>.metrics));
    const sma::Weights<Branch, double> w{weights.data() + first, nullptr, metrics.data(), 0, 0};
    const sma::Rows<const double, R::input_width> input{in.data(), own.sequences().rows};
    sma::forward<Branch>(ctx, own.sequences(), input,
                         sma::Rows<double, R::output_width>{out.data(), own.sequences().rows}, w, saved);
    for (std::size_t c = 0; c < rows; ++c) {
      const std::size_t e = own.rows[c] * kM + I;
      for (std::size_t j = 0; j < kOut; ++j) {
        const double d = dy[own.rows[c] * kOut + j];
        result.y[own.rows[c] * kOut + j] += configurator.weight[e] * out[c * kOut + j];
        dweight[e] += d * out[c * kOut + j];
        dout[c * kOut + j] = configurator.weight[e] * d;
      }
    }
    sma::backward<Branch>(ctx, own.sequences(), input,
                          sma::Rows<const double, R::output_width>{dout.data(), own.sequences().rows},
                          sma::Rows<double, R::input_width>{din.data(), own.sequences().rows}, w,
                          sma::Gradients<Branch, double>{result.dw.data() + first}, saved);
    REQUIRE(first + size <= result.dw.size());
    for (std::size_t c = 0; c < rows; ++c)
      for (std::size_t j = 0; j < kIn; ++j) result.dx[own.rows[c] * kIn + j] += din[c * kIn + j];

    // The dense run: all rows, then the mask. Only a row-wise branch cannot tell the difference.
    if constexpr (sma::is_rowwise<Branch>()) {
      std::vector<double> dense(x.size() / kIn * kOut), masked;
      sma::Context<B> all;
      sma::saved_of<Branch, double> unused{};
      sma::forward<Branch>(all, s, sma::Rows<const double, R::input_width>{x.data(), s.rows},
                           sma::Rows<double, R::output_width>{dense.data(), s.rows}, w, unused);
      for (const std::size_t t : own.rows)
        masked.insert(masked.end(), dense.begin() + static_cast<std::ptrdiff_t>(t * kOut),
                      dense.begin() + static_cast<std::ptrdiff_t>(t * kOut + kOut));
      laws::check_close(out, masked, laws::rounding<double>(), "a row-wise branch, sparse and dense");
    }
  }
}

template <class R, class B, class Input>
Result route(const Kind& kind, double act_bias, const sma::StepSettings& settings, const Input& batch,
             const std::vector<double>& weights, const std::vector<double>& dy) {
  const sma::Sequences s = batch.sequences();
  const std::vector<double> x(batch.values().begin(), batch.values().end());
  const auto [first, size] = range_of<R>("configurator.");
  const auto begin = weights.begin() + static_cast<std::ptrdiff_t>(first);
  Configurator configurator{kind,
                            R::input_width,
                            R::branches,
                            act_bias,
                            {begin, begin + static_cast<std::ptrdiff_t>(size)},
                            settings,
                            1};
  configurator.forward(s, x);
  Result result{std::vector<double>(dy.size()), std::vector<double>(x.size()),
                std::vector<double>(weights.size()), configurator.active};
  std::vector<double> dweight(configurator.weight.size());
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (run_branch<B, R, I>(configurator, s, x, dy, weights, dweight, result), ...);
  }(std::make_index_sequence<static_cast<std::size_t>(R::branches)>{});
  std::vector<double> dw(size);
  configurator.backward(x, dweight, dw, result.dx);
  for (std::size_t i = 0; i < size; ++i) result.dw[first + i] += dw[i];
  return result;
}

/// Law 2: the router's training pass is the one by hand, for every shape: outputs, input and parameter gradients.
template <class R, class B, class Setup = laws::AsTheyAre>
void check_router(const Kind& kind, std::uint64_t seed, const Setup& setup = {}, double act_bias = 0) {
  using Net = sma::Network<R, B>;
  for (const laws::Lengths& lengths : laws::shapes()) {
    INFO(laws::text_of(lengths));
    Net net(sma::Seed{seed}, {.threads = 1, .lanes = 3});
    laws::randomize(net, seed);
    net.settings().step = 5;
    net.settings().progress = 0.3;
    setup(net);
    const auto x = laws::random_input<Net>(lengths, seed);
    const auto dy = laws::random_output_gradient<Net>(lengths, seed);
    const auto pass = laws::train(net, x, dy);
    const Result hand = route<R, B>(kind, act_bias, net.settings(), x, laws::parameters_of(net), dy);
    laws::check_close(pass.y, hand.y, laws::rounding<double>(), "output");
    laws::check_close(pass.dx, hand.dx, laws::rounding<double>(), "input gradient");
    laws::check_close(pass.gradients, hand.dw, laws::rounding<double>(), "parameter gradients");
    std::vector<double> trace(static_cast<std::size_t>(x.rows() * R::branches));
    net.train(x, trace);
    for (std::size_t t = 0; t < hand.active.size(); ++t)
      for (std::size_t i = 0; i < hand.active[t].size(); ++i)
        if ((trace[t * hand.active[t].size() + i] != 0) != hand.active[t][i])
          FAIL_CHECK("the trace of row " << t << ", branch " << i << " is not its decision");
  }
}

}  // namespace by_hand
