/// A trainer's long runs: options, directories and logs that are others', resuming, stopping, being killed.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>
#include <sma/train/stop_signals.hpp>

#include "tiny_task.hpp"

namespace {

namespace fs = std::filesystem;
using tiny::content_of;
using tiny::lines_of;
using tiny::member;
using tiny::message_of;

bool has(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos && text.find('\n') == std::string::npos) return true;
  MESSAGE(text);
  return false;
}

void put(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::string train(const sma::TrainerOptions& options, bool resumes = false, tiny::Hooked data = {}) {
  tiny::SmallNetwork net(sma::Seed{3});
  return message_of([&] {
    tiny::SmallTrainer trainer(net, data, options);
    if (resumes) trainer.resume();
    trainer.run();
  });
}

sma::TrainerOptions options_in(const std::string& directory, sma::Index steps) {
  auto o = tiny::options(directory, steps);
  o.log_file = directory + "/log.jsonl";
  o.log_every = 4;
  o.evaluate_every = 6;
  return o;
}

/// What is written to stderr while it lives.
class Stderr {
 public:
  explicit Stderr(const std::string& path) : path_(path), before_(::dup(STDERR_FILENO)) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    ::dup2(file, STDERR_FILENO);
    ::close(file);
  }
  ~Stderr() { restore(); }
  Stderr(const Stderr&) = delete;
  Stderr& operator=(const Stderr&) = delete;
  std::string text() {
    restore();
    return content_of(path_);
  }

 private:
  void restore() {
    if (before_ < 0) return;
    ::dup2(before_, STDERR_FILENO);
    ::close(std::exchange(before_, -1));
  }
  std::string path_;
  int before_;
};

/// The lines of a log without their times.
std::vector<std::string> timeless(const std::string& path) {
  std::vector<std::string> out;
  for (std::string line : lines_of(path)) {
    const std::size_t begin = line.find(",\"tokens_per_second\"");
    if (begin != std::string::npos) line.erase(begin, line.find(",\"activation\"") - begin);
    out.push_back(line);
  }
  return out;
}

/// The exit status of a process that does `action`.
template <class Action>
pid_t start(const Action& action) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    try {
      ::_exit(action());
    } catch (...) {
      ::_exit(99);
    }
  }
  return child;
}
int end_of(pid_t child) {
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

void wait_for(const std::string& path) {
  for (int i = 0; i < 10000 && !fs::exists(path); ++i) ::usleep(1000);
  REQUIRE(fs::exists(path));
}

}  // namespace

