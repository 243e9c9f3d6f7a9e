#!/usr/bin/env python3
"""Times this library and its PyTorch peer, and what the machine could do at most.

    scripts/bench [--json FILE] [--only NAME]... [--quick]

Programs take turns: ours, PyTorch eager, PyTorch compiled, ours again, ..., each a process of its own, with equal weights, lengths,
batch and threads. A number is the median over the rounds, its spread the smallest and the largest. Of eager and compiled the faster one
counts. Results are saved after each item, so that a run that was stopped keeps what it has.

    train/TASK, infer/TASK   tokens/s of the paper's models on random rows; peak_fraction is useful FLOP/s (flops.py) over sgemm's,
                             measured anew beside each of our runs, because clocks move; the median over the rounds
    op/compress, op/extract  GB/s that must be moved once (ops.cpp); peak_fraction is of the bandwidth
    op/ema, op/attention     rows/s of forward, and of both passes
    op/gemm                  GFLOP/s of linear layers in the models' shapes
    scaling/length           the worst time and memory a token of a long sequence against one of 1,000 steps; ListOps' model
    scaling/density          speed at activation rates below 1 over what FLOPs predict from rate 1; Image's model, training
    scaling/threads          speed with all threads over speed with one
    scaling/silence          time of a causal EMA on silence after noise over that on noise: forward, backward, step; one thread
    stream/models            us a step of a language model, one thread: 4 layers of width 64, 6 layers of width 80
    stream/chunks            us a step of the second, tokens one by one and 4,096 at once
    stream/million           us a step and MB of the process, of a new stream and after a million steps
    stream/dense             us a step of small dense networks; the ratio is to the same step by hand with Eigen's matrices of fixed size
    compile/include          seconds of an empty main with sma/sma.hpp; compile/trainer: of examples/tasks/lra_listops.cpp, and MB
"""

import argparse
import datetime
import json
import math
import os
import pathlib
import platform
import random
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import flops

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"
PEERS = ROOT / "benchmarks" / "peers"
TASKS = ("listops", "text", "image", "pathfinder")
BATCH = 8
FIXED_LENGTH = 1024  # of image and pathfinder
LENGTH_COUNT = 4096  # sequences in a file of lengths; a run takes a part of them
SEED = 2  # of the weights: its routers activate about half of the steps, in each task
SCALING_LENGTHS = (1000, 4000, 16000, 64000)
SCALING_RATES = (1.0, 0.5, 0.1)
LONGEST_RUN = 3600  # seconds of one process


class Failure(Exception):
    """One line that says what went wrong."""


def fail(message: str) -> None:
    sys.exit(f"scripts/bench: {message}")


# --- Processes


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"


def run(command: list, **environment: str) -> str:
    """What a program prints. Raises Failure with the last line of its errors."""
    name = next((pathlib.Path(word).name for word in command[:2] if str(word).endswith(".py")), str(command[0]))
    try:
        done = subprocess.run([str(word) for word in command], env={**os.environ, **environment}, text=True,
                              capture_output=True, timeout=LONGEST_RUN)
    except subprocess.TimeoutExpired:
        raise Failure(f"{name}: found no end after {LONGEST_RUN} s") from None
    except OSError as error:
        raise Failure(f"{command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        what = f"killed by signal {-done.returncode}" if done.returncode < 0 else last_line(done.stderr)
        raise Failure(what if what.startswith(f"{name}:") else f"{name}: {what}")
    return done.stdout


def run_json(command: list, **environment: str) -> dict:
    printed = run(command, **environment)
    try:
        return json.loads(printed.strip().rsplit("\n", 1)[-1])
    except ValueError:
        raise Failure(f"{command[0]}: found '{last_line(printed)}', expected a line of JSON") from None


def measured_command(command: list[str], directory: str) -> tuple[float, float]:
    """Seconds and peak MB of a command."""
    with tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=directory, stdout=errors, stderr=errors,
                                   env={**os.environ, "CCACHE_DISABLE": "1"})
        _, status, usage = os.wait4(process.pid, 0)
        taken = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            raise Failure(f"{command[0]}: {last_line(errors.read())}")
    return taken, usage.ru_maxrss / 1024


