#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <sma/train/checkpoint.hpp>
#include <sma/train/loss.hpp>
#include <sma/train/optimizer.hpp>
#include <string>
#include <vector>

#include "tiny_task.hpp"

// Files that version 0.1 of 2026-11-26 (commit 13abf45) wrote, with the networks and steps below: `Network<M> net(sma::Seed{7})`
// and its AdamW took five train_step, save_checkpoint wrote them with the state of `kept`, then one more train_step and
// save_weights. There a weight of real numbers has the shape (W), a padding row starts anywhere, and F32 stands before I64.
namespace {

template <class Embedding>
using Classifier = sma::Chain<sma::Named<"embed", Embedding>, sma::Named<"batch", sma::BatchNorm<3>>,
                              sma::Named<"scale", sma::ScaleNorm<3>>, sma::MeanPool<3>,
                              sma::Named<"head", sma::Linear<3, 2>>>;
using Pixels = Classifier<sma::RealEmbedding<3>>;
using Tokens = Classifier<sma::TokenEmbedding<5, 3, 1, 2>>;
template <class M>
using Network = sma::Network<M, sma::Eigen<float>>;

constexpr sma::AdamOptions kOptions{.epsilon = 1e-3, .weight_decay = 0.1};
const sma::TrainingState kept{5, 2, 9, 42, 0.75, 1.5};

template <class M>
void train_step(Network<M>& net, sma::AdamW<Network<M>>& optimizer) {
  using Element = typename Network<M>::Element;
  sma::Batch<Element, 1> x;
  x.append(std::vector<Element>{0, 2, 4});
  x.append(std::vector<Element>{1, 2});
  x.append(std::vector<Element>{3});
  const std::vector<std::int32_t> targets{1, 0, 1};
  net.zero_gradients();
  net.accumulate(x, std::span<const std::int32_t>(targets), sma::CrossEntropy{}, 1.0 / 3);
  optimizer.step(0.05);
}

std::string kept_file(const std::string& name) {
  const char* tests = std::getenv("SEQBOAT_TESTS");  // ctest says where the tests' sources are
  const auto here = tests != nullptr ? std::filesystem::path(tests) / "train"
                                     : std::filesystem::path(__FILE__).parent_path();
  return (here / "files" / (name + ".safetensors")).string();
}

void check_close(std::span<const float> found, const std::vector<float>& expected) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    CHECK(found[i] == doctest::Approx(expected[i]).epsilon(1e-4));
}

template <class M>
void check_kept_files(const std::string& name, const std::vector<float>& weights,
                      const std::vector<float>& statistics) {
  CAPTURE(name);
  Network<M> net(sma::Seed{1});
  sma::AdamW<Network<M>> optimizer(net, kOptions);
  const sma::TrainingState state = sma::load_checkpoint(net, optimizer, kept_file(name + "_checkpoint"));
  CHECK(state.step == kept.step);
  CHECK(state.epoch == kept.epoch);
  CHECK(state.index == kept.index);
  CHECK(state.seed == kept.seed);
  CHECK(state.best == kept.best);
  CHECK(state.elapsed_seconds == kept.elapsed_seconds);
  CHECK(optimizer.steps() == 5);
  train_step<M>(net, optimizer);
  check_close(net.parameters(), weights);
  check_close(net.buffers(), statistics);

  Network<M> other(sma::Seed{1});
  sma::load_weights(other, kept_file(name + "_next_weights"));
  check_close(other.parameters(), weights);
  check_close(other.buffers(), statistics);
}

/// The tensors of a file, to be written again with changes.
struct Copy {
  std::map<std::string, std::vector<float>> values;
  std::map<std::string, std::vector<std::int64_t>> shapes;

  explicit Copy(const sma::SafetensorsFile& file) {
    for (const std::string& name : file.names()) {
      values[name] = file.read<float>(name);
      shapes[name] = file.info(name).shape;
    }
  }
  void add(const std::string& name, std::vector<std::int64_t> shape, std::vector<float> data) {
    shapes[name] = std::move(shape);
    values[name] = std::move(data);
  }
  void write(const std::string& path) const {
    sma::SafetensorsWriter writer;
    for (const auto& [name, data] : values) writer.add(name, shapes.at(name), data.data());
    writer.write(path);
  }
};

/// Loads the weights of a Pixels network after `change`; the error's line, "" where they load.
std::string error_after(const std::function<void(Copy&)>& change) {
  const tiny::Directory directory;
  const std::string path = directory.path() + "/f.safetensors";
  Network<Pixels> net(sma::Seed{3});
  sma::save_weights(net, path);
  Copy copy(sma::SafetensorsFile::open(path));
  change(copy);
  copy.write(path);
  Network<Pixels> other(sma::Seed{4});
  const std::vector<float> before(other.parameters().begin(), other.parameters().end());
  try {
    sma::load_weights(other, path);
  } catch (const sma::Error& error) {
    CHECK(std::equal(before.begin(), before.end(), other.parameters().begin()));
    return error.what();
  }
  CHECK(std::equal(net.parameters().begin(), net.parameters().end(), other.parameters().begin()));
  return "";
}

}  // namespace