TEST_CASE("an option that makes no sense is one sentence before anything runs") {
  using O = sma::TrainerOptions;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  const auto refused = [](const auto& set) {
    const tiny::Directory directory;
    O o = options_in(directory.path() + "/new", 3);
    set(o);
    const std::string message = train(o);
    CHECK(!fs::exists(directory.path() + "/new"));
    return message;
  };
  using Member = std::function<void(O&, double)>;
  const std::map<std::string, Member> reals{
      {"minutes", [](O& o, double x) { o.minutes = x; }},
      {"schedule.peak", [](O& o, double x) { o.schedule.peak = x; }},
      {"schedule.warmup", [](O& o, double x) { o.schedule.warmup = x; }},
      {"schedule.initial", [](O& o, double x) { o.schedule.initial = x; }},
      {"schedule.power", [](O& o, double x) { o.schedule.power = x; }},
      {"schedule.last", [](O& o, double x) { o.schedule.last = x; }},
      {"schedule.total",
       [](O& o, double x) {
         o.steps = 0;
         o.minutes = 1;
         o.schedule.total = x;
       }},
      {"clip", [](O& o, double x) { o.clip = x; }},
      {"adam.beta1", [](O& o, double x) { o.adam.beta1 = x; }},
      {"adam.beta2", [](O& o, double x) { o.adam.beta2 = x; }},
      {"adam.epsilon", [](O& o, double x) { o.adam.epsilon = x; }},
      {"adam.weight_decay", [](O& o, double x) { o.adam.weight_decay = x; }},
      {"auxiliary.load_balance", [](O& o, double x) { o.auxiliary.load_balance = x; }},
      {"auxiliary.z_loss", [](O& o, double x) { o.auxiliary.z_loss = x; }},
      {"auxiliary.budget", [](O& o, double x) { o.auxiliary.budget = x; }},
      {"auxiliary.budget_target", [](O& o, double x) { o.auxiliary.budget_target = x; }},
      {"auxiliary_from", [](O& o, double x) { o.auxiliary_from = x; }},
  };
  for (const auto& [name, set] : reals)
    for (const double value : {nan, infinity, -infinity, -1.0, 1e300})
      CHECK(has(refused([&](O& o) { set(o, value); }),
                "sma::TrainerOptions: found " + name + " " + sma::number_text(value) + ", expected "));
  for (const char* name : {"schedule.peak", "schedule.power", "schedule.total", "adam.epsilon"})
    CHECK(has(refused([&](O& o) { reals.at(name)(o, 0); }), std::string("found ") + name + " 0, expected "));
  for (const char* name : {"adam.beta1", "adam.beta2"})
    CHECK(has(refused([&](O& o) { reals.at(name)(o, 1); }), std::string("found ") + name + " 1, expected "));

  const std::map<std::string, std::pair<sma::Index O::*, bool>> counts{
      {"steps", {&O::steps, true}},
      {"stop_after", {&O::stop_after, true}},
      {"batch", {&O::batch, false}},
      {"accumulation", {&O::accumulation, false}},
      {"evaluate_every", {&O::evaluate_every, true}},
      {"evaluate_limit", {&O::evaluate_limit, true}},
      {"evaluate_batch", {&O::evaluate_batch, false}},
      {"log_every", {&O::log_every, false}},
  };
  for (const auto& [name, of] : counts) {
    const auto& [pointer, takes_zero] = of;
    std::vector<sma::Index> bad{-1, sma::Index{1} << 60, std::numeric_limits<sma::Index>::min()};
    if (!takes_zero) bad.push_back(0);
    for (const sma::Index value : bad)
      CHECK(has(refused([&, at = pointer](O& o) { o.*at = value; }),
                "sma::TrainerOptions: found " + name + " " + std::to_string(value) + ", expected "));
  }
  CHECK(has(refused([](O& o) { o.steps = 0; }), "found neither steps nor minutes"));
  CHECK(has(refused([](O& o) { o.log_file = std::string("a\0b", 3); }),
            "found log_file a path with a zero byte"));

  CHECK(has(refused([](O& o) {
              o.facts = {{"data", "\xff"}};
            }),
            "found a fact 'data' of '\\xff', expected UTF-8"));
  CHECK(has(refused([](O& o) {
              o.facts = {{"steps", "7"}};
            }),
            "found a fact named 'steps', expected another name"));

  // Zeros that mean something.
  auto o = tiny::options("", 2);
  o.clip = o.schedule.warmup = o.schedule.initial = o.adam.weight_decay = o.adam.beta1 = 0;
  o.evaluate_every = o.evaluate_limit = o.stop_after = 0;
  CHECK(train(o) == "");
}

TEST_CASE("one run at a time has a directory and a log, and the message says whose it is") {
  const tiny::Directory directory;
  const auto options = options_in(directory.path() + "/run", 6);
  tiny::Hooked data;
  std::string same_directory;
  std::string same_log;
  std::string resumed;
  data.after_next = [&](auto&, auto&) {
    if (!same_directory.empty()) return;
    auto other = options;
    other.log_file = "";
    same_directory = train(other);
    other = options;
    other.directory = directory.path() + "/another";
    same_log = train(other);
    resumed = train(options, true);
  };
  CHECK(train(options, false, data) == "");
  CHECK(has(same_directory, options.directory + ": found a run that goes on (process " +
                                std::to_string(::getpid()) + " on "));
  CHECK(has(same_directory, " UTC), expected a directory without one"));
  CHECK(has(same_log,
            options.log_file + ": found a log that another run is writing, expected one of this run's own"));
  CHECK(has(resumed, "found a run that goes on"));
  CHECK(!fs::exists(options.directory + "/run.lock"));

  const pid_t child = start([&] {
    auto again = options;
    again.overwrite = true;
    tiny::Hooked slow;
    slow.after_next = [&](auto&, auto&) {
      put(directory.path() + "/began", "");
      ::pause();
    };
    return train(again, false, slow).empty() ? 0 : 1;
  });
  wait_for(directory.path() + "/began");
  CHECK(has(train(options), "found a run that goes on (process " + std::to_string(child) + " on "));
  ::kill(child, SIGKILL);
  CHECK(WIFSIGNALED(end_of(child)));
  CHECK(fs::exists(options.directory + "/run.lock"));
  auto again = options;
  again.overwrite = true;
  CHECK(train(again) == "");  // a dead process has no lock
}