# --- Set-up


def set_up(torch_needed: bool, programs_needed: bool) -> str:
    """Packages, programs, PyTorch; returns the peer's Python, or "" where it is not needed."""
    if shutil.which("dpkg-query") and subprocess.run([ROOT / "scripts" / "setup", "--bench"]).returncode != 0:
        fail("scripts/setup --bench failed")
    python = peer_python() if torch_needed else ""
    build(programs_needed)
    return python


def build(programs_needed: bool) -> None:
    log = BUILD / "build.log"
    commands = [["cmake", "--preset", "release", "-B", str(BUILD), "-DSEQBOAT_BUILD_BENCHMARKS=ON", "-DSEQBOAT_BUILD_TESTS=OFF"]]
    if programs_needed:
        print("building the benchmarks ...", flush=True)
        commands.append(["cmake", "--build", str(BUILD), "--target", "benchmarks"])
    environment = {**os.environ, "CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1"}
    with log.open("w") as out:
        for command in commands:
            try:
                done = subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env=environment)
            except OSError as error:
                fail(f"{command[0]}: {error.strerror}")
            if done.returncode != 0:
                fail(f"'{' '.join(command[:2])}' failed, see {log}: {last_line(log.read_text())}")


def peer_python() -> str:
    chosen = os.environ.get("SEQBOAT_PEER_PYTHON")
    if chosen:
        try:
            run([chosen, "-c", "import torch, safetensors"])
        except Failure as error:
            fail(f"SEQBOAT_PEER_PYTHON: {error}")
        return chosen
    directory = ROOT / "build" / "peer"
    python = str(directory / "bin" / "python")
    done = directory / "installed"  # written last: half an environment is made anew
    requirements = (PEERS / "requirements.txt").read_text()
    if not done.exists() or done.read_text() != requirements:
        print("installing PyTorch into build/peer ...", flush=True)
        try:
            run([sys.executable, "-m", "venv", "--clear", directory])
            run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", PEERS / "requirements.txt"])
        except Failure as error:
            fail(f"could not make build/peer: {error}")
        done.write_text(requirements)
    return python


def field(path: str, name: str) -> str:
    """Of /proc/cpuinfo and the like; "" where there is none."""
    try:
        lines = pathlib.Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def core_type() -> dict:
    """An OpenBLAS that does not know a processor newer than itself takes the oldest kernels; this says which it may take."""
    features = field("/proc/cpuinfo", "flags").split()
    return {"OPENBLAS_CORETYPE": "SkylakeX"} if "avx512f" in features and "OPENBLAS_CORETYPE" not in os.environ else {}


