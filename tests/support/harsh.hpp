#pragma once

#include <atomic>
#include <cstring>
#include <limits>
#include <sma/module/module.hpp>
#include <support/laws.hpp>

/// The contract of modules, read as harshly as it allows, and the laws that hold under that reading. Memory of the backend is the
/// host's here.
namespace laws {

/// M as the worst of its callers sees it; when not `Spoils`, only what hands everything on.
///
/// Rows are column blocks of wider rows, NaN beside them. After forward x and y are NaN; in backward x lies elsewhere, if M reads it. dx
/// holds NaN before backward. `apply`, where it is offered, is called twice before backward, into NaN, from an x that is NaN when it has
/// returned, and must give the bits that forward gave; `broken_promises` counts the rows where that is not so.
template <class M, bool Spoils = true>
struct Harsh {
  using Inner = sma::canonical<M>;
  static constexpr Index input_width = Inner::input_width;
  static constexpr Index output_width = Inner::output_width;
  static constexpr sma::Reach reach = sma::reach_of<Inner>();
  static constexpr bool takes_tokens = sma::takes_tokens<Inner>();
  static constexpr Index sequences_per_output = sma::sequences_per_output<Inner>();
  using Children = sma::Children<sma::Child<"", M>>;
  template <class S>
  using Element = std::conditional_t<takes_tokens, sma::Token, S>;

  static inline std::atomic<int> broken_promises{0};

  template <class S>
  struct Saved {
    sma::saved_of<Inner, S> inner;
    sma::Rows<S, output_width> y;
  };

  template <class C>
  static sma::Sequences layout(C& ctx, const sma::Sequences& s)
    requires(sequences_per_output > 0)
  {
    return sma::output_sequences<Inner>(ctx, s);
  }

  template <class C, class S>
  static void forward(C& ctx, const sma::Sequences& s, sma::Rows<const Element<S>, input_width> x,
                      sma::Rows<S, output_width> y, sma::Weights<Harsh, S> w, Saved<S>& saved) {
    if constexpr (!Spoils) return sma::forward<Inner>(ctx, s, x, y, sma::child<0>(w), saved.inner);
    const auto in = wide<true>(ctx, x);
    const auto out = wide<false>(ctx, sma::Rows<const S, output_width>{nullptr, y.rows});
    sma::forward<Inner>(ctx, s, in, out, sma::child<0>(w), saved.inner);
    copy(sma::Rows<const S, output_width>(out), y);
    spoil(out);
    saved.y = ctx.template keep_rows<output_width>(y.rows);
    copy(sma::Rows<const S, output_width>(y), saved.y);
    if (ctx.training()) spoil(in);
  }

  template <class C, class S>
  static void backward(C& ctx, const sma::Sequences& s, sma::Rows<const Element<S>, input_width> x,
                       sma::Rows<const S, output_width> dy, sma::Rows<Element<S>, input_width> dx,
                       sma::Weights<Harsh, S> w, sma::Gradients<Harsh, S> g, Saved<S>& saved) {
    if constexpr (!Spoils)
      return sma::backward<Inner>(ctx, s, x, dy, dx, sma::child<0>(w), sma::child<0>(g), saved.inner);
    auto scope = ctx.scope();
    if constexpr (sma::applies<Inner, C>)
      for (int time = 0; time < 2; ++time) {
        const auto out = wide<false>(ctx, sma::Rows<const S, output_width>{nullptr, dy.rows});
        const auto in =
            sma::apply_reads_input<Inner, C> ? wide<false>(ctx, x) : sma::Rows<Element<S>, input_width>{};
        sma::apply<Inner>(ctx, s, in, out, sma::child<0>(w), saved.inner);
        if (in) spoil(in);
        for (Index i = 0; i < dy.rows; ++i)
          if (std::memcmp(out.row(i), saved.y.row(i), sizeof(S) * static_cast<std::size_t>(output_width)) !=
              0)
            ++broken_promises;
      }
    const auto in = sma::reads_input<Inner, C> ? wide<false>(ctx, x) : sma::Rows<Element<S>, input_width>{};
    const auto from = wide<false>(ctx, dy);
    const auto to = dx ? wide<false>(ctx, sma::Rows<const Element<S>, input_width>{nullptr, dx.rows})
                       : sma::Rows<Element<S>, input_width>{};
    sma::backward<Inner>(ctx, s, in, from, to, sma::child<0>(w), sma::child<0>(g), saved.inner);
    if constexpr (!takes_tokens)
      if (dx) copy(sma::Rows<const Element<S>, input_width>(to), dx);
  }