TEST_CASE("a directory that is replaced under a run is taken again, or left to the run that has it") {
  const tiny::Directory directory;
  const auto options = options_in(directory.path() + "/run", 12);
  tiny::Hooked data;
  int calls = 0;
  data.after_next = [&](auto&, auto&) {
    if (++calls != 2) return;
    fs::rename(options.directory, directory.path() + "/moved");
    fs::create_directory(options.directory);
  };
  CHECK(train(options, false, data) == "");
  CHECK(fs::exists(options.directory + "/last.safetensors"));

  fs::remove_all(options.directory);
  calls = 0;
  sma::detail::RunLock others;
  data.after_next = [&](auto&, auto&) {
    if (++calls != 2) return;
    fs::rename(options.directory, directory.path() + "/moved_too");
    fs::create_directory(options.directory);
    others.take(options.directory);
  };
  CHECK(has(train(options, false, data), "found a run that goes on"));
  CHECK(!fs::exists(options.directory + "/last.safetensors"));
}

TEST_CASE("an old run is overwritten by those alone who say so") {
  const tiny::Directory directory;
  auto options = options_in(directory.path() + "/run", 6);
  options.log_file = directory.path() + "/log.jsonl";
  CHECK(train(options) == "");
  const std::string last = content_of(options.directory + "/last.safetensors");
  const std::string log = content_of(options.log_file);
  tiny::Hooked data;
  bool trained = false;
  data.after_next = [&](auto&, auto&) { trained = true; };
  CHECK(has(train(options, false, data),
            options.directory + ": found a run (last.safetensors), expected none: "));
  auto other = options;
  other.directory = directory.path() + "/another";
  CHECK(has(train(other, false, data), options.log_file + ": found the log of another run ("));
  CHECK(!trained);
  CHECK(content_of(options.directory + "/last.safetensors") == last);
  CHECK(content_of(options.log_file) == log);

  // Resuming another run's checkpoint does not make this directory its own.
  fs::copy(options.directory, other.directory + "2");
  tiny::SmallNetwork net(sma::Seed{3});
  tiny::Hooked fresh;
  other.directory += "2";
  other.log_file = "";
  tiny::SmallTrainer trainer(net, fresh, other);
  trainer.resume(options.directory + "/last.safetensors");
  CHECK(has(message_of([&] { trainer.run(); }), "found a run (last.safetensors)"));

  options.overwrite = true;
  options.seed = 5;
  CHECK(train(options) == "");
  CHECK(content_of(options.directory + "/last.safetensors") != last);
  CHECK(lines_of(options.log_file).size() == 3);

  // What is overwritten is gone at once: nobody resumes it in place of the new run.
  data.after_next = [](auto&, auto&) { throw sma::Error("broken"); };
  CHECK(train(options, false, data) == "broken");
  CHECK(!fs::exists(options.directory + "/last.safetensors"));
  CHECK(!fs::exists(options.directory + "/best.safetensors"));
  CHECK(has(train(options, true), "last.safetensors"));
}