TEST_CASE("checkpoints and weights of version 0.1 load, and a run goes on from there as it did then") {
  check_kept_files<Pixels>(
      "pixels",
      {-0.162275508F, 1.73578203F,   0.365590096F, 0.0709174722F, -0.149745673F, -0.0969292969F, 0.748884797F,
       1.137725F,     1.19589102F,   0.109307162F, -0.165101498F, -0.166996837F, 1.24871147F,    0.15441224F,
       -0.315158308F, -0.299322546F, -0.14171122F, 0.285169274F,  0.311551809F,  -0.29146871F,   0.29146871F},
      {-0.0552488528F, 1.58164179F, 0.301795781F, 0.54204464F, 3.44720602F, 0.66064173F});
  check_kept_files<Tokens>(
      "tokens",
      {-0.13193734F,     0.84850961F,    -0.0370512158F, 1.15517187F,   1.94895864F,   0.467707604F,
       -0.000620447856F, 0.703506291F,   0.879721701F,   -0.244293883F, -0.323037207F, -0.169596478F,
       -0.377772659F,    -0.970250547F,  -0.649440169F,  0.849911749F,  0.874913573F,  1.21772563F,
       -0.0850498229F,   -0.0626918748F, -0.25150153F,   1.12914824F,   0.267226487F,  0.306174219F,
       0.29565379F,      -0.26696983F,   -0.260687977F,  -0.313432664F, -0.275430411F, 0.275430411F},
      {0.0243368391F, 0.227309406F, 0.0999299288F, 0.671912611F, 1.01435328F, 0.730095506F});
}

TEST_CASE("checkpoints and weights say the format of PyTorch's names, who wrote them, and lie aligned") {
  const tiny::Directory directory;
  const std::string path = directory.path() + "/f.safetensors";
  const std::map<std::string, std::string> origin{{"format", "pt"}, {"writer", "seqboat"}};
  Network<Pixels> net(sma::Seed{3});
  sma::AdamW<Network<Pixels>> optimizer(net);
  sma::save_checkpoint(net, optimizer, kept, path);
  const auto checkpoint = sma::SafetensorsFile::open(path);
  for (const auto& [key, text] : origin) CHECK(checkpoint.metadata().at(key) == text);
  CHECK(checkpoint.info("training.counters").begin % 8 == 0);
  CHECK(checkpoint.info("training.numbers").begin % 8 == 0);
  const std::string bytes = tiny::content_of(path);
  sma::save_checkpoint(net, optimizer, kept, path);
  CHECK(tiny::content_of(path) == bytes);
  sma::save_weights(net, path);
  CHECK(sma::SafetensorsFile::open(path).metadata() == origin);
}

TEST_CASE("a weight's extents of 1 at the end may be left out or added, and no others") {
  CHECK(error_after([](Copy& c) {
          CHECK(c.shapes.at("embed.weight") == std::vector<std::int64_t>{3, 1});
          c.shapes["embed.weight"] = {3};
        }) == "");
  CHECK(error_after([](Copy& c) { c.shapes["batch.bias"] = {3, 1, 1}; }) == "");
  CHECK(error_after([](Copy& c) { c.shapes["scale.scalar"] = {}; }) == "");
  CHECK(error_after([](Copy& c) {
          c.shapes["embed.weight"] = {1, 3};
        }).ends_with("tensor 'embed.weight': found shape [1, 3] of F32, expected shape [3, 1]"));
  CHECK(error_after([](Copy& c) {
          c.shapes["head.weight"] = {3, 2};
        }).ends_with("tensor 'head.weight': found shape [3, 2] of F32, expected shape [2, 3]"));
}

TEST_CASE("PyTorch's batch counter is passed over beside batch norm's statistics, and nowhere else") {
  CHECK(error_after([](Copy& c) { c.add("batch.num_batches_tracked", {}, {7}); }) == "");
  for (const char* stranger :
       {"num_batches_tracked", "scale.num_batches_tracked", "batch.x.num_batches_tracked",
        "batch.num_batches", "running_mean.num_batches_tracked", ""}) {
    const std::string message = error_after([&](Copy& c) { c.add(stranger, {}, {7}); });
    CAPTURE(message);
    CHECK(message.find("found tensor '" + std::string(stranger) + "'") != std::string::npos);
  }
}

TEST_CASE("a checkpoint whose counters no run reaches is refused, and changes nothing") {
  const tiny::Directory directory;
  const std::string path = directory.path() + "/f.safetensors";
  Network<Pixels> net(sma::Seed{3});
  sma::AdamW<Network<Pixels>> optimizer(net, kOptions);
  train_step<Pixels>(net, optimizer);
  Network<Pixels> other(sma::Seed{4});
  sma::AdamW<Network<Pixels>> its(other, kOptions);
  const std::vector<float> before(other.parameters().begin(), other.parameters().end());
  const auto error = [&](const sma::TrainingState& state) -> std::string {
    sma::save_checkpoint(net, optimizer, state, path);
    try {
      sma::load_checkpoint(other, its, path);
    } catch (const sma::Error& refused) {
      return refused.what();
    }
    return "";
  };
  CHECK(error({.step = -5}) == path + ": tensor 'training.counters': found step -5, expected 0 to 2^53");
  CHECK(error({.epoch = -1}).find("found epoch -1") != std::string::npos);
  CHECK(error({.index = INT64_MIN}).find("found index -9223372036854775808") != std::string::npos);
  CHECK(error({.step = INT64_MAX}).find("found step 9223372036854775807") != std::string::npos);
  CHECK(its.steps() == 0);
  CHECK(std::equal(before.begin(), before.end(), other.parameters().begin()));
  CHECK(error({.step = 5, .seed = -7}).empty());
}

TEST_CASE("a stranger's name is told on one line") {
  CHECK(error_after([](Copy& c) { c.add("a\nb", {}, {7}); }).find("found tensor 'a\\x0ab', expected") !=
        std::string::npos);
}
