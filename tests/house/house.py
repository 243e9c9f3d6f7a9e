#!/usr/bin/env python3
"""The order of the house, from the files themselves.

    house.py ROOT

Arrows: each folder of headers may include itself and the folders listed for it, with all that those may include.
Places: each header has a test of its place and name, or a line in elsewhere.txt that says which test it has.
Lengths: no header is longer than 400 lines, and its first public type stands within 60 lines.
JSON: nlohmann-json is included by io's definitions alone, sma/io/*-inl.hpp: all else of the library is used without it.
Exit code 1 and a line for each fault.
"""

import pathlib
import re
import sys

LAYERS = {
    "base": [],
    "shards": ["base"],
    "device": ["shards"],
    "ops": ["device"],
    "module": ["ops"],
    "modules": ["module"],
    "compose": ["modules"],
    "routing": ["compose"],
    "network": ["compose", "module"],
    "io": ["base"],
    "train": ["network", "io", "routing"],
    "seqboat": ["routing", "network", "train", "io"],
    "eigen": ["ops", "device"],
    "thrust": ["ops", "device"],
    "sma.hpp": ["network", "routing"],
    "eigen.hpp": ["eigen"],
    "thrust.hpp": ["thrust"],
}
LONGEST = 400
FIRST_TYPE = 60
FOLDERS = ["include", "backends/eigen/include", "backends/thrust/include"]


def layer_of(header):
    """"ops" of sma/ops/linear.hpp, "seqboat" of seqboat/layer.hpp."""
    parts = header.split("/")
    return parts[1] if parts[0] == "sma" else parts[0]


def allowed(layer):
    found = {layer}
    for other in LAYERS[layer]:
        found |= allowed(other)
    return found


def wrong_arrows(path, header, lines):
    if layer_of(header) not in LAYERS:
        yield f"{path}: found a header in no layer, expected one of {', '.join(LAYERS)}"
        return
    for number, line in enumerate(lines, 1):
        match = re.match(r"\s*#\s*include <((?:sma|seqboat)/\S+)>", line)
        if match and layer_of(match[1]) not in allowed(layer_of(header)):
            yield f"{path}:{number}: found <{match[1]}>, which {layer_of(header)} may not include"


def first_public_type(lines):
    """The line of it, or 0: not in a namespace of details, nor in one for a backend's own."""
    namespaces = []
    for number, line in enumerate(lines, 1):
        if match := re.match(r"(?:inline )?namespace ([\w:]+) \{", line):
            namespaces.append(match[1])
        elif line.startswith("}  // namespace"):
            namespaces.pop()
        elif re.match(r"(struct|class|enum class|using|concept) \w+", line) and not any("detail" in n or n == "eigen" for n in namespaces):
            return number
    return 0


def test_of(header):
    """tests/ops/linear_test.cpp of sma/ops/linear.hpp."""
    return "tests/" + header.removeprefix("sma/").removesuffix(".hpp") + "_test.cpp"


def read_elsewhere(root):
    lines = (root / "tests/house/elsewhere.txt").read_text().splitlines()
    return dict(line.split() for line in lines if line and not line.startswith("#"))


def main():
    root = pathlib.Path(sys.argv[1])
    elsewhere = read_elsewhere(root)
    problems = []
    headers = set()
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.hpp")):
            name = str(path.relative_to(root))
            header = str(path.relative_to(root / folder))
            lines = path.read_text().splitlines()
            headers.add(name)
            problems += wrong_arrows(name, header, lines)
            if len(lines) > LONGEST:
                problems.append(f"{name}: found {len(lines)} lines, expected at most {LONGEST}")
            if not re.fullmatch(r"sma/io/\S+-inl\.hpp", header) and any("<nlohmann/" in line for line in lines):
                problems.append(f"{name}: found <nlohmann/...>, expected it in sma/io/*-inl.hpp alone")
            if first_public_type(lines) > FIRST_TYPE:
                problems.append(f"{name}:{first_public_type(lines)}: found the first public type, expected it within {FIRST_TYPE} lines")
            if (root / test_of(header)).exists() == (name in elsewhere):
                problems.append(f"{name}: expected either {test_of(header)} or a line in tests/house/elsewhere.txt")
    problems += [f"tests/house/elsewhere.txt: found {name}, which is no header" for name in elsewhere if name not in headers]
    problems += [f"tests/house/elsewhere.txt: found {test}, which is no file" for test in elsewhere.values() if not (root / test).exists()]
    if len(headers) < 50:
        problems.append(f"found {len(headers)} headers under {root}, expected at least 50")
    for problem in problems:
        print(problem)
    print(f"{len(headers)} headers, {len(problems)} faults")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