TEST_CASE("a directory or a log that cannot be written is said before training") {
  const tiny::Directory directory;
  put(directory.path() + "/file", "");
  tiny::Hooked data;
  bool trained = false;
  data.after_next = [&](auto&, auto&) { trained = true; };
  auto options = options_in(directory.path() + "/file/run", 3);
  options.log_file = "";
  CHECK(has(train(options, false, data), directory.path() + "/file/run: cannot make this directory: "));
  options.directory = "";
  options.log_file = directory.path() + "/file/log.jsonl";
  CHECK(has(train(options, false, data), directory.path() + "/file/log.jsonl: cannot open the log: "));
  options.log_file = directory.path();
  CHECK(has(train(options, false, data), directory.path() + ": cannot open the log: Is a directory"));
  options.log_file = "";
  options.directory = "/proc/self";
  CHECK(has(train(options, false, data),
            "/proc/self/run.lock: cannot write into the directory of checkpoints: "));
  CHECK(!trained);
}

TEST_CASE("a run resumes with its own recipe alone, unless it is told to change it") {
  const tiny::Directory directory;
  auto options = options_in(directory.path(), 12);
  options.stop_after = 6;
  options.facts = {{"data", "20 examples"}};
  CHECK(train(options) == "");
  options.stop_after = 0;
  const std::string last = content_of(directory.path() + "/last.safetensors");
  const std::string log = content_of(options.log_file);

  const auto refused = [&](const auto& change) {
    auto other = options;
    change(other);
    tiny::SmallNetwork net(sma::Seed{4});
    const std::vector<float> weights(net.parameters().begin(), net.parameters().end());
    tiny::Hooked data;
    tiny::SmallTrainer trainer(net, data, other);
    const std::string message = message_of([&] { trainer.resume(); });
    CHECK(std::equal(weights.begin(), weights.end(), net.parameters().begin()));
    CHECK(data.index() == 0);
    CHECK(trainer.state().step == 0);
    CHECK(!fs::exists(directory.path() + "/run.lock"));
    return message;
  };
  const std::string path = directory.path() + "/last.safetensors: ";
  using O = sma::TrainerOptions;
  CHECK(refused([](O& o) { o.steps = 20; }) ==
        path +
            "found steps 12; expected steps 20, unless the recipe is to change "
            "(TrainerOptions::change_recipe, --change-recipe)");
  CHECK(has(refused([](O& o) {
              o.schedule.peak = 0.5;
              o.batch = 7;
            }),
            "found batch 9, learning rate 0.01; expected batch 7, learning rate 0.5"));
  CHECK(has(refused([](O& o) { o.accumulation = 3; }), "found accumulation 2; expected accumulation 3"));
  CHECK(has(refused([](O& o) { o.schedule.warmup = 6; }), "schedule.warmup"));
  CHECK(has(refused([](O& o) { o.schedule.decay = sma::Schedule::Decay::cosine; }), "schedule.decay linear"));
  CHECK(has(refused([](O& o) { o.clip = 2; }), "clip 1"));
  CHECK(has(refused([](O& o) { o.adam.weight_decay = 0; }), "adam.weight_decay 0.01"));
  CHECK(has(refused([](O& o) { o.auxiliary.budget = 1; }), "auxiliary.budget 0"));
  CHECK(has(refused([](O& o) { o.ignored_target = 3; }),
            "found ignored target none; expected ignored target 3"));
  CHECK(has(refused([](O& o) {
              o.facts = {{"data", "30 examples"}};
            }),
            "found data 20 examples; expected data 30 examples"));
  CHECK(has(refused([](O& o) { o.facts = {}; }), "found data 20 examples; expected data none"));
  CHECK(has(refused([](O& o) { o.seed = 2; }), "found a run with seed 1, expected --seed 2"));
  CHECK(has(refused([](O& o) {
              o.steps = 0;
              o.minutes = 1;
            }),
            "found minutes none, schedule.total none, steps 12; expected minutes 1, "));
  {
    tiny::SmallNetwork net(sma::Seed{4});
    tiny::Hooked data;
    sma::Trainer<tiny::SmallNetwork, tiny::Hooked, sma::RAdam<tiny::SmallNetwork>> trainer(net, data,
                                                                                           options);
    CHECK(has(message_of([&] { trainer.resume(); }), "found optimizer AdamW; expected optimizer RAdam"));
  }
  CHECK(content_of(directory.path() + "/last.safetensors") == last);
  CHECK(content_of(options.log_file) == log);

  // What does not decide the weights may change.
  auto other = options;
  other.evaluate_every = 5;
  other.evaluate_batch = 3;
  other.log_every = 2;
  other.stop_after = 8;
  CHECK(train(other, true) == "");
  other = options;
  other.steps = 10;
  other.seed = 2;
  other.change_recipe = true;
  CHECK(train(other, true) == "");
  CHECK(has(train(options, true), "found a run with seed 2, expected --seed 1"));
}

