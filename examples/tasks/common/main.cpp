/// The main function of every trainer: lra_NAME is this, the command line, the readers and tasks/NAME.cpp.

#include <tasks/common/command_line.hpp>

int main(int argc, char** argv) { return tasks::run_trainer(argc, argv, tasks::about_task, tasks::run_task); }
