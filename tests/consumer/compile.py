#!/usr/bin/env python3
"""Compiles a unit with a user's flags. Passes when the compiler says nothing at all, and the program, if it is to run, ends with 0.

    compile.py --compiler g++ --include DIR:DIR [--system] [--run | --says WORDS] source.cpp -- FLAGS

--system    the library's headers are system headers to the compiler, as they are when found by find_package
--run       links and runs
--says      the unit must not compile: WORDS stand in the first error, after which comes at most the one that ends the compilation
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile


def command_line(arguments, flags):
    command = ([arguments.launcher] if arguments.launcher else []) + [arguments.compiler, "-Werror"]
    for directory in dict.fromkeys(d for d in arguments.include.split(":") if d):
        # Debian's own directories are searched anyway; naming /usr/include would put it before the standard library.
        if directory != "/usr/include":
            ours = os.path.isdir(os.path.join(directory, "sma"))
            command += ["-I" if ours and not arguments.system else "-isystem", directory]
    return command + flags


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, errors="replace", env={**os.environ, "LC_ALL": "C"}, **options)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--launcher", default="")
    parser.add_argument("--include", default="")
    parser.add_argument("--system", action="store_true")
    parser.add_argument("--run", action="store_true")
    parser.add_argument("--says", default="")
    parser.add_argument("source")
    parser.add_argument("flags", nargs="*")
    arguments = parser.parse_args()

    def fail(problem, command, output=""):
        print(output)
        sys.exit(f"{' '.join(command)}\n{arguments.source}: {problem}")

    with tempfile.TemporaryDirectory() as directory:
        unit = os.path.join(directory, "unit.o")
        command = command_line(arguments, arguments.flags) + ["-c", "-o", unit, arguments.source]
        done = run(command)
        output = done.stdout + done.stderr
        if arguments.says:
            errors = re.findall(r"^.*\b(?:fatal )?error: .*$", output, re.M)
            if done.returncode == 0:
                fail("it compiles, and should not", command)
            if not errors or arguments.says not in " ".join(errors[0].split()):
                fail(f"the first error is not about: {arguments.says}", command, output)
            if len(errors) > 1 and not (len(errors) == 2 and "fatal error: " in errors[1]):
                fail(f"found {len(errors)} errors, expected this one alone", command, output)
            print(errors[0])
            return
        if done.returncode != 0 or output.strip():
            alarms = sorted(set(re.findall(r"\[(?:-Werror[=,])?(-W[\w+-]+)\]", output)))
            fail(f"found {output.count('error: ')} errors {' '.join(alarms)}, expected none", command, output[:6000])
        if arguments.run:
            program = os.path.join(directory, "program")
            command = command_line(arguments, arguments.flags) + ["-o", program, unit, "-pthread"]
            if (done := run(command)).returncode != 0:
                fail("it does not link", command, done.stderr)
            if (done := run([program], cwd=directory)).returncode != 0:
                fail(f"the program ends with {done.returncode}", command, done.stdout + done.stderr)
            print(done.stdout, end="")


if __name__ == "__main__":
    main()