TEST_CASE("a checkpoint without a recipe, of an earlier version, resumes") {
  const tiny::Directory directory;
  auto options = options_in(directory.path(), 12);
  options.stop_after = 6;
  CHECK(train(options) == "");
  const std::string path = directory.path() + "/last.safetensors";
  {
    tiny::SmallNetwork net(sma::Seed{1});
    sma::AdamW<tiny::SmallNetwork> optimizer(net);
    auto state = sma::load_checkpoint(net, optimizer, path);
    CHECK(!state.notes.empty());
    state.notes.clear();
    sma::save_checkpoint(net, optimizer, state, path);
  }
  CHECK(content_of(path).find("recipe") == std::string::npos);
  options.stop_after = 0;
  options.steps = 14;
  options.quiet = false;
  Stderr captured(directory.path() + "/stderr");
  CHECK(train(options, true) == "");
  CHECK(captured.text().starts_with(path + ": found no recipe"));
}

TEST_CASE("a checkpoint whose counters make no sense is refused, and nothing changes") {
  const tiny::Directory directory;
  auto options = options_in(directory.path(), 12);
  options.stop_after = 6;
  CHECK(train(options) == "");
  const std::string path = directory.path() + "/last.safetensors";
  tiny::SmallNetwork net(sma::Seed{1});
  sma::AdamW<tiny::SmallNetwork> optimizer(net);
  const auto state = sma::load_checkpoint(net, optimizer, path);
  const auto refused = [&](const auto& spoil) {
    auto spoilt = state;
    spoil(spoilt);
    sma::save_checkpoint(net, optimizer, spoilt, path);
    tiny::SmallNetwork other(sma::Seed{4});
    const std::vector<float> weights(other.parameters().begin(), other.parameters().end());
    tiny::Hooked data;
    tiny::SmallTrainer trainer(other, data, options);
    const std::string message = message_of([&] { trainer.resume(); });
    CHECK(std::equal(weights.begin(), weights.end(), other.parameters().begin()) == !message.empty());
    return message;
  };
  CHECK(has(refused([](auto& s) { s.step = -1; }),
            path + ": tensor 'training.counters': found step -1, expected 0 to 2^53"));
  CHECK(has(refused([](auto& s) { s.elapsed_seconds = std::nan(""); }), "found nan seconds of training"));
  CHECK(has(refused([](auto& s) { s.elapsed_seconds = -1; }), "found -1 seconds of training"));
  for (const char* window : {"", "1 2 3", "1 2 nan 3 4 5 6 7", "x"})
    CHECK(has(refused([&](auto& s) { s.notes["log.window"] = window; }),
              path + ": metadata 'log.window': found '" + window + "', expected 8 numbers"));
  CHECK(refused([](auto&) {}) == "");
}

TEST_CASE("resuming without a directory says that there is none") {
  tiny::SmallNetwork net(sma::Seed{3});
  tiny::Hooked data;
  tiny::SmallTrainer trainer(net, data, tiny::options("", 3));
  const std::string expected =
      "sma::Trainer: found no directory of checkpoints, expected TrainerOptions::directory (--save)";
  CHECK(message_of([&] { trainer.resume(); }) == expected);
  CHECK(message_of([&] { trainer.resume(trainer.last_path()); }) == expected);
}