 private:
  /// A column block of rows that are wider by three and NaN; with x's numbers, unless x is null.
  template <bool Kept, class C, class T, Index Width>
  static sma::Rows<T, Width> wide(C& ctx, sma::Rows<const T, Width> x) {
    constexpr Index stride = Width + 3;
    T* data = Kept ? ctx.template keep<T>(x.rows * stride) : ctx.template scratch<T>(x.rows * stride);
    std::fill_n(data, x.rows * stride, nothing<T>());
    const sma::Rows<T, Width> block{data + 1, x.rows, stride};
    if (x) copy(x, block);
    return block;
  }
  template <class T>
  static constexpr T nothing() {
    if constexpr (std::is_floating_point_v<T>)
      return std::numeric_limits<T>::quiet_NaN();
    else
      return T(0);  // a token that there is
  }
  template <class T, Index Width>
  static void copy(sma::Rows<const T, Width> from, sma::Rows<T, Width> to) {
    for (Index i = 0; i < to.rows; ++i) std::copy_n(from.row(i), Width, to.row(i));
  }
  template <class T, Index Width>
  static void spoil(sma::Rows<T, Width> rows) {
    for (Index i = 0; i < rows.rows; ++i) std::fill_n(rows.row(i), Width, nothing<T>());
  }
};

/// Laws 10, 11 and 14: under the harshest reading, in fresh memory and in what a pass has left, a training pass gives the bits that it
/// gives otherwise.
template <class M, class B>
void check_contract(const Lengths& lengths, std::uint64_t seed) {
  using N = Net<Harsh<M, false>, B>;
  using H = Net<Harsh<M>, B>;
  INFO(text_of(lengths));
  const sma::NetworkOptions options{.threads = 1, .lanes = 2};
  N net(sma::Seed{seed}, options);
  H harsh(sma::Seed{seed}, options);
  randomize(net, seed);
  const auto buffers = buffers_of(net);
  const auto x = random_input<N>(lengths, seed);
  const auto dy = random_output_gradient<N>(lengths, seed);
  const auto expected = train(net, x, dy);
  harsh.set_parameters(parameters_of(net));
  Harsh<M>::broken_promises = 0;
  for (const std::string memory : {"fresh", "used"}) {
    INFO("memory: " << memory);
    harsh.set_buffers(buffers);
    const auto found = train(harsh, x, dy);
    check_same_bits(found.y, expected.y, "output");
    check_same_bits(found.dx, expected.dx, "input gradient");
    check_same_bits(found.gradients, expected.gradients, "parameter gradients");
    check_same_bits(found.buffers, expected.buffers, "running statistics");
    check_same_bits(found.metrics, expected.metrics, "metrics");
    CHECK(Harsh<M>::broken_promises == 0);
  }
}

/// Law 12: what M says of its reach is true. Another number in one row of x changes no bit of an output row that cannot see it, nor
/// another one in dy an input gradient's: rows of other sequences, earlier rows where M is causal, all others where it is row-wise.
/// In training too, for modules that do not couple the batch.
template <class M, class B>
void check_reach(const Lengths& lengths, std::uint64_t seed) {
  using N = Net<Harsh<M, false>, B>;  // as in check_contract: compiled once
  using S = typename N::Scalar;
  static_assert(sma::sequences_per_output<M>() == 0, "rows of the output are rows of the input");
  INFO(text_of(lengths));
  N net(sma::Seed{seed}, {.threads = 1, .lanes = 2});
  randomize(net, seed);
  auto x = random_input<N>(lengths, seed);
  auto dy = random_output_gradient<N>(lengths, seed);
  const sma::Sequences s = x.sequences();
  const auto sees = [&](Index row,
                        Index other) {  // whether the output of `row` may depend on the input of `other`
    const auto sequence = [&](Index r) { return sma::ops::sequence_of(s, r); };
    if (sma::is_rowwise<M>()) return row == other;
    return sequence(row) == sequence(other) && (!sma::is_causal<M>() || other <= row);
  };
  const auto compare = [&](const std::vector<S>& found, const std::vector<S>& expected, Index width,
                           auto may_change, const std::string& what) {
    for (Index row = 0; row < s.rows; ++row) {
      if (may_change(row)) continue;
      const auto at = static_cast<std::size_t>(row * width);
      if (std::memcmp(&found[at], &expected[at], sizeof(S) * static_cast<std::size_t>(width)) != 0)
        FAIL_CHECK(what << ": row " << row << " changed, which does not see the change");
    }
  };
  const auto buffers = buffers_of(net);
  const auto inference = values_of(net.infer(x));
  const auto whole = train(net, x, dy);
  for (const Index at : {s.rows / 3, s.rows / 2, s.rows - 1}) {
    auto& element = x.values()[static_cast<std::size_t>(at * N::input_width)];
    const auto before = element;
    if constexpr (sma::takes_tokens<M>())
      element = element == 0 ? 1 : 0;
    else
      element += 1;
    net.set_buffers(buffers);
    compare(
        values_of(net.infer(x)), inference, N::output_width, [&](Index row) { return sees(row, at); },
        "output in inference");
    if constexpr (!sma::couples_batch<M>())
      compare(
          train(net, x, dy).y, whole.y, N::output_width, [&](Index row) { return sees(row, at); },
          "output in training");
    element = before;
    if constexpr (!sma::couples_batch<M>() && !sma::takes_tokens<M>()) {
      auto& slope = dy[static_cast<std::size_t>(at * N::output_width)];
      const S was = slope;
      slope += 1;
      compare(
          train(net, x, dy).dx, whole.dx, N::input_width, [&](Index row) { return sees(at, row); },
          "input gradient");
      slope = was;
    }
  }
}

}  // namespace laws
