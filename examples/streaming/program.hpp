#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <sma/base/error.hpp>
#include <string>

/// What the streaming programs share: a command line whose errors are one line, as those of the trainers.
namespace streaming {

/// Parses, then runs `program`. An error becomes one line on stderr. Returns the exit code.
template <class F>
int run(CLI::App& app, int argc, char** argv, const F& program) {
  try {
    app.parse(argc, argv);
    program();
    return std::fflush(stdout) == 0 ? 0 : 1;
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), error.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), error.what());
  }
  return 1;
}

}  // namespace streaming