TEST_CASE("a run that is at its end makes no update, evaluates nothing and says so") {
  const tiny::Directory directory;
  const auto options = options_in(directory.path(), 6);
  CHECK(train(options) == "");
  const std::string last = content_of(directory.path() + "/last.safetensors");
  const std::string log = content_of(options.log_file);
  Stderr captured(directory.path() + "/stderr");
  CHECK(train(options, true) == "");
  CHECK(captured.text() ==
        "sma::Trainer: found a run of 6 updates that is at its end, so that no update is made\n");
  CHECK(content_of(directory.path() + "/last.safetensors") == last);
  CHECK(content_of(options.log_file) == log);
}

TEST_CASE("a resumed run's log goes on after its checkpoint: later lines and half ones are cut") {
  const tiny::Directory directory;
  auto options = options_in(directory.path(), 12);
  options.stop_after = 6;
  CHECK(train(options) == "");
  const auto before = lines_of(options.log_file);  // 4, 6, and the evaluation at 6
  REQUIRE(before.size() == 3);
  const std::string kept = content_of(options.log_file);
  const std::string test =
      R"({"kind":"eval","step":6,"split":"test","loss":1,"accuracy":0,"rows":1,"activation":[]})"
      "\n";
  const std::string later = R"({"kind":"train","step":8,"loss":1})"
                            "\n";
  const std::string half = R"({"kind":"train","step":6,"lo)";
  const std::string last = content_of(directory.path() + "/last.safetensors");
  options.stop_after = 0;
  std::vector<std::string> whole;
  for (const std::string& tail :
       {std::string(), test, later, half, test + later + half, later + kept, half + half}) {
    put(options.log_file, kept + tail);
    put(directory.path() + "/last.safetensors", last);
    CHECK(train(options, true) == "");
    const auto lines = lines_of(options.log_file);
    CHECK(content_of(options.log_file).starts_with(kept));
    std::vector<std::string> steps;
    for (const std::string& line : lines) steps.push_back(member(line, "kind") + member(line, "step"));
    CHECK(steps == std::vector<std::string>{"\"train\"4", "\"train\"6", "\"eval\"6", "\"train\"8",
                                            "\"train\"12", "\"eval\"12"});
  }
}

TEST_CASE("the best checkpoint is written before the last, which speaks of it") {
  const tiny::Directory directory;
  const auto options = options_in(directory.path(), 6);
  tiny::Hooked data;
  data.after_next = [&](auto&, auto&) { fs::create_directory(directory.path() + "/last.safetensors"); };
  CHECK(has(train(options, false, data), "last.safetensors: found a directory"));
  tiny::SmallNetwork net(sma::Seed{1});
  sma::AdamW<tiny::SmallNetwork> optimizer(net);
  CHECK(sma::load_checkpoint(net, optimizer, directory.path() + "/best.safetensors").step == 6);
}

TEST_CASE("a run killed at any moment and resumed has the log and the checkpoints of one that was not") {
  const tiny::Directory directory;
  const auto whole = options_in(directory.path() + "/whole", 40);
  CHECK(train(whole) == "");
  auto options = options_in(directory.path() + "/killed", 40);
  options.overwrite = true;  // before its first checkpoint there is nothing to resume
  sma::RandomSequence random(5, 6);
  int kills = 0;
  for (;;) {
    const pid_t child = start([&] {
      tiny::Hooked slow;
      slow.after_next = [](auto&, auto&) { ::usleep(1500); };
      return train(options, fs::exists(options.directory + "/last.safetensors"), slow).empty() ? 0 : 1;
    });
    ::usleep(static_cast<useconds_t>(10000 + random.uniform() * (50000 + 5000 * kills)));
    ::kill(child, SIGKILL);
    const int status = end_of(child);
    if (WIFEXITED(status)) {
      CHECK(WEXITSTATUS(status) == 0);
      break;
    }
    REQUIRE(++kills < 1000);
  }
  CHECK(kills > 1);
  for (const char* name : {"/last.safetensors", "/best.safetensors"})
    CHECK(content_of(options.directory + name) == content_of(whole.directory + name));
  CHECK(timeless(options.log_file) == timeless(whole.log_file));
}

