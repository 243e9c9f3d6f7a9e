#!/usr/bin/env python3
"""The layers of the house, from the includes themselves: nothing points back.

    arrows.py ROOT

Each folder of headers may include itself and the folders listed for it, with all that those may include. Exit code 1 and a line for
each include that points elsewhere.
"""

import pathlib
import re
import sys

LAYERS = {
    "base": [],
    "device": ["base"],
    "ops": ["device"],
    "module": ["ops"],
    "modules": ["module"],
    "compose": ["modules"],
    "routing": ["compose"],
    "shards": ["module"],
    "network": ["module", "shards"],
    "io": ["base"],
    "train": ["network", "io", "routing"],
    "seqboat": ["routing", "network", "train", "io"],
    "eigen": ["ops", "device"],
    "thrust": ["ops", "device"],
    "sma.hpp": ["network", "routing"],
    "eigen.hpp": ["eigen"],
    "thrust.hpp": ["thrust"],
}
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


def main():
    root = pathlib.Path(sys.argv[1])
    problems = []
    headers = 0
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.hpp")):
            headers += 1
            header = str(path.relative_to(root / folder))
            if layer_of(header) not in LAYERS:
                problems.append(f"{folder}/{header}: found a header in no layer, expected one of {', '.join(LAYERS)}")
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                match = re.match(r"\s*#\s*include <((?:sma|seqboat)/\S+)>", line)
                if match and layer_of(match[1]) not in allowed(layer_of(header)):
                    problems.append(f"{folder}/{header}:{number}: found <{match[1]}>, which {layer_of(header)} may not include")
    if headers < 50:
        problems.append(f"found {headers} headers under {root}, expected at least 50")
    for problem in problems:
        print(problem)
    print(f"{headers} headers, {len(problems)} arrows that point back")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
