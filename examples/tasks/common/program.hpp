#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <sma/base/text.hpp>
#include <string>

namespace tasks {

/// Parses, then runs `program`: of programs that are no trainers. An error becomes one line on stderr. Returns the exit code.
template <class F>
int run_program(CLI::App& app, int argc, char** argv, const F& program) {
  try {
    app.parse(argc, argv);
    program();
    return std::fflush(stdout) == 0 ? 0 : 1;
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), sma::one_line(error.what()).c_str());
    return 1;
  }
}

}  // namespace tasks