TEST_CASE("a run that is asked to stop finishes its update and saves, and goes on as if it had not stopped") {
  const tiny::Directory directory;
  const auto whole = options_in(directory.path() + "/whole", 20);
  CHECK(train(whole) == "");
  // 5: nothing is due; 6: the evaluation is; 20: the end.
  for (const int stop : {1, 5, 6, 20}) {
    auto options = options_in(directory.path() + "/" + std::to_string(stop), 20);
    tiny::SmallNetwork net(sma::Seed{3});
    tiny::Hooked data;
    tiny::SmallTrainer trainer(net, data, options);
    int calls = 0;
    data.after_next = [&](auto&, auto&) {
      if (++calls == 2 * stop - 1) trainer.request_stop();
    };
    int evaluated = 0;
    data.after_example = [&](sma::Split, sma::Index, auto&, auto&) { ++evaluated; };
    trainer.run();
    CHECK(trainer.stopped());
    CHECK(trainer.state().step == stop);
    CHECK(evaluated == (stop == 20 ? 3 * 20 : 0));
    tiny::SmallNetwork again(sma::Seed{4});
    tiny::Hooked more;
    tiny::SmallTrainer resumed(again, more, options);
    resumed.resume();
    CHECK(resumed.state().step == stop);
    resumed.run();
    CHECK(!resumed.stopped());
    CHECK(resumed.state().step == 20);
    for (const char* name : {"/last.safetensors", "/best.safetensors"})
      CHECK(content_of(options.directory + name) == content_of(whole.directory + name));
    std::vector<std::string> steps;
    for (const std::string& line : lines_of(options.log_file))
      if (member(line, "kind") == "\"eval\"") steps.push_back(member(line, "step"));
    CHECK(steps == std::vector<std::string>{"6", "12", "18", "20"});
  }
}

TEST_CASE("a stop in the middle of an evaluation leaves it to the resumed run") {
  const tiny::Directory directory;
  const auto whole = options_in(directory.path() + "/whole", 20);
  CHECK(train(whole) == "");
  const auto options = options_in(directory.path() + "/stopped", 20);
  tiny::SmallNetwork net(sma::Seed{3});
  tiny::Hooked data;
  tiny::SmallTrainer trainer(net, data, options);
  data.after_example = [&](sma::Split, sma::Index i, auto&, auto&) {
    if (i == 2) trainer.request_stop();
    if (i == 7) throw sma::Error("another batch");
  };
  trainer.run();
  CHECK(trainer.state().step == 6);
  CHECK(trainer.state().best == -1.0);
  CHECK(train(options, true) == "");
  for (const char* name : {"/last.safetensors", "/best.safetensors"})
    CHECK(content_of(options.directory + name) == content_of(whole.directory + name));
}

TEST_CASE("stop_after leaves the best accuracy to the evaluations that were due") {
  const tiny::Directory directory;
  const auto whole = options_in(directory.path() + "/whole", 20);
  CHECK(train(whole) == "");
  for (const int stop : {5, 6, 19}) {
    auto options = options_in(directory.path() + "/" + std::to_string(stop), 20);
    options.stop_after = stop;
    tiny::Hooked data;
    int examples = 0;  // of the validation; at the step that is not due, all would be right
    data.after_example = [&](sma::Split, sma::Index, auto&, auto&) { ++examples; };
    CHECK(train(options, false, data) == "");
    CHECK(examples == stop / 6 * 20);
    options.stop_after = 0;
    CHECK(train(options, true) == "");
    for (const char* name : {"/last.safetensors", "/best.safetensors"})
      CHECK(content_of(options.directory + name) == content_of(whole.directory + name));
  }
}