def machine(threads: int) -> dict:
    def said(*command: str) -> str:
        try:
            return run(list(command)).strip()
        except Failure:
            return ""

    memory = field("/proc/meminfo", "MemTotal").split()
    git = ("git", "-C", str(ROOT))
    return {
        "cpu": field("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(int(memory[0]) / 2**20, 1) if memory else None,
        "system": platform.platform(),
        "compiler": said(compiler(), "--version").partition("\n")[0],
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": said(*git, "rev-parse", "HEAD"),
        "changed": bool(said(*git, "status", "--porcelain", "--untracked-files=no")),
        "load": round(os.getloadavg()[0], 2),
        "threads": threads,
    }


def trainer_command() -> dict:
    """How the release build compiles the ListOps trainer."""
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        if entry["file"] == str(ROOT / "examples" / "tasks" / "lra_listops.cpp"):
            return entry
    raise Failure(f"{BUILD}/compile_commands.json: found no examples/tasks/lra_listops.cpp")


def without_launcher(words: list[str]) -> list[str]:
    return words[1:] if pathlib.Path(words[0]).name == "ccache" else words


def compiler() -> str:
    return without_launcher(shlex.split(trainer_command()["command"]))[0]


# --- One run


def middle(values: list[float]) -> float:
    return statistics.median(values)


def rounded(value, digits: int = 5):
    """Numbers inside of lists and dictionaries to so many significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    if isinstance(value, list):
        return [rounded(v, digits) for v in value]
    return {k: rounded(v, digits) for k, v in value.items()} if isinstance(value, dict) else value


class Bench:
    """What the items share: options, programs, inputs, limits."""

    def __init__(self, options: argparse.Namespace, work: pathlib.Path):
        self.options, self.work = options, work
        self.python = ""
        self.limits: dict = {}

    def program(self, name: str) -> pathlib.Path:
        return BUILD / "benchmarks" / f"bench_{name}"

    def lengths(self, task: str, turn: int) -> tuple[str, list[int]]:
        """What --lengths gets, and the lengths themselves. Each round begins at another place of the same list.

        Text: the review lengths of IMDB in characters, whose mean is about 1,325 and whose median about 979, as a log-normal
        distribution with that mean and median, kept between 50 and 4,000.
        """
        if task in ("image", "pathfinder"):
            return "fixed", [FIXED_LENGTH]
        every = self.work / f"{task}.lengths"
        if not every.exists():
            if task == "listops":
                text = run([self.program("lengths"), LENGTH_COUNT, 1])
            else:
                mu, sigma = math.log(979), math.sqrt(2 * math.log(1325 / 979))
                draw = random.Random(1)
                numbers = (round(draw.lognormvariate(mu, sigma)) for _ in range(LENGTH_COUNT))
                text = "".join(f"{min(max(n, 50), 4000)}\n" for n in numbers)
            every.write_text(text)
        lines = every.read_text().split()
        first = LENGTH_COUNT * turn // self.options.rounds
        lines = lines[first:] + lines[:first]
        path = self.work / f"{task}.{turn}.lengths"
        path.write_text("\n".join(lines) + "\n")
        return str(path), [int(line) for line in lines]

    def weights(self, task: str) -> pathlib.Path:
        """Our initial weights, which the peer loads: routers of other weights would activate other shares of the steps."""
        path = self.work / f"{task}.safetensors"
        if not path.exists():
            run([self.program(task), "weights", "--output", path, "--seed", SEED])
        return path

    def ours(self, task: str, mode: str, lengths: str, **options) -> dict:
        words = {"batch": BATCH, "threads": self.options.threads, "seconds": self.options.seconds, "seed": SEED, **options}
        if self.options.quick:
            words = {"steps": 1, "warmup": 1, **words}
        return run_json([self.program(task), mode, "--lengths", lengths, *flags(words)])

    def torch(self, task: str, mode: str, lengths: str, compiled: bool) -> dict:
        words = {"batch": BATCH, "threads": self.options.threads, "seconds": self.options.seconds, "weights": self.weights(task)}
        if self.options.quick:
            words |= {"steps": 1, "warmup": 1}
        return run_json([self.python, PEERS / "run.py", mode, "--task", task, "--lengths", lengths, *flags(words),
                         *(["--compile"] if compiled else [])], **self.one_pool())

    def one_pool(self) -> dict:
        return {"OMP_NUM_THREADS": str(self.options.threads)}

    def sgemm(self, library: str, threads: int, seconds: float) -> float:
        """GFLOP/s of products by OpenBLAS or PyTorch."""
        words = flags({"threads": threads, "seconds": seconds})
        if library == "torch":
            found = run_json([self.python, PEERS / "ops.py", "sgemm", *words], OMP_NUM_THREADS=str(threads))
        else:
            found = run_json([self.program("limits"), "sgemm", *words], OPENBLAS_NUM_THREADS=str(threads), **core_type())
        return found["values"].get(f"{library}_gflops", 0.0)

    def sgemm_now(self) -> float:
        """The peak of the moment, by the library that was the faster one at the beginning."""
        faster = "torch" if self.limits["torch_gflops"] >= self.limits["openblas_gflops"] else "openblas"
        return self.sgemm(faster, self.options.threads, min(self.options.seconds, 1))

    def measure_limits(self) -> None:
        """sgemm and bandwidth with the run's threads, and with one (names that end in _1): the best of all rounds."""
        many = self.options.threads
        for threads, suffix in ((many, ""), (1, "_1")):
            seconds = min(self.options.seconds, 2)
            words = flags({"threads": threads, "seconds": seconds})
            found: dict = {}
            for _ in range(self.options.rounds):
                values = run_json([self.program("limits"), "memory", *words])["values"]
                values |= {f"{library}_gflops": self.sgemm(library, threads, seconds) for library in ("openblas", "torch")}
                found = {name: max(value, found.get(name, 0.0)) for name, value in values.items()}
            found["sgemm_gflops"] = max(found["openblas_gflops"], found["torch_gflops"])
            found["bandwidth_gbs"] = max(found["copy_gbs"], found["triad_gbs"])
            self.limits |= {name + suffix: value for name, value in found.items()}
        self.limits["threads"] = many


def flags(words: dict) -> list:
    return [part for name, value in words.items() for part in (f"--{name}", value)]


# --- Items: each returns its results


def compared(name: str, unit: str, ours: list[float], torch: dict[str, list[float]]) -> dict:
    """`torch` has the rounds of each mode; the faster one counts."""
    mode = max(torch, key=lambda m: middle(torch[m]))
    return {
        "name": name, "ours": middle(ours), "torch": middle(torch[mode]), "ratio": middle(ours) / middle(torch[mode]), "unit": unit,
        "ours_spread": [min(ours), max(ours)], "torch_mode": mode, "torch_spread": [min(torch[mode]), max(torch[mode])],
        **{f"torch_{m}": middle(values) for m, values in torch.items()},
    }


def model(b: Bench, name: str) -> list[dict]:
    mode, task = name.split("/")
    ours, torch, useful, peaks = [], {m: [] for m in b.options.modes}, [], []
    for turn in range(b.options.rounds):
        argument, lengths = b.lengths(task, turn)
        ours.append(b.ours(task, mode, argument))
        peaks.append(b.sgemm_now())
        for m in torch:
            torch[m].append(b.torch(task, mode, argument, m == "compiled"))
        useful.append(flops.per_token(task, lengths, ours[-1]["activation"], mode == "train"))
    out = compared(name, "tokens/s", [r["tokens_per_s"] for r in ours], {m: [r["tokens_per_s"] for r in t] for m, t in torch.items()})
    best = torch[out["torch_mode"]]
    activation = {who: [middle(list(rates)) for rates in zip(*(r["activation"] for r in runs))]
                  for who, runs in (("ours", ours), ("torch", best))}
    if max(abs(x - y) for x, y in zip(*activation.values())) > 0.1:
        raise Failure(f"found activation rates {rounded(activation['ours'], 2)}, expected about PyTorch's "
                      f"{rounded(activation['torch'], 2)}: both have the same weights")
    fractions = [r["tokens_per_s"] * u * 1e-9 / peak for r, u, peak in zip(ours, useful, peaks)]
    return [{
        **out, "peak_fraction": middle(fractions), "peak_spread": [min(fractions), max(fractions)], "sgemm_gflops": peaks,
        "flops_per_token": middle(useful),
        **{f"{who}_{field}": middle([r[field] for r in runs]) for who, runs in (("ours", ours), ("torch", best))
           for field in ("peak_mb", "base_mb")},
        "ours_activation": activation["ours"], "torch_activation": activation["torch"],
        "batch": BATCH, "threads": b.options.threads, "lengths": describe_lengths(task, lengths),
    }]


def describe_lengths(task: str, lengths: list[int]) -> str:
    source = {"listops": "the ListOps generator's", "text": "log-normal as IMDB's"}.get(task)
    if source is None:
        return f"fixed {lengths[0]}"
    return f"{source}: mean {statistics.mean(lengths):.0f}, median {middle(lengths):.0f}, {min(lengths)} to {max(lengths)}"


UNITS = {"compress": "GB/s", "extract": "GB/s", "ema": "rows/s", "attention": "rows/s", "gemm": "GFLOP/s"}


def operation(b: Bench, name: str) -> list[dict]:
    which = name.split("/")[1]
    words = flags({"threads": b.options.threads, "seconds": min(b.options.seconds, 2)})
    ours, torch = [], []
    for _ in range(b.options.rounds):
        ours.append(run_json([b.program("ops"), which, *words]))
        torch.append(run_json([b.python, PEERS / "ops.py", which, *words], **b.one_pool()))
    results = []
    for case in ours[0]["values"]:
        values = [[r["values"][case] for r in runs] for runs in (ours, torch)]
        out = compared(f"{name}/{case}" if case else name, UNITS[which], values[0], {"eager": values[1]})
        out |= {"peak_fraction": operation_fraction(b, which, case, out["ours"]), "threads": b.options.threads,
                "ours_peak_mb": middle([r["peak_mb"] for r in ours]), "torch_peak_mb": middle([r["peak_mb"] for r in torch])}
        results.append(out)
    return results


def operation_fraction(b: Bench, which: str, case: str, speed: float) -> float:
    if which in ("compress", "extract"):
        return speed / b.limits["bandwidth_gbs"]
    if which == "gemm":
        return speed / b.limits["sgemm_gflops"]
    s = flops.SHAPES["image"]
    if which == "ema":
        useful = flops.ema(s.width, s.states)
    else:
        useful = flops.attention(s.query_width, s.hidden_width, FIXED_LENGTH, s.window) / FIXED_LENGTH
    return speed * useful * (3 if case.endswith("both") else 1) * 1e-9 / b.limits["sgemm_gflops"]


def scaling_length(b: Bench, name: str) -> list[dict]:
    lengths = SCALING_LENGTHS[:2] if b.options.quick else SCALING_LENGTHS
    runs = {length: [] for length in lengths}
    for _ in range(b.options.rounds):
        for length in lengths:
            # One sequence is one shard; half of the steps active, whatever its length.
            runs[length].append(b.ours("listops", "train", f"fixed:{length}", batch=1, threads=1, activation=0.5))
    points = [{
        "length": length, "us_per_token": middle([1e6 / r["tokens_per_s"] for r in measured]),
        "kb_per_token": middle([(r["peak_mb"] - r["base_mb"]) * 1024 / length for r in measured]),
    } for length, measured in runs.items()]
    worst = {field: max(p[field] for p in points[1:]) / points[0][field] for field in ("us_per_token", "kb_per_token")}
    return [{"name": name, "ours": worst["us_per_token"], "unit": "x time/token", "memory": worst["kb_per_token"], "points": points,
             "batch": 1, "threads": 1, "activation": 0.5}]


def scaling_density(b: Bench, name: str) -> list[dict]:
    runs = {rate: [] for rate in SCALING_RATES}
    for _ in range(b.options.rounds):
        for rate in SCALING_RATES:
            runs[rate].append(b.ours("image", "train", "fixed", activation=rate))
    points = []
    for rate, measured in runs.items():
        useful = flops.per_token("image", [FIXED_LENGTH], measured[0]["activation"], True)
        speed = middle([r["tokens_per_s"] for r in measured])
        first = points[0] if points else {"tokens_per_s": speed, "flops_per_token": useful}
        predicted = first["tokens_per_s"] * first["flops_per_token"] / useful
        points.append({"rate": rate, "measured_rate": statistics.mean(measured[0]["activation"]), "tokens_per_s": speed,
                       "flops_per_token": useful, "predicted_tokens_per_s": predicted, "of_predicted": speed / predicted})
    return [{"name": name, "ours": min(p["of_predicted"] for p in points), "unit": "of predicted", "points": points, "batch": BATCH,
             "threads": b.options.threads}]


def scaling_threads(b: Bench, name: str) -> list[dict]:
    if b.options.threads < 2:
        raise Failure("found 1 thread, expected at least 2 to compare with 1")
    results = []
    for task in ("listops", "image"):
        runs = {1: [], b.options.threads: []}
        for turn in range(b.options.rounds):
            argument, _ = b.lengths(task, turn)
            for threads, measured in runs.items():
                measured.append(b.ours(task, "train", argument, threads=threads)["tokens_per_s"])
        one, all_of_them = (middle(measured) for measured in runs.values())
        results.append({"name": f"{name}/{task}", "ours": all_of_them / one, "unit": f"x with {b.options.threads} threads",
                        "points": [{"threads": t, "tokens_per_s": middle(m)} for t, m in runs.items()], "batch": BATCH})
    return results


def ours_alone(b: Bench, program: str, which: str) -> dict:
    """Each of a program's values, over the rounds."""
    words = flags({"threads": 1, "seconds": min(b.options.seconds, 2)})
    runs = [run_json([b.program(program), which, *words])["values"] for _ in range(b.options.rounds)]
    return {case: [r[case] for r in runs] for case in runs[0]}


def scaling_silence(b: Bench, name: str) -> list[dict]:
    return [{"name": f"{name}/{case}", "ours": middle(values), "ours_spread": [min(values), max(values)], "unit": "x time on noise",
             "threads": 1} for case, values in ours_alone(b, "ops", "silence").items()]


def stream(b: Bench, name: str) -> list[dict]:
    found = ours_alone(b, "stream", name.split("/")[1])
    results = []
    for case, values in found.items():
        if case.endswith(" by hand"):
            continue
        out = {"name": f"{name}/{case}", "ours": middle(values), "ours_spread": [min(values), max(values)],
               "unit": "MB" if case.startswith("MB") else "us", "threads": 1}
        if f"{case} by hand" in found:
            by_hand = found[f"{case} by hand"]
            out |= {"by_hand": middle(by_hand), "ratio": middle([a / b for a, b in zip(values, by_hand)])}
        results.append(out)
    return results


def compile_include(b: Bench, name: str) -> list[dict]:
    words = without_launcher(shlex.split(trainer_command()["command"]))
    includes = [w for i, w in enumerate(words) if w.startswith("-I") or w == "-isystem" or (i > 0 and words[i - 1] == "-isystem")]
    source = b.work / "include.cpp"
    source.write_text("#include <sma/sma.hpp>\nint main() {}\n")
    command = [words[0], "-std=c++20", "-O3", *includes, "-c", str(source), "-o", str(b.work / "include.o")]
    return [compiled(b, name, command, str(b.work))]


def compile_trainer(b: Bench, name: str) -> list[dict]:
    entry = trainer_command()
    words = without_launcher(shlex.split(entry["command"]))
    words[words.index("-o") + 1] = str(b.work / "trainer.o")
    return [compiled(b, name, words, entry["directory"])]


def compiled(b: Bench, name: str, command: list[str], directory: str) -> dict:
    taken = [measured_command(command, directory) for _ in range(b.options.rounds)]
    seconds = [t[0] for t in taken]
    return {"name": name, "ours": middle(seconds), "unit": "s", "ours_spread": [min(seconds), max(seconds)],
            "ours_peak_mb": middle([t[1] for t in taken])}


ITEMS = {
    **{f"train/{task}": model for task in TASKS},
    **{f"infer/{task}": model for task in ("listops", "image")},
    **{f"op/{which}": operation for which in UNITS},
    "scaling/length": scaling_length, "scaling/density": scaling_density, "scaling/threads": scaling_threads,
    "scaling/silence": scaling_silence, **{f"stream/{which}": stream for which in ("models", "chunks", "million", "dense")},
    "compile/include": compile_include, "compile/trainer": compile_trainer,
}


# --- Output


def save(path: pathlib.Path, report: dict) -> None:
    """Written aside and renamed."""
    aside = path.with_name(path.name + ".part")
    with aside.open("w") as file:
        json.dump(rounded(report), file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


ROW = "{:<30} {:>12} {:>12} {:<8} {:>6} {:>7} {:>8} {:>8}  {}"


def table_row(r: dict) -> str:
    def number(field: str, form: str = "{:,.0f}") -> str:
        value = r.get(field)
        return "" if value is None else form.format(value)

    def speed(field: str) -> str:
        value = r.get(field)
        return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"

    return ROW.format(r["name"], speed("ours"), speed("torch"), r.get("torch_mode", ""), number("ratio", "{:.2f}"),
                      number("peak_fraction", "{:.1%}"), number("ours_peak_mb"), number("torch_peak_mb"), r["unit"]).rstrip()


class OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        fail(message)


def arguments() -> argparse.Namespace:
    parser = OneLineParser(prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", default=BUILD / "results.json", help="default: build/bench/results.json")
    parser.add_argument("--only", action="append", metavar="NAME", help="this item, or all that begin with NAME/")
    parser.add_argument("--quick", action="store_true", help="a few seconds an item, no compiled PyTorch: to see that all runs")
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))), help="of each program (2)")
    parser.add_argument("--rounds", type=int, help="turns of each program (3)")
    parser.add_argument("--seconds", type=float, help="of measured steps in each run of a model (10)")
    o = parser.parse_args()
    o.rounds = o.rounds if o.rounds is not None else 1 if o.quick else 3
    o.seconds = o.seconds if o.seconds is not None else 0.5 if o.quick else 10.0
    o.modes = ["eager"] if o.quick else ["eager", "compiled"]
    if o.threads < 1 or o.rounds < 1 or not o.seconds > 0:
        parser.error("--threads, --rounds and --seconds: expected more than 0")
    for wanted in o.only or []:
        if not any(chosen(item, [wanted]) for item in ITEMS):
            parser.error(f"--only {wanted}: expected one of {', '.join(ITEMS)}, or what one of them begins with")
    return o


