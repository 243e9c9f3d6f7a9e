#!/usr/bin/env python3
"""Passes when bench_gpu prints what gpu-check reads, for every operation and network, in tiny sizes.

    bench_test.py PROGRAM
"""

import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import check


def run(*words):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=250)


def main():
    program = sys.argv[1]
    tiny = ["--small", "--seconds", "0.001"]
    problems = []

    def expect(holds, what):
        if not holds:
            problems.append(what)

    def lines(*words):
        done = run(program, *words, *tiny)
        expect(done.returncode == 0, f"{' '.join(words)}: exit code {done.returncode}: {done.stderr.strip()}")
        return check.json_lines(done.stdout)

    expect(lines("device"), "device: found no line")
    operations = [line for name in check.OPERATIONS for line in lines(name)]
    check.rated(operations)
    expect(all(line["rate"] > 0 for line in operations), "found an operation without a rate")
    expect({"copy", "compress/64", "extract/160", "ema/both", "attention/relu2/forward"} <= {line["case"] for line in operations},
           f"found operations {[line['case'] for line in operations]}")
    cases = [(name, train) for name, batch, train in check.NETWORKS if batch == 8]
    for name, train in cases:
        found = lines(name, "--batch", "2", *(["--train"] if train else []))
        case = f"{name}/2/{'train' if train else 'forward'}"
        expect([line["case"] for line in found] == [case], f"{case}: found {found}")
        expect(all(line["rows"] == 80 and all(0 <= rate <= 1 for rate in line["activation"]) for line in found), f"{case}: found {found}")
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "weights.safetensors"
        lines("image/layer", "--weights", str(file))
        expect(file.is_file() and b"q_router.temp" in file.read_bytes(), "--weights: found no weights under the reference's names")
    for words in (["nothing"], [], ["copy", "--batch", "0"], ["copy", "--seconds"], ["copy", "--fast"]):
        done = run(program, *words)
        expect(done.returncode == 1 and done.stderr.startswith("bench_gpu: ") and done.stderr.count("\n") == 1,
               f"{words}: found exit code {done.returncode} and '{done.stderr}', expected 1 and one line")
    for problem in problems:
        print(problem)
    if problems:
        sys.exit(1)
    print(f"{len(operations)} operations and {len(cases)} networks are measured")


if __name__ == "__main__":
    main()