TEST_CASE("signals stop a run, a second one ends the process, ignored ones stay ignored") {
  const tiny::Directory directory;
  const auto signalled = [&](int number, bool ignored, int times) {
    const std::string began = directory.path() + "/began";
    fs::remove(began);
    const pid_t child = start([&] {
      if (ignored) ::signal(number, SIG_IGN);
      auto options = options_in(directory.path() + "/run", 4);
      options.overwrite = true;
      tiny::SmallNetwork net(sma::Seed{3});
      tiny::Hooked data;
      tiny::SmallTrainer trainer(net, data, options);
      data.after_next = [&](auto&, auto&) {
        put(began, "");
        ::usleep(times == 1 ? 100000 : 5000000);
        if (times > 1) ::usleep(5000000);
      };
      const sma::StopSignals signals(trainer);
      if (message_of([&] { const sma::StopSignals another(trainer); }).empty()) return 98;
      trainer.run();
      if (trainer.stopped() != (signals.received() != 0)) return 97;
      return 10 * static_cast<int>(trainer.state().step) + (signals.received() == number ? 1 : 0);
    });
    wait_for(began);
    for (int i = 0; i < times; ++i) {
      ::kill(child, number);
      ::usleep(20000);
    }
    return end_of(child);
  };
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    const int once = signalled(number, false, 1);
    CHECK(WIFEXITED(once));
    CHECK(WEXITSTATUS(once) == 11);
    const int twice = signalled(number, false, 2);
    CHECK(WIFSIGNALED(twice));
    CHECK(WTERMSIG(twice) == number);
  }
  const int ignored = signalled(SIGHUP, true, 1);
  CHECK(WIFEXITED(ignored));
  CHECK(WEXITSTATUS(ignored) == 40);
}

TEST_CASE("the library installs no handlers, and those of StopSignals go with it") {
  tiny::SmallNetwork net(sma::Seed{3});
  tiny::Hooked data;
  tiny::SmallTrainer trainer(net, data, tiny::options("", 1));
  const auto handler = [] {
    struct sigaction action {};
    ::sigaction(SIGTERM, nullptr, &action);
    return action.sa_handler;
  };
  const auto before = handler();
  bool changed = false;
  data.after_next = [&](auto&, auto&) { changed = changed || handler() != before; };
  trainer.run();
  CHECK(!changed);
  {
    const sma::StopSignals signals(trainer);
    CHECK((handler() != before));
  }
  CHECK((handler() == before));
}

TEST_CASE("where stderr is no terminal, progress is whole lines, and few") {
  const tiny::Directory directory;
  auto options = tiny::options("", 40);
  options.quiet = false;
  options.log_every = 1;
  Stderr captured(directory.path() + "/stderr");
  tiny::Hooked data;
  int calls = 0;
  data.after_next = [&](auto&, auto&) {
    if (++calls == 70) throw sma::Error("broken");
  };
  CHECK(train(options, false, data) == "broken");
  const std::string text = captured.text();
  CHECK(text.find('\r') == std::string::npos);
  CHECK(text.find("\n\n") == std::string::npos);
  CHECK(text.ends_with("\n"));
  CHECK(!text.starts_with("\n"));
  CHECK(std::count(text.begin(), text.end(), '\n') < 10);  // 34 updates, 3 evaluations
  CHECK(text.find("step 30  validation loss ") != std::string::npos);
}

TEST_CASE("the time left is by the pace of this run, not of what it resumed") {
  const tiny::Directory directory;
  auto options = options_in(directory.path(), 1000);
  options.evaluate_every = 0;
  options.stop_after = 900;
  options.accumulation = 1;
  CHECK(train(options) == "");
  options.stop_after = 901;
  options.log_every = 1;
  options.quiet = false;
  tiny::Hooked slow;
  slow.after_next = [](auto&, auto&) { ::usleep(30000); };
  {
    Stderr captured(directory.path() + "/stderr");
    CHECK(train(options, true, slow) == "");
    CHECK(captured.text().find("  0:00 left") != std::string::npos);  // to the update at which it leaves
  }
  options.stop_after = 0;
  tiny::Hooked once = slow;
  int calls = 0;
  once.after_next = [&](auto&, auto&) {
    ::usleep(30000);
    if (++calls == 2) throw sma::Error("enough");
  };
  Stderr captured(directory.path() + "/stderr");
  CHECK(train(options, true, once) == "enough");
  const std::string text = captured.text();
  CHECK(text.find(" left") != std::string::npos);
  CHECK(text.find("  0:00 left") == std::string::npos);  // 98 updates of 30 ms each
}