def chosen(item: str, wanted: list[str] | None) -> bool:
    return wanted is None or any(item == w or item.startswith(w.rstrip("/") + "/") for w in wanted)


def main() -> int:
    options = arguments()
    names = [name for name in ITEMS if chosen(name, options.only)]
    report = {"machine": {}, "limits": {}, "results": []}
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        if options.json.is_dir():
            raise IsADirectoryError(21, "is a directory")
        aside = options.json.with_name(options.json.name + ".part")
        aside.open("w").close()
        aside.unlink()
    except OSError as error:
        fail(f"--json {options.json}: cannot be written: {error.strerror}")

    torch_needed = any(ITEMS[name] in (model, operation) for name in names)
    python = set_up(torch_needed, any(not name.startswith("compile/") for name in names))
    failed = 0
    with tempfile.TemporaryDirectory(prefix="seqboat-bench-") as work:
        b = Bench(options, pathlib.Path(work))
        b.python = python
        report["machine"] = machine(options.threads)
        if report["machine"]["load"] > 0.5:
            print(f"load average {report['machine']['load']:.1f}: other programs run, and PyTorch's threads suffer most from that")
        if torch_needed:
            try:
                report["machine"]["torch"] = run([python, "-c", "import torch; print(torch.__version__)"]).strip()
                print("measuring the machine's limits ...", flush=True)
                b.measure_limits()
            except Failure as error:
                fail(f"limits: {error}")
            report["limits"] = b.limits
            print(f"{b.limits['sgemm_gflops']:.0f} GFLOP/s, {b.limits['bandwidth_gbs']:.1f} GB/s with {options.threads} threads")
        print(ROW.format("", "ours", "PyTorch", "", "ratio", "of peak", "our MB", "its MB", "").rstrip(), flush=True)
        for name in names:
            try:
                results = ITEMS[name](b, name)
                for result in results:
                    print(table_row(result), flush=True)
            except Failure as error:
                failed += 1
                results = [{"name": name, "error": str(error)}]
                print(f"{name}: {error}", flush=True)
            report["results"] += results
            save(options.json, report)
    print(f"written: {options.json}")
    if failed:
        print(f"scripts/bench: {failed} of {len(names)} items failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        fail("stopped; what was measured is saved")
