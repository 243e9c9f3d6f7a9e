/// LRA Pathfinder: are two dots ends of one dashed path? From 32 x 32 grey pixels, one a step.
/// Draws the pictures, by the benchmark's rules, or reads the owners' or MEGA's text form of them.

#include <tasks/common/path_task.hpp>

namespace {

struct Task : tasks::PathTask<32> {
  using Paper = tasks::paper::Pathfinder;
  struct Small : Paper {
    using layer = tasks::Narrow<tasks::paper::PathfinderLayer>;
    static constexpr sma::Index layers = 4, classifier_width = 96;
  };

  static sma::TrainerOptions paper() {
    sma::TrainerOptions o;
    o.steps = 250000;
    o.batch = 128;
    o.schedule.peak = 0.01;
    o.schedule.warmup = 50000;
    o.adam.weight_decay = 0.01;
    o.evaluate_every = 1250;
    return o;
  }
  static sma::TrainerOptions small() {
    sma::TrainerOptions o = paper();
    o.steps = 20000;
    o.batch = 32;
    o.schedule.peak = 0.005;
    o.schedule.warmup = 2000;
    o.evaluate_every = 1000;
    return o;
  }
};

}  // namespace

const tasks::About tasks::about_task{
    .program = "lra_pathfinder",
    .description = "Trains SeqBoat on LRA Pathfinder: are two dots ends of one path, on 32 x 32 pixels?",
    .data = Task::layout,
    .generated = Task::generated,
    .levels = Task::levels};

void tasks::run_task(const tasks::CommandLine& line) { tasks::run<Task>(line); }
