#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/checkpoint.hpp>
#include <sma/train/stream_file.hpp>
#include <string>
#include <support/files.hpp>
#include <support/laws.hpp>
#include <vector>

namespace {

using sma::Index;

template <Index Width>
using Model = sma::Chain<seqboat::Ema<Width, 2, false, 3>,
                         seqboat::GatedAttention<Width, 4, 6, seqboat::Window<2>, seqboat::Softmax,
                                                 seqboat::RotaryPosition, true>>;
using Net = sma::Network<Model<4>, sma::Eigen<float>>;

Net network(std::uint64_t seed) {
  Net net(sma::Seed{seed});
  laws::randomize(net, seed);
  return net;
}

std::array<float, 4> next(const Net& net, Net::Stream& stream, float x) {
  std::array<float, 4> y{};
  net.step(stream, std::array<float, 4>{x, -x, 2 * x, 1}, y);
  return y;
}

}  // namespace

TEST_CASE("a stream goes on from its file, bit for bit") {
  const files::Directory directory;
  const std::string path = directory.file("a.stream");
  const Net net = network(1);
  auto stream = net.stream(100);
  for (int t = 0; t < 9; ++t) next(net, stream, 0.25F * static_cast<float>(t));
  sma::save_stream(net, stream, path);
  CHECK(directory.names() == std::vector<std::string>{"a.stream"});
  auto other = net.stream();
  next(net, other, 3);
  sma::load_stream(net, other, path);
  CHECK(other.time() == 109);
  for (int t = 0; t < 9; ++t) CHECK(next(net, stream, 0.5F) == next(net, other, 0.5F));
}

TEST_CASE("a stream's file belongs to its model and its weights, and a refused one changes nothing") {
  const files::Directory directory;
  const std::string path = directory.file("a.stream");
  const Net net = network(1);
  auto stream = net.stream();
  next(net, stream, 1);
  sma::save_stream(net, stream, path);

  const Net trained_on = network(2);
  auto theirs = trained_on.stream();
  next(trained_on, theirs, 1);
  CHECK_THROWS_WITH_AS(
      sma::load_stream(trained_on, theirs, path),
      (path + ": found the state of a stream of other weights, expected one of this network's").c_str(),
      sma::Error);
  CHECK(theirs.time() == 1);

  const sma::Network<Model<5>, sma::Eigen<float>> wider(sma::Seed{1});
  auto wide = wider.stream();
  CHECK_THROWS_WITH_AS(
      sma::load_stream(wider, wide, path),
      (path + ": found the state of a stream of another model, expected one of this network's").c_str(),
      sma::Error);

  Net mine = network(1);
  sma::save_weights(mine, path);
  CHECK_THROWS_AS(sma::load_stream(net, stream, path), sma::Error);
  CHECK_THROWS_AS(sma::load_stream(net, stream, directory.file("none")), sma::Error);
  CHECK(stream.time() == 1);
}

TEST_CASE("several steps at once give the rows of all, of the last one, or none, and refuse other sizes") {
  const Net net = network(1);
  std::vector<float> x(3 * 4, 0.5F), y(3 * 4), last(4);
  auto all = net.stream();
  net.steps(all, x, y);
  auto one = net.stream();
  net.steps(one, x, last);
  CHECK(std::equal(last.begin(), last.end(), y.end() - 4));
  auto none = net.stream();
  net.steps(none, x, {});
  CHECK(none.time() == 3);
  CHECK(next(net, none, 1) == next(net, all, 1));
  CHECK_THROWS_WITH_AS(
      net.steps(one, std::span(x).first(11), y),
      "sma::Network::steps: found 11 numbers in and 12 out, expected 4 a row and 4 a row, for all rows, "
      "the last one or none",
      sma::Error);
  CHECK_THROWS_AS(net.steps(one, x, std::span(y).first(8)), sma::Error);
  CHECK_THROWS_AS(net.steps(one, {}, last), sma::Error);
  CHECK(one.time() == 3);
  net.steps(one, {}, {});
  CHECK(one.time() == 3);
}

TEST_CASE("several steps refuse a row that is not finite, and say which step it was") {
  const Net net = network(1);
  std::vector<float> x(300 * 4, 0.5F), y(x.size());
  x[290 * 4 + 2] = std::numeric_limits<float>::infinity();
  auto stream = net.stream(7);
  CHECK_THROWS_WITH_AS(
      net.steps(stream, x, y),
      "sma::Network::step: step 297: found inf in column 2 of the input, expected finite numbers; the "
      "stream is as it was",
      sma::NotFinite);
  CHECK(stream.time() == 7);
}
