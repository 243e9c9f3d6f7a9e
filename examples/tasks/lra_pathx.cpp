/// LRA Path-X: Pathfinder on 128 x 128 grey pixels, 16,384 steps.
/// Draws the pictures, by the benchmark's rules, or reads the owners' or MEGA's text form of them.

#include <tasks/common/path_task.hpp>

namespace {

struct Task : tasks::PathTask<128> {
  using Paper = tasks::paper::PathX;
  struct Small : Paper {
    using layer = tasks::Narrow<tasks::paper::PathXLayer>;
    static constexpr sma::Index layers = 4, classifier_width = 96;
  };

  static sma::TrainerOptions paper() {
    sma::TrainerOptions o;
    o.steps = 125000;
    o.batch = 2;
    o.accumulation = 64;
    o.schedule.peak = 0.01;
    o.schedule.warmup = 25000;
    o.schedule.power = 2;
    o.adam.weight_decay = 0.01;
    o.evaluate_every = 1250;
    return o;
  }
  static sma::TrainerOptions small() {
    sma::TrainerOptions o = paper();
    o.steps = 20000;
    o.accumulation = 8;
    o.schedule.warmup = 2000;
    o.evaluate_every = 1000;
    return o;
  }
};

}  // namespace

const tasks::About tasks::about_task{
    .program = "lra_pathx",
    .description = "Trains SeqBoat on LRA Path-X: are two dots ends of one path, on 128 x 128 pixels?",
    .data = Task::layout,
    .generated = Task::generated,
    .levels = Task::levels};

void tasks::run_task(const tasks::CommandLine& line) { tasks::run<Task>(line); }
