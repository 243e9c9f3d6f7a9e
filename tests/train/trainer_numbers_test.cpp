/// What a trainer computes and says: its updates against the same by hand, its evaluations, its log, its examples.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <thread>

#include "tiny_task.hpp"

namespace {

using tiny::member;
using tiny::message_of;

double number(const std::string& line, const std::string& name) {
  return std::strtod(member(line, name).c_str(), nullptr);
}

std::vector<std::string> of_kind(const std::vector<std::string>& lines, const std::string& kind) {
  std::vector<std::string> out;
  std::copy_if(lines.begin(), lines.end(), std::back_inserter(out),
               [&](const std::string& line) { return member(line, "kind") == "\"" + kind + "\""; });
  return out;
}

bool near(double a, double b) { return std::abs(a - b) <= 2e-5 * std::max(std::abs(a), std::abs(b)) + 1e-12; }

sma::TrainerOptions busy_options(const std::string& directory) {
  auto o = tiny::options(directory, 12);
  o.clip = 0.05;
  o.auxiliary = {.load_balance = 0.05, .z_loss = 0.02, .budget = 0.3, .budget_target = 0.2};
  o.schedule.peak = 0.03;
  o.schedule.warmup = 3;
  return o;
}

/// What one update did.
struct ByHand {
  double loss = 0, correct = 0, counted = 0, norm = 0, rate = 0, active = 0, steps = 0;
};

/// The trainer's updates, all or some, with nothing of the trainer.
std::vector<ByHand> train_by_hand(tiny::SmallNetwork& net, const sma::TrainerOptions& o,
                                  const sma::CrossEntropy& loss = {}, tiny::Hooked data = {},
                                  sma::Index updates = -1) {
  std::vector<ByHand> out;
  sma::AdamW<tiny::SmallNetwork> optimizer(net, o.adam);
  auto schedule = o.schedule;
  schedule.total = static_cast<double>(o.steps);
  net.settings().seed = o.seed;
  net.settings().auxiliary = o.auxiliary;
  tiny::Hooked::Input x;
  std::vector<std::int32_t> targets;
  for (sma::Index step = 0; step < (updates < 0 ? o.steps : updates); ++step) {
    ByHand update;
    net.zero_gradients();
    for (sma::Index a = 0; a < o.accumulation; ++a) {
      x.clear();
      targets.clear();
      data.next(o.batch, x, targets);
      net.settings().step = static_cast<std::uint64_t>(step * o.accumulation + a);
      net.settings().progress = static_cast<double>(step) / static_cast<double>(o.steps);
      const auto counted = static_cast<double>(loss.count(targets));
      const double scale = 1.0 / (counted * static_cast<double>(o.accumulation));
      const auto sum = net.accumulate(x, std::span<const std::int32_t>(targets), loss, scale);
      update.loss += sum.loss / scale;
      update.correct += sum.correct;
      update.counted += counted;
      for (const sma::Metric& metric : net.metrics()) {
        if (metric.name.ends_with(".active")) update.active += metric.value;
        if (metric.name.ends_with(".rows")) update.steps += metric.value;
      }
    }
    update.norm = optimizer.gradient_norm();
    update.rate = schedule.at(static_cast<double>(step + 1));
    optimizer.step(update.rate, sma::clip_factor(update.norm, o.clip));
    out.push_back(update);
  }
  return out;
}

struct Sums {
  double loss = 0, correct = 0, active = 0, steps = 0;
};
/// Inference over the first `size` validation examples, `batch` at a time.
Sums evaluate_by_hand(tiny::SmallNetwork& net, const tiny::Hooked& data, sma::Index size, sma::Index batch) {
  Sums out;
  for (sma::Index first = 0; first < size; first += batch) {
    tiny::Hooked::Input x;
    std::vector<std::int32_t> targets;
    for (sma::Index i = first; i < std::min(first + batch, size); ++i)
      data.example(sma::Split::validation, i, x, targets);
    const auto sum = sma::CrossEntropy::evaluate(net.infer(x), targets);
    out.loss += sum.loss;
    out.correct += sum.correct;
    for (const sma::Metric& metric : net.metrics()) {
      if (metric.name.ends_with(".active")) out.active += metric.value;
      if (metric.name.ends_with(".rows")) out.steps += metric.value;
    }
  }
  return out;
}

bool same(std::span<const float> a, std::span<const float> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace

TEST_CASE("Trainer's updates repeated by hand give the same weights, bit for bit") {
  const auto options = busy_options("");
  tiny::SmallNetwork net(sma::Seed{3});
  tiny::Hooked data;
  tiny::SmallTrainer trainer(net, data, options);
  trainer.run();

  tiny::SmallNetwork by_hand(sma::Seed{3});
  const auto updates = train_by_hand(by_hand, options);
  CHECK(same(net.parameters(), by_hand.parameters()));
  CHECK(std::all_of(updates.begin(), updates.end(), [](const ByHand& u) { return u.norm > 0.05; }));

  // None of what makes an update is without effect here.
  auto other = options;
  SUBCASE("clipping") { other.clip = 0; }
  SUBCASE("accumulation") { other.accumulation = 1; }
  SUBCASE("the weights of auxiliary losses") { other.auxiliary = {}; }
  SUBCASE("the schedule") { other.schedule.warmup = 4; }
  SUBCASE("the seed of dropout") { other.seed = 2; }
  tiny::SmallNetwork without(sma::Seed{3});
  train_by_hand(without, other);
  const bool changed = other.clip != options.clip || other.accumulation != options.accumulation ||
                       other.auxiliary.budget != options.auxiliary.budget || other.seed != options.seed ||
                       other.schedule.warmup != options.schedule.warmup;
  CHECK(same(net.parameters(), without.parameters()) == !changed);
}

TEST_CASE("the last line of the schedule is reached at the last update, or `last` is") {
  const sma::Schedule to_zero{.peak = 0.1, .total = 10, .warmup = 2};
  CHECK(to_zero.at(10) == 0.0);
  CHECK(to_zero.at(9) == doctest::Approx(0.1 / 8));
  for (const auto decay : {sma::Schedule::Decay::linear, sma::Schedule::Decay::cosine}) {
    const sma::Schedule s{.peak = 0.1, .total = 10, .warmup = 2, .decay = decay, .last = 0.01};
    CHECK(s.at(2) == doctest::Approx(0.1));
    CHECK(s.at(6) == doctest::Approx(0.055));
    CHECK(s.at(10) == doctest::Approx(0.01));
  }
}

TEST_CASE("evaluate() is an inference pass by hand, over as many examples as it was asked for") {
  tiny::SmallNetwork net(sma::Seed{3});
  tiny::Hooked data;
  tiny::SmallTrainer trainer(net, data, busy_options(""));
  trainer.run();
  for (const sma::Index size : {20, 9}) {
    const sma::Evaluation e = trainer.evaluate(sma::Split::validation, size == 20 ? 0 : size);
    const Sums sums = evaluate_by_hand(net, data, size, 7);
    CHECK(e.loss == sums.loss / static_cast<double>(size));
    CHECK(e.accuracy == sums.correct / static_cast<double>(size));
    CHECK(e.rows == size);
    REQUIRE(e.activation.size() == 1);
    CHECK(e.activation[0] == sums.active / sums.steps);
  }
}

TEST_CASE("best.safetensors is the most accurate evaluation's, and last.safetensors the last one's") {
  const tiny::Directory directory;
  auto options = tiny::options(directory.path(), 12);
  options.evaluate_every = 2;
  options.schedule.peak = 1e-4;
  options.log_file = directory.path() + "/log.jsonl";
  tiny::SmallNetwork net(sma::Seed{3});
  net.parameters().back() = 15;  // class 1's bias: the network says class 1 to all
  tiny::Hooked data;
  const std::vector<sma::Index> right{6, 14, 3, 17, 17, 9};  // of 20, in each evaluation
  std::size_t evaluations = 0;
  data.after_example = [&](sma::Split, sma::Index i, auto&, auto& targets) {
    if (i == 0) ++evaluations;
    targets.back() = i < right.at(evaluations - 1) ? 1 : 0;
  };
  tiny::SmallTrainer trainer(net, data, options);
  trainer.run();
  REQUIRE(evaluations == 6);
  const auto lines = of_kind(tiny::lines_of(options.log_file), "eval");
  REQUIRE(lines.size() == 6);
  for (std::size_t i = 0; i < 6; ++i)
    CHECK(near(number(lines[i], "accuracy"), static_cast<double>(right[i]) / 20));
  for (const bool is_best : {true, false}) {
    tiny::SmallNetwork read(sma::Seed{1});
    sma::AdamW<tiny::SmallNetwork> optimizer(read);
    const auto state =
        sma::load_checkpoint(read, optimizer, is_best ? trainer.best_path() : trainer.last_path());
    CHECK(state.step == (is_best ? 8 : 12));
    CHECK(state.best == 17.0 / 20);
    tiny::SmallNetwork by_hand(sma::Seed{3});
    by_hand.parameters().back() = 15;
    train_by_hand(by_hand, options, {}, {}, state.step);
    CHECK(same(read.parameters(), by_hand.parameters()));
  }
}

TEST_CASE("by bits, the best is the evaluation with the smallest loss, and log and progress say bits") {
  const tiny::Directory directory;
  auto options = tiny::options(directory.path(), 8);
  options.evaluate_every = 2;
  options.schedule.peak = 1e-4;
  options.measure = sma::Measure::bits;
  options.log_file = directory.path() + "/log.jsonl";
  tiny::SmallNetwork net(sma::Seed{3});
  net.parameters().back() = 15;  // class 1's bias: the network says class 1 to all
  tiny::Hooked data;
  const std::vector<sma::Index> right{6, 17, 14, 9};  // of 20, in each evaluation
  std::size_t evaluations = 0;
  data.after_example = [&](sma::Split, sma::Index i, auto&, auto& targets) {
    if (i == 0) ++evaluations;
    targets.back() = i < right.at(evaluations - 1) ? 1 : 0;
  };
  tiny::SmallTrainer trainer(net, data, options);
  trainer.run();
  const auto lines = of_kind(tiny::lines_of(options.log_file), "eval");
  REQUIRE(lines.size() == 4);
  for (const std::string& line : tiny::lines_of(options.log_file))
    CHECK(near(number(line, "bits"), number(line, "loss") / std::log(2.0)));
  CHECK(near(-std::log(trainer.state().best), number(lines[1], "loss")));
  sma::AdamW<tiny::SmallNetwork> optimizer(net);
  CHECK(sma::load_checkpoint(net, optimizer, trainer.best_path()).step == 4);

  options.measure = sma::Measure::accuracy;
  tiny::SmallTrainer other(net, data, options);
  CHECK(message_of([&] { other.resume(); }).find("found measure bits; expected measure none") !=
        std::string::npos);
}

TEST_CASE("each update is in one line of the log, which holds the means since the line before") {
  const tiny::Directory directory;
  auto options = busy_options("");
  options.steps = 10;
  options.log_every = 4;
  options.evaluate_every = 3;
  options.log_file = directory.path() + "/log.jsonl";
  tiny::SmallNetwork net(sma::Seed{3});
  tiny::Hooked data;
  tiny::SmallTrainer(net, data, options).run();
  tiny::SmallNetwork by_hand(sma::Seed{3});
  const auto updates = train_by_hand(by_hand, options);

  const auto lines = of_kind(tiny::lines_of(options.log_file), "train");
  REQUIRE(lines.size() == 3);
  std::size_t begin = 0;
  for (const std::string& line : lines) {
    const auto end = static_cast<std::size_t>(number(line, "step"));
    CHECK(end == std::min<std::size_t>(begin + 4, 10));
    ByHand sum;
    for (std::size_t i = begin; i < end; ++i) {
      sum.loss += updates[i].loss;
      sum.correct += updates[i].correct;
      sum.counted += updates[i].counted;
      sum.norm += updates[i].norm;
      sum.rate += updates[i].rate;
      sum.active += updates[i].active;
      sum.steps += updates[i].steps;
    }
    const auto count = static_cast<double>(end - begin);
    CHECK(near(number(line, "loss"), sum.loss / sum.counted));
    CHECK(near(number(line, "accuracy"), sum.correct / sum.counted));
    CHECK(near(number(line, "gradient_norm"), sum.norm / count));
    CHECK(near(number(line, "learning_rate"), sum.rate / count));
    CHECK(near(std::strtod(member(line, "activation").c_str() + 1, nullptr), sum.active / sum.steps));
    begin = end;
  }
}

TEST_CASE("tokens per second are of training alone, whatever evaluations take") {
  const tiny::Directory directory;
  auto options = tiny::options("", 4);
  options.log_every = 2;
  options.evaluate_every = 1;
  options.log_file = directory.path() + "/log.jsonl";
  tiny::SmallNetwork net(sma::Seed{3});
  tiny::Hooked data;
  double tokens = 0;
  data.after_next = [&](auto& x, auto&) { tokens += static_cast<double>(x.rows()); };
  data.after_example = [](sma::Split, sma::Index, auto&, auto&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  };
  options.evaluate_limit = 4;
  tiny::SmallTrainer(net, data, options).run();
  for (const std::string& line : of_kind(tiny::lines_of(options.log_file), "train"))
    CHECK(number(line, "tokens_per_second") > tokens / 4 / 0.2);
}

TEST_CASE("an update that fails is in no line, those before it are in one") {
  const tiny::Directory directory;
  auto options = tiny::options("", 10);
  options.log_file = directory.path() + "/log.jsonl";
  options.evaluate_every = 0;
  tiny::SmallNetwork net(sma::Seed{3});
  tiny::Hooked data;
  int calls = 0;
  data.after_next = [&](auto&, auto&) {
    if (++calls == 8) throw sma::Error("the disk is gone");
  };
  CHECK(message_of([&] { tiny::SmallTrainer(net, data, options).run(); }) == "the disk is gone");
  const auto lines = tiny::lines_of(options.log_file);
  REQUIRE(lines.size() == 1);
  CHECK(member(lines[0], "step") == "3");
}

TEST_CASE("lines of the log are JSON, whatever the numbers and names are") {
  const tiny::Directory directory;
  auto options = tiny::options("", 1);
  options.log_file = directory.path() + "/log.jsonl";
  tiny::SmallNetwork net(sma::Seed{3});
  tiny::Hooked data;
  tiny::SmallTrainer trainer(net, data, options);
  trainer.run();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  trainer.log_evaluation("a \"b\"\n", {nan, std::numeric_limits<double>::infinity(), 3, {nan, 0.5}});
  CHECK(
      tiny::lines_of(options.log_file).back() ==
      R"({"kind":"eval","step":1,"split":"a \"b\"\u000a","loss":null,"accuracy":null,"rows":3,"activation":[null,0.5]})");
  trainer.log_evaluation("\xff", {});
  CHECK(member(tiny::lines_of(options.log_file).back(), "split") == R"("\\xff")");
}

TEST_CASE(
    "a number of targets or sequences that does not fit is one sentence: the function, found, expected") {
  using tiny::Hooked;
  tiny::SmallNetwork net(sma::Seed{3});
  Hooked data;
  const auto trained = [&] {
    return message_of([&] { tiny::SmallTrainer(net, data, tiny::options("", 3)).run(); });
  };
  const auto on_example = [&](auto change) {
    data = Hooked{};
    data.after_example = [change](sma::Split, sma::Index i, Hooked::Input& x, Hooked::Targets& targets) {
      if (i == 8) change(x, targets);
    };
  };
  const auto evaluated = [&] {
    return message_of(
        [&] { tiny::SmallTrainer(net, data, tiny::options("", 3)).evaluate(sma::Split::test); });
  };

  on_example([](auto&, auto& targets) { targets.pop_back(); });
  CHECK(evaluated() == "Data::example(test, 8): found 0 targets, expected 1, one an output row");
  CHECK(trained() == "Data::example(validation, 8): found 0 targets, expected 1, one an output row");
  on_example([](auto&, auto& targets) { targets.push_back(1); });
  CHECK(evaluated() == "Data::example(test, 8): found 2 targets, expected 1, one an output row");
  on_example([](auto& x, auto&) { x.append(std::vector<sma::Token>{1}); });
  CHECK(evaluated() == "Data::example(test, 8): found 2 sequences, expected 1");
  on_example([](auto& x, auto& targets) {
    Hooked::Input shorter;
    shorter.append(x.values().first(static_cast<std::size_t>(x.length(0))));
    x = shorter;
    targets.resize(1);
  });
  CHECK(evaluated() == "Data::example(test, 8): found 0 sequences, expected 1");
  on_example([](auto& x, auto& targets) {
    x.clear();
    targets.clear();
  });
  CHECK(evaluated() ==
        "Data::example(test, 8): found the batch shorter than before, expected that it is appended to");

  data = Hooked{};
  data.after_next = [](auto&, auto& targets) { targets.pop_back(); };
  CHECK(trained() ==
        "training step 1: Data::next(9) at epoch 0, index 0: found 8 targets, expected 9, one an output row");
  data.after_next = [](auto& x, auto& targets) {
    x.clear();
    targets.clear();
  };
  data.seek(0, 5);
  CHECK(trained() == "training step 1: Data::next(9) at epoch 0, index 5: found 0 sequences, expected 9");

  for (const sma::Index size : {0, -1}) {
    data = Hooked{};
    data.sizes[0] = data.sizes[1] = size;
    bool asked = false;
    data.after_next = [&](auto&, auto&) { asked = true; };
    CHECK(trained() ==
          "Data::size(validation): found " + std::to_string(size) + " examples, expected at least 1");
    CHECK(!asked);
    CHECK(evaluated() ==
          "Data::size(test): found " + std::to_string(size) + " examples, expected at least 1");
  }
}

TEST_CASE("a target or a token out of range is found by its split and its example") {
  tiny::SmallNetwork net(sma::Seed{3});
  tiny::Hooked data;
  const auto trained = [&] {
    return message_of([&] { tiny::SmallTrainer(net, data, tiny::options("", 3)).run(); });
  };
  data.after_next = [](auto&, auto& targets) { targets[4] = 2; };
  CHECK(trained() ==
        "training step 1: Data::next(9) at epoch 0, index 0: sma::CrossEntropy: row 4: found target 2, "
        "expected 0 to 1");
  data = tiny::Hooked{};
  data.after_example = [](sma::Split split, sma::Index i, auto&, auto& targets) {
    if (split == sma::Split::test && i == 13) targets.back() = -3;
  };
  tiny::SmallTrainer trainer(net, data, tiny::options("", 3));
  CHECK(message_of([&] { trainer.evaluate(sma::Split::test); }) ==
        "Data::example(test, 13): sma::CrossEntropy: row 0: found target -3, expected 0 to 1");
  CHECK(message_of([&] { trainer.evaluate(sma::Split::test, -1); }) ==
        "sma::Trainer::evaluate: found limit -1, expected 0 or more");
  data = tiny::Hooked{};
  data.after_example = [](sma::Split, sma::Index i, auto& x, auto&) {
    if (i == 13) x.values()[static_cast<std::size_t>(x.rows() - 1)] = 5;
  };
  const std::string message = message_of([&] { trainer.evaluate(sma::Split::validation); });
  CHECK(message.starts_with("validation examples 7 to 13: sma::Network: row "));
  CHECK(message.ends_with("found token 5, expected 0 to 4"));
}

TEST_CASE("rows whose target is ignored count nowhere, and means are over those that count") {
  auto options = busy_options("");
  const tiny::Directory directory;
  options.ignored_target = -100;
  options.log_every = 1;
  options.log_file = directory.path() + "/log.jsonl";
  tiny::Hooked data;
  data.after_next = [](auto&, auto& targets) { targets[2] = targets[5] = -100; };
  data.after_example = [](sma::Split, sma::Index i, auto&, auto& targets) {
    if (i % 4 == 0) targets.back() = -100;
  };
  tiny::SmallNetwork net(sma::Seed{3});
  tiny::SmallTrainer trainer(net, data, options);
  trainer.run();
  tiny::SmallNetwork by_hand(sma::Seed{3});
  tiny::Hooked again;
  again.after_next = data.after_next;
  const auto updates = train_by_hand(by_hand, options, {.ignored = -100}, again);
  CHECK(same(net.parameters(), by_hand.parameters()));
  const auto lines = of_kind(tiny::lines_of(options.log_file), "train");
  REQUIRE(lines.size() == updates.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    CHECK(updates[i].counted == 14);
    CHECK(near(number(lines[i], "loss"), updates[i].loss / 14));
    CHECK(near(number(lines[i], "accuracy"), updates[i].correct / 14));
  }

  const sma::Evaluation e = trainer.evaluate(sma::Split::validation);
  double correct = 0;
  double loss = 0;
  for (sma::Index i = 0; i < 20; ++i) {
    if (i % 4 == 0) continue;
    tiny::Hooked::Input x;
    std::vector<std::int32_t> targets;
    tiny::Hooked{}.example(sma::Split::validation, i, x, targets);
    const auto sum = sma::CrossEntropy::evaluate(net.infer(x), targets);
    correct += sum.correct;
    loss += sum.loss;
  }
  CHECK(e.rows == 15);
  CHECK(near(e.accuracy, correct / 15));
  CHECK(near(e.loss, loss / 15));
}

TEST_CASE(
    "a micro-batch without a target that counts contributes nothing, an update or a split without is an "
    "error") {
  auto options = tiny::options("", 4);
  options.ignored_target = 7;
  tiny::SmallNetwork net(sma::Seed{3});
  tiny::Hooked data;
  int calls = 0;
  data.after_next = [&](auto&, auto& targets) {
    if (++calls % 2 == 0) std::fill(targets.begin(), targets.end(), 7);
  };
  tiny::SmallTrainer(net, data, options).run();
  CHECK(std::all_of(net.parameters().begin(), net.parameters().end(),
                    [](float w) { return std::isfinite(w); }));

  data.after_next = [](auto&, auto& targets) { std::fill(targets.begin(), targets.end(), 7); };
  CHECK(message_of([&] {
          tiny::SmallTrainer(net, data, options).run();
        }).ends_with("found the ignored target 7 alone, expected a target that counts"));
  data.after_example = [](sma::Split, sma::Index, auto&, auto& targets) { targets.back() = 7; };
  CHECK(message_of([&] { tiny::SmallTrainer(net, data, options).evaluate(sma::Split::test); }) ==
        "test examples 0 to 19: found the ignored target 7 alone, expected a target that counts");
}

TEST_CASE("activation rates are over rows, so that neither batches nor empty sequences weigh them") {
  tiny::SmallNetwork net(sma::Seed{3});
  tiny::Hooked data;
  data.after_example = [](sma::Split, sma::Index i, auto& x, auto&) {
    if (i < 18) return;  // the last two are empty, and a batch of their own
    tiny::Hooked::Input kept;
    for (sma::Index s = 0; s + 1 < x.count(); ++s)
      kept.append(x.values().subspan(static_cast<std::size_t>(x.sequences().begin(s)),
                                     static_cast<std::size_t>(x.length(s))));
    kept.append({});
    x = kept;
  };
  std::vector<double> rates;
  for (const sma::Index batch : {1, 6, 9, 20}) {
    auto options = tiny::options("", 1);
    options.evaluate_batch = batch;
    tiny::SmallTrainer trainer(net, data, options);
    rates.push_back(trainer.evaluate(sma::Split::validation).activation.at(0));
  }
  CHECK(rates[0] > 0);
  for (const double rate : rates) CHECK(rate == rates[0]);
}

TEST_CASE("a validation that is not finite ends the run with one message and saves nothing") {
  const tiny::Directory directory;
  auto options = tiny::options(directory.path(), 12);
  options.adam.weight_decay = 0;
  tiny::SmallNetwork net(sma::Seed{3});
  tiny::Hooked data;
  data.training_tokens = 4;
  bool spoilt = false;
  data.after_next = [&](auto&, auto&) {
    // Token 4, of evaluation alone.
    if (spoilt) std::fill_n(net.parameters().begin() + 32, 8, std::numeric_limits<float>::quiet_NaN());
  };
  options.stop_after = 10;
  tiny::SmallTrainer(net, data, options).run();
  options.stop_after = 0;
  const std::string last = tiny::content_of(directory.path() + "/last.safetensors");
  const std::string best = tiny::content_of(directory.path() + "/best.safetensors");
  REQUIRE(!last.empty());
  spoilt = true;
  tiny::SmallTrainer trainer(net, data, options);
  trainer.resume();
  const std::string message = message_of([&] { trainer.run(); });
  CHECK(message.starts_with("training step 12: found validation loss nan"));
  CHECK(message.ends_with(", expected finite numbers; saved checkpoints are as they were"));
  CHECK(message.find('\n') == std::string::npos);
  CHECK(tiny::content_of(directory.path() + "/last.safetensors") == last);
  CHECK(tiny::content_of(directory.path() + "/best.safetensors") == best);
  CHECK_THROWS_AS(trainer.evaluate(sma::Split::test), sma::NotFinite);
}

TEST_CASE("a validation in which the network finds NaN says which module and row") {
  struct Spoilt : tiny::SmallNetwork {
    using tiny::SmallNetwork::SmallNetwork;
    sma::Output<float, 2> infer(const sma::Batch<sma::Token, 1>&) {
      throw sma::NotFinite("sma::Network: module '2.mlp': row 3: found nan, expected finite numbers");
    }
  };
  Spoilt net(sma::Seed{3});
  tiny::Hooked data;
  const std::string message =
      message_of([&] { sma::Trainer<Spoilt, tiny::Hooked>(net, data, tiny::options("", 2)).run(); });
  CHECK(message.starts_with("training step 2: found validation loss nan ("));
  CHECK(message.find("module '2.mlp': row 3") != std::string::npos);
  CHECK(message.find("validation examples 0 to 6") != std::string::npos);
  CHECK(message.ends_with(", expected finite numbers; saved checkpoints are as they were"));
}

TEST_CASE("a message tells a small number from 0") {
  struct WithoutNorm : sma::AdamW<tiny::SmallNetwork> {
    using sma::AdamW<tiny::SmallNetwork>::AdamW;
    static double gradient_norm() { return std::numeric_limits<double>::quiet_NaN(); }
  };
  tiny::SmallNetwork net(sma::Seed{3});
  net.parameters().back() = 15;  // class 1's bias
  tiny::Hooked data;
  data.after_next = [](auto&, auto& targets) { std::fill(targets.begin(), targets.end(), 1); };
  sma::Trainer<tiny::SmallNetwork, tiny::Hooked, WithoutNorm> trainer(net, data, tiny::options("", 2));
  const std::string message = message_of([&] { trainer.run(); });
  INFO(message);
  const std::string start = "training step 1: found loss ";
  REQUIRE(message.starts_with(start));
  const double loss = std::strtod(message.c_str() + start.size(), nullptr);
  CHECK(loss > 1e-8);
  CHECK(loss < 1e-5);
  CHECK(message.find(" and gradient norm nan, expected finite numbers; ") != std::string::npos);
}

TEST_CASE("two trainers of one network each train with their own seed and auxiliary losses") {
  const auto options = busy_options("");
  tiny::SmallNetwork net(sma::Seed{3});
  tiny::Hooked data;
  tiny::SmallTrainer trainer(net, data, options);
  auto other = options;
  other.seed = 9;
  other.auxiliary = {};
  tiny::Hooked others;
  const tiny::SmallTrainer made_later(net, others, other);
  trainer.run();
  tiny::SmallNetwork by_hand(sma::Seed{3});
  train_by_hand(by_hand, options);
  CHECK(same(net.parameters(), by_hand.parameters()));
}
