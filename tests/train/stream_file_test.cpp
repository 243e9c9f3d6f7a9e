#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <seqboat/seqboat.hpp>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/checkpoint.hpp>
#include <sma/train/stream_file.hpp>
#include <string>
#include <support/files.hpp>
#include <support/laws.hpp>
#include <tuple>
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

/// The error of a stream of `net` that loads the state `bytes`, which some other program has put into a file.
std::string error_of(const Net& net, std::vector<std::uint8_t> bytes, const std::string& path,
                     std::string checksum = "") {
  if (checksum.empty()) checksum = sma::detail::text_of_hash(std::as_bytes(std::span(bytes)));
  sma::SafetensorsWriter writer;
  for (const auto& [key, value] : sma::detail::owner_of_stream(net)) writer.metadata(key, value);
  writer.metadata("state", checksum);
  writer.add("stream", {static_cast<std::int64_t>(bytes.size())}, bytes.data());
  writer.write(path);
  auto stream = net.stream(3);
  const std::string error = files::message_of([&] { sma::load_stream(net, stream, path); });
  if (error.empty()) {
    files::message_of([&] {
      for (int i = 0; i < 9; ++i) next(net, stream, 0.5F);
    });
    files::message_of([&] {
      auto other = net.stream();
      sma::load_stream(net, other, path);
      net.steps(other, std::vector<float>(9 * 4, 0.5F), {});
    });
  } else {
    CHECK(stream.time() == 3);
  }
  return error;
}

TEST_CASE("a damaged stream's file is refused, and a forged one does not reach outside the stream") {
  const files::Directory directory;
  std::filesystem::create_directories(directory.file("a\nb"));
  const std::string path = directory.file("a\nb") + "/f";
  const Net net = network(1);
  std::vector<std::uint8_t> bytes(Net::Stream::state_bytes);
  CHECK(error_of(net, bytes, path).empty());
  CHECK(error_of(net, bytes, path, "0123456789abcdef") ==
        directory.file("a\\x0ab/f") + ": tensor 'stream': found bytes of checksum " +
            sma::detail::text_of_hash(std::as_bytes(std::span(bytes))) +
            ", expected '0123456789abcdef' (is the file damaged?)");
  bytes.pop_back();
  CHECK(error_of(net, bytes, path).find("a\\x0ab/f: found ") != std::string::npos);
  bytes.push_back(0);
  bytes[7] = 0x7f;
  CHECK(error_of(net, bytes, path) ==
        directory.file("a\\x0ab/f") +
            ": tensor 'stream': found a stream's state at time 9151314442816847872 that no "
            "steps leave, expected what a stream has saved");
  bytes[7] = 0;
  int refused = 0;
  // Whatever stands where elements are counted: each number of eight bytes in turn is below 0, and the largest.
  for (std::size_t i = 8; i + 8 <= bytes.size(); i += 8)
    for (const std::int64_t value : {std::int64_t{-3}, INT64_MIN, INT64_MAX}) {
      auto forged = bytes;
      std::memcpy(forged.data() + i, &value, sizeof value);
      refused += error_of(net, forged, path).empty() ? 0 : 1;
    }
  CHECK(refused >= 3);
}

TEST_CASE("a state is sound where all that it is made of is") {
  struct Part {
    sma::Position last;
    bool is_sound(sma::Position now) const { return last < now; }
  };
  struct Two {
    std::tuple<sma::NoState, Part> parts;
  };
  struct Layers {
    std::array<Two, 2> parts;
  };
  struct Residual {
    Layers inner;
  };
  struct Tied {
    Residual body;
  };
  struct Plain {
    float parts[2];
  };
  Tied state{};
  CHECK(sma::detail::is_sound(state, 1));
  std::get<1>(state.body.inner.parts[1].parts).last = 1;
  CHECK(!sma::detail::is_sound(state, 1));
  CHECK(sma::detail::is_sound(state, 2));
  CHECK(sma::detail::is_sound(Plain{}, 0));
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
