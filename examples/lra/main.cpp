/// The main function of every trainer: lra_NAME is this, the command line, the readers and tasks/NAME.cpp.

#include <lra/command_line.hpp>

int main(int argc, char** argv) { return lra::run_trainer(argc, argv, lra::about_task, lra::run_task); }
