#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>

#include <cmath>
#include <limits>

#include "tiny_task.hpp"

namespace {

struct Wider : tiny::Model {
  static constexpr sma::Index classifier_width = 9;
};

/// The final checkpoint's bytes of a run of `steps` updates under a 40-step schedule, cut at `stop` and resumed.
template <class Model>
std::string final_checkpoint(sma::Index stop, sma::Index threads) {
  const tiny::Directory directory;
  auto options = tiny::options(directory.path(), 40);
  if (stop > 0) {
    tiny::Network<Model> net(sma::Seed{3}, {.threads = threads});
    tiny::Data data;
    options.stop_after = stop;
    sma::Trainer<tiny::Network<Model>, tiny::Data> trainer(net, data, options);
    trainer.run();
    REQUIRE(trainer.state().step == stop);
  }
  options.stop_after = 0;
  tiny::Network<Model> net(sma::Seed{stop > 0 ? 99U : 3U},
                           {.threads = threads});  // resume replaces every weight
  tiny::Data data;
  sma::Trainer<tiny::Network<Model>, tiny::Data> trainer(net, data, options);
  if (stop > 0) trainer.resume(trainer.last_path());
  trainer.run();
  REQUIRE(trainer.state().step == 40);
  return tiny::content_of(trainer.last_path());
}

using tiny::message_of;

}  // namespace

TEST_CASE("a run resumed at step 20 of 40 writes the same bytes as an uninterrupted one") {
  const std::string whole = final_checkpoint<tiny::Model>(0, 1);
  CHECK(whole.size() > 1000);
  CHECK(final_checkpoint<tiny::Model>(20, 1) == whole);
  CHECK(final_checkpoint<tiny::Model>(13, 1) == whole);
}

TEST_CASE("a run with two threads writes the same bytes as with one") {
  CHECK(final_checkpoint<tiny::Model>(0, 2) == final_checkpoint<tiny::Model>(0, 1));
}

TEST_CASE("with batch norm too, threads and resume do not change a bit") {
  const std::string whole = final_checkpoint<tiny::CoupledModel>(0, 1);
  CHECK(final_checkpoint<tiny::CoupledModel>(0, 2) == whole);
  CHECK(final_checkpoint<tiny::CoupledModel>(20, 2) == whole);
}

TEST_CASE("training lowers the loss") {
  tiny::Network<> net(sma::Seed{3}, {.threads = 2});
  tiny::Data data;
  auto options = tiny::options("", 150);
  options.evaluate_every = 0;
  sma::Trainer<tiny::Network<>, tiny::Data> trainer(net, data, options);
  const double before = trainer.evaluate(sma::Split::test).loss;
  trainer.run();
  CHECK(trainer.evaluate(sma::Split::test).loss < before);
}

TEST_CASE("a killed run leaves checkpoints that load, twenty times") {
  const tiny::Directory directory;
  sma::RandomSequence random(5, 5);
  int loaded = 0;
  for (int round = 0; round < 20; ++round) {
    for (const char* name : {"/last.safetensors", "/best.safetensors"})
      std::filesystem::remove(directory.path() + name);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      tiny::Network<> net(sma::Seed{3});
      tiny::Data data;
      auto options = tiny::options(directory.path(), 1000000);
      options.evaluate_every = 1;
      options.batch = 2;
      options.evaluate_limit = 2;
      options.overwrite = true;
      sma::Trainer<tiny::Network<>, tiny::Data> trainer(net, data, options);
      trainer.run();
      ::_exit(0);
    }
    while (!std::filesystem::exists(directory.path() + "/last.safetensors")) ::usleep(1000);
    ::usleep(static_cast<useconds_t>(random.uniform() * 60000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    for (const char* name : {"/last.safetensors", "/best.safetensors"}) {
      if (!std::filesystem::exists(directory.path() + name)) continue;
      tiny::Network<> net(sma::Seed{1});
      sma::AdamW<tiny::Network<>> optimizer(net);
      CHECK(sma::load_checkpoint(net, optimizer, directory.path() + name).step > 0);
      ++loaded;
    }
  }
  CHECK(loaded == 40);
}

TEST_CASE("a loss that is not finite ends the run with one message and leaves the checkpoint alone") {
  const tiny::Directory directory;
  tiny::Network<> net(sma::Seed{3});
  tiny::Data data;
  sma::Trainer<tiny::Network<>, tiny::Data> first(net, data, tiny::options(directory.path(), 10));
  first.run();
  const std::string before = tiny::content_of(first.last_path());
  auto longer = tiny::options(directory.path(), 40);
  longer.change_recipe = true;
  sma::Trainer<tiny::Network<>, tiny::Data> second(net, data, longer);
  second.resume(second.last_path());
  for (auto& weight : net.parameters()) weight = std::numeric_limits<float>::quiet_NaN();
  const std::string message = message_of([&] { second.run(); });
  CHECK(message.find("training step 11: found loss nan") != std::string::npos);
  CHECK(message.find("expected finite numbers") != std::string::npos);
  CHECK(tiny::content_of(first.last_path()) == before);
}

TEST_CASE("a checkpoint of another model is refused by name, and nothing changes") {
  const tiny::Directory directory;
  const std::string path = directory.path() + "/other.safetensors";
  tiny::Network<Wider> other(sma::Seed{1});
  sma::save_weights(other, path);
  tiny::Network<> net(sma::Seed{3});
  const std::vector<float> before(net.parameters().begin(), net.parameters().end());
  const std::string message = message_of([&] { sma::load_weights(net, path); });
  CHECK(message.find(path) != std::string::npos);
  CHECK(message.find("classifier.0.weight") != std::string::npos);
  CHECK(message.find("expected") != std::string::npos);
  CHECK(std::equal(before.begin(), before.end(), net.parameters().begin()));

  tiny::Network<tiny::CoupledModel> coupled(sma::Seed{1});
  sma::save_weights(coupled, path);
  CHECK(message_of([&] { sma::load_weights(net, path); }).find("a checkpoint of another model") !=
        std::string::npos);
}

TEST_CASE("a run with another seed does not resume") {
  const tiny::Directory directory;
  tiny::Network<> net(sma::Seed{3});
  tiny::Data data;
  auto options = tiny::options(directory.path(), 10);
  sma::Trainer<tiny::Network<>, tiny::Data>(net, data, options).run();
  options.seed = 2;
  sma::Trainer<tiny::Network<>, tiny::Data> other(net, data, options);
  CHECK(message_of([&] { other.resume(other.last_path()); }).find("expected --seed 2") != std::string::npos);
}

TEST_CASE("a log on a full disk ends the run with one message") {
  tiny::Network<> net(sma::Seed{3});
  tiny::Data data;
  auto options = tiny::options("", 10);
  options.log_file = "/dev/full";
  options.log_every = 1;
  sma::Trainer<tiny::Network<>, tiny::Data> trainer(net, data, options);
  CHECK(message_of([&] { trainer.run(); }).find("/dev/full") != std::string::npos);
}
