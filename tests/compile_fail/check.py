#!/usr/bin/env python3
"""Passes when a source does not compile and the compiler says why, first and once.

    check.py --compiler g++ --include DIR;DIR --headers FILE --precompile headers.hpp
    check.py --compiler g++ --include DIR;DIR --headers FILE source.cpp

The first makes FILE.gch of the headers, with which the second begins: reading them is three quarters of the time.

Lines of the source: `// expected-error: some words`, or `expected-error(gcc)` and `expected-error(clang)` for one compiler.
The first of them stands in the compiler's first error, the others anywhere in its output; and there are at most
MOST_ERRORS errors in all. Runs of white space count as one blank.
"""

import argparse
import os
import re
import subprocess
import sys

MOST_ERRORS = 2


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--include", default="")
    parser.add_argument("--headers", required=True)
    parser.add_argument("--precompile", action="store_true")
    parser.add_argument("source")
    arguments = parser.parse_args()

    version = subprocess.run([arguments.compiler, "--version"], capture_output=True, text=True, check=True).stdout
    family = "clang" if "clang" in version else "gcc"
    command = [arguments.compiler, "-std=c++20", "-fdiagnostics-color=never"]
    command += ["-fno-caret-diagnostics"] if family == "clang" else ["-fno-diagnostics-show-caret"]
    for directory in dict.fromkeys(d for d in arguments.include.split(";") if d):
        # Debian's own directories are searched anyway; naming /usr/include would put it before the standard library.
        if directory != "/usr/include":
            command += ["-I", directory]
    if arguments.precompile:
        os.makedirs(os.path.dirname(arguments.headers), exist_ok=True)
        command += ["-x", "c++-header", arguments.source, "-o", arguments.headers + ".gch"]
        sys.exit(subprocess.run(command).returncode)

    with open(arguments.source, encoding="utf-8") as file:
        expectations = re.findall(r"^\s*// expected-error(?:\((gcc|clang)\))?:[ \t]*(\S.*?)\s*$", file.read(), re.M)
    expected = [" ".join(text.split()) for which, text in expectations if which in ("", family)]
    if not expected:
        sys.exit(f"{arguments.source}: no '// expected-error: some words' line for {family}")

    command += ["-fsyntax-only", "-include", arguments.headers, arguments.source]
    run = subprocess.run(command, capture_output=True, text=True, errors="replace", env={**os.environ, "LC_ALL": "C"})

    output = " ".join((run.stdout + run.stderr).split())
    problems = []
    if run.returncode == 0:
        problems.append("it compiles, and should not")
    problems += [f"the compiler does not say: {text}" for text in expected if text not in output]
    errors = [line for line in (run.stdout + run.stderr).splitlines() if re.search(r"\b(fatal )?error: ", line)]
    if errors and expected[0] not in " ".join(errors[0].split()):
        problems.append(f"the first error is not about: {expected[0]}")
    if len(errors) > MOST_ERRORS:
        problems.append(f"found {len(errors)} errors, expected at most {MOST_ERRORS}")
    if problems:
        print(run.stdout + run.stderr)
        for problem in problems:
            print(f"{arguments.source}: {problem}")
        sys.exit(1)
    print(f"{len(errors)} error(s)")
    for text in expected:
        print(f"said: {text}")


if __name__ == "__main__":
    main()
