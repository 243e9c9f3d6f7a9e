#pragma once

#include <sma/eigen.hpp>
#include <sma/sma.hpp>
#include <tasks/common/command_line.hpp>
#include <tasks/common/paper.hpp>
#include <tasks/common/small_models.hpp>
#include <tasks/common/statistics.hpp>
#include <tasks/common/training_data.hpp>
#include <tasks/common/variants.hpp>

#if !defined(SEQBOAT_TASKS_VARIANT)
#define SEQBOAT_TASKS_VARIANT AsDescribed
#endif

/// A task is one file, tasks/NAME.cpp, and the program NAME. Beside `tasks::about_task` it says:
///
///     struct Task {
///       using Paper = tasks::paper::ListOps;                 // the model of --preset paper, a description as in paper.hpp
///       using Small = ...;                                   // ... and of --preset small
///       template <class Model>
///       using Network = seqboat::Classifier<Model>;          // what is made of it
///       static constexpr double length = 2000;               // elements of a sequence: --describe counts operations with them
///       static sma::TrainerOptions paper(), small();         // the presets' recipes
///       using Data = tasks::TrainingData<Stored, Element>;   // what `sma::Trainer` asks of data
///       static Data data(const tasks::CommandLine&);         // reads or makes them
///       template <class Net> using Optimizer = sma::RAdam<Net>;   // optional: AdamW unless it is said
///       static sma::Evaluation test(Trainer&, const Net&, const Data&, const CommandLine&);  // optional: of the test split
///       static void finish(Net&, Data&, const CommandLine&); // optional: after the test split was evaluated
///     };
///     void tasks::run_task(const tasks::CommandLine& line) { tasks::run<Task>(line); }
namespace tasks {

using small::Narrow;

template <class Task, class Net>
struct OptimizerOf {
  using type = sma::AdamW<Net>;
};
template <class Task, class Net>
  requires requires { typename Task::template Optimizer<Net>; }
struct OptimizerOf<Task, Net> {
  using type = typename Task::template Optimizer<Net>;
};

template <class Task, class Model>
void run_preset(const CommandLine& line, sma::TrainerOptions recipe) {
  using Net = sma::Network<typename Task::template Network<Model>, sma::Eigen<Real>>;
  if (line.describe) return print_description<Net>(Task::length / static_cast<double>(Net::input_width));
  auto data = Task::data(line);
  Net net(sma::Seed{line.seed}, {.threads = line.threads});
  const auto test = [&](auto& trainer) {
    if constexpr (requires { Task::test(trainer, net, data, line); })
      return Task::test(trainer, net, data, line);
    else
      return trainer.evaluate(sma::Split::test);
  };
  train_and_test<typename OptimizerOf<Task, Net>::type>(net, data, line, line.apply(std::move(recipe)), test);
  if (!line.statistics.empty()) write_statistics<Model>(net, data, line.statistics);
  if constexpr (requires { Task::finish(net, data, line); }) Task::finish(net, data, line);
}

/// Does what the command line says of the task.
template <class Task>
void run(const CommandLine& line) {
  if (line.preset == "paper")
    run_preset<Task, typename Task::Paper>(line, Task::paper());
  else
    run_preset<Task, variants::SEQBOAT_TASKS_VARIANT<typename Task::Small>>(line, Task::small());
}

}  // namespace tasks
