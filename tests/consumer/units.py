#!/usr/bin/env python3
"""Passes when units that include everything, everything in another order, and only what they need link to one program and compute
the same; and when units for other processors link with them and share no function of a backend or a kernel.

    units.py --compiler g++ --include DIR:DIR [--other-processors] DIRECTORY
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile

FLAGS = ["-std=c++20", "-O0", "-pthread"]
# Name of the function, source, flags.
UNITS = [
    ("everything", "unit_everything.cpp", []),
    ("other_order", "unit_other_order.cpp", []),
    ("part", "unit_part.cpp", []),
]
FOR_OTHER_PROCESSORS = [
    ("for_avx2", "unit_part.cpp", ["-mavx2", "-mfma"]),
    ("for_avx512", "unit_part.cpp", ["-march=x86-64-v4"]),
]
TIED_TO_A_PROCESSOR = re.compile(r"\b(sma|seqboat)::(\w+::)?(eigen|ops|functions)::|\bsma::(\w+::)?Eigen<|\bsma::Network<")


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        sys.exit(f"{done.stdout}{done.stderr}\nfailed ({done.returncode}): {' '.join(command)}")
    return done.stdout


def tied_symbols(unit):
    """The functions and objects that the linker may take from this unit for all of them, as far as they are for one processor."""
    lines = run(["nm", "-C", "--defined-only", "--extern-only", unit]).splitlines()
    names = {line.split(maxsplit=2)[2] for line in lines}
    return {name for name in names if TIED_TO_A_PROCESSOR.search(name)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--launcher", default="")
    parser.add_argument("--include", default="")
    parser.add_argument("--other-processors", action="store_true")
    parser.add_argument("directory")
    arguments = parser.parse_args()
    compiler = ([arguments.launcher] if arguments.launcher else []) + [arguments.compiler] + FLAGS
    for directory in dict.fromkeys(d for d in arguments.include.split(":") if d):
        if directory != "/usr/include":
            compiler += ["-isystem", directory]
    units = UNITS + (FOR_OTHER_PROCESSORS if arguments.other_processors else [])

    with tempfile.TemporaryDirectory() as directory:
        objects = {}
        for name, source, flags in units:
            objects[name] = os.path.join(directory, name + ".o")
            run(compiler + flags + [f"-DNAME={name}", "-c", "-o", objects[name], os.path.join(arguments.directory, source)])
        program = os.path.join(directory, "program")
        run(compiler + (["-DOTHER_PROCESSORS"] if arguments.other_processors else [])
            + ["-o", program, os.path.join(arguments.directory, "units_main.cpp"), *objects.values()])
        print(run([program]), end="")

        if not arguments.other_processors:
            return
        alone = {name: tied_symbols(objects[name]) for name in ("part", "for_avx2", "for_avx512")}
        for one, other in (("part", "for_avx2"), ("part", "for_avx512"), ("for_avx2", "for_avx512")):
            shared = sorted(alone[one] & alone[other])
            if shared:
                print("\n".join(shared[:20]))
                sys.exit(f"the units {one} and {other} share {len(shared)} functions of a backend or kernel, expected none")
        print("functions of a backend or kernel, none shared: " + ", ".join(f"{n} {len(s)}" for n, s in alone.items()))


if __name__ == "__main__":
    main()
