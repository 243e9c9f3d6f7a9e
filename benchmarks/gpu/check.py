#!/usr/bin/env python3
"""What `gpu-check` does on the machine with the GPU: runs what was packed beside it, prints tables, writes JSON. Python 3.9 or later, its
standard library alone; what a stage needs and does not find makes the stage "skipped".

    gpu-check [--json FILE] [--out DIR] [--seconds S]

Exit code 0: all that ran passed, and something ran on a GPU; 1: something failed; 2: nothing ran on a GPU.
"""

import argparse
import concurrent.futures
import datetime
import glob
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent.parent  # the packed folder
PASSED, FAILED, SKIPPED = "passed", "FAILED", "skipped"
NO_GPU, CLEAN_MEMORY, SANITIZER_FOUND = 77, 78, 99  # exit codes of our programs, and the one we ask compute-sanitizer for
RESERVE = 0.03  # of the time, for ending what hangs and for writing
# Shares of the time after which a stage must have ended, the stages before it included; what they leave is its own.
DEADLINES = {"files": 0.02, "card": 0.06, "laws": 0.28, "golden": 0.39, "dirty memory": 0.46, "memcheck": 0.54, "racecheck": 0.58,
             "initcheck": 0.62, "operations": 0.72, "networks": 0.86, "peers": 0.97}
ONE_TEST = 0.17  # share of the time that one test case may take before it counts as hung
ONE_CASE = 0.04  # share of the time that one benchmark may take
SANITIZED = {  # a layer, a model and the library's own scans: test cases of a binary, where it has them
    "memcheck": (("golden_cuda", "layer_bidir_softmax_simple_layernorm_pre.safetensors is reproduced in double"),
                 ("golden_cuda", "lm_causal_relu2_simple.safetensors is reproduced in float"),
                 ("thrust_cuda", "flags of several branches may stand side by side")),
    "racecheck": (("golden_cuda", "layer_bidir_softmax_simple_layernorm_pre.safetensors is reproduced in double"),
                  ("thrust_cuda", "flags of several branches may stand side by side")),
    "initcheck": (("golden_cuda", "layer_bidir_softmax_simple_layernorm_pre.safetensors is reproduced in double"),),
}
OPERATIONS = ("copy", "rows", "ema", "linear", "attention")
TASKS = ("listops", "image")
NETWORKS = [(f"{task}/{kind}", batch, train) for train in (False, True) for task in TASKS
            for kind, batch in (("layer", 8), ("model", 8), ("model", 32))]
PRECISIONS = ("fp32", "tf32", "bf16")


# --- Processes


class Outcome:
    """How a process ended: `code` is None where it had to be ended, negative for a signal."""

    def __init__(self, code, output, seconds):
        self.code, self.output, self.seconds = code, output, seconds

    def last_line(self):
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1][:200] if lines else "no message"

    def ended(self):
        if self.code is not None and self.code < 0:
            return f"killed by {signal.Signals(-self.code).name}"
        return f"exit code {self.code}"


def kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        pass
    try:
        process.wait(5)  # a process whose kernel does not end may stay
    except subprocess.TimeoutExpired:
        pass


def run(command, limit, environment=None):
    """Runs a command for `limit` seconds at most, it and its children."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})},
                                       start_new_session=True)
        except OSError as error:
            return Outcome(127, f"{command[0]}: {error.strerror}", 0.0)
        try:
            code = process.wait(max(limit, 0.05))
        except subprocess.TimeoutExpired:
            kill(process)
            code = None
        except BaseException:
            kill(process)
            raise
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    return Outcome(code, text, time.monotonic() - start)


def json_lines(text):
    values = []
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                values.append(json.loads(line))
            except ValueError:
                pass  # cut off in the middle of a line
    return values


# --- Stages


class Skip(Exception):
    """Why a stage ran nothing."""


class Check:
    def __init__(self, options):
        self.options = options
        self.start = time.monotonic()
        self.stages = []
        self.report = {"program": "gpu-check", "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
                       "gpu": None, "stages": self.stages, "operations": [], "networks": [], "peers": []}
        self.on_gpu = False
        self.log = None

    def left(self, name=None):
        """Seconds until a stage must have ended, or until all must."""
        share = DEADLINES[name] if name else 1 - RESERVE
        return self.start + share * self.options.seconds - time.monotonic()

    def stage(self, name, work):
        """`work` returns (result, note) or raises Skip."""
        start = time.monotonic()
        try:
            if self.left(name) < 0.01 * self.options.seconds:
                raise Skip("out of time")
            result, note = work()
        except Skip as why:
            result, note = SKIPPED, str(why)
        self.stages.append({"name": name, "result": result, "seconds": round(time.monotonic() - start, 2), "note": note})
        print(f"  {name:<14} {result:<8} {self.stages[-1]['seconds']:7.1f}  {note}", flush=True)
        self.write()
        return result

    def keep(self, what, text):
        """Output of something that did not pass."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"==== {what}\n{text.rstrip()}\n")

    def exit_code(self):
        if any(stage["result"] == FAILED for stage in self.stages):
            return 1
        return 0 if self.on_gpu else 2

    def write(self):
        self.report["exit_code"] = self.exit_code()
        path = self.options.json
        aside = path.with_name(path.name + ".new")
        aside.write_text(json.dumps(self.report, indent=1) + "\n", encoding="utf-8")
        aside.replace(path)

    # --- What was packed, and the card

    def files(self):
        contents = HERE / "contents.json"
        try:
            listed = json.loads(contents.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            return FAILED, f"{contents}: {error}"
        self.report["packed"] = {key: value for key, value in listed.items() if key != "files"}
        total = 0
        for name, (size, digest) in listed["files"].items():
            try:
                data = (HERE / name).read_bytes()
            except OSError as error:
                return FAILED, f"{name}: {error.strerror}"
            if len(data) != size or hashlib.sha256(data).hexdigest() != digest:
                return FAILED, f"{name}: found other bytes than were packed"
            total += size
            if name.startswith("bin/") and not os.access(HERE / name, os.X_OK):
                try:
                    os.chmod(HERE / name, 0o755)  # copies may lose it
                except OSError as error:
                    return FAILED, f"{name}: {error.strerror}, expected to be executable"
        return PASSED, f"{len(listed['files'])} files, {total / 2**20:.1f} MiB, as packed of {listed.get('version', 'no version')}"

    def card(self):
        smi = shutil.which("nvidia-smi")
        driver = None
        if smi:
            seen = run([smi, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"],
                       0.02 * self.options.seconds)
            if seen.code == 0:
                driver = [field.strip() for field in seen.output.splitlines()[0].split(",")] if seen.output.strip() else None
        found = run([HERE / "bin" / "bench_gpu", "device"], self.left("card"))
        if found.code == NO_GPU:
            raise Skip(f"no GPU ({found.last_line()[:100]})")
        devices = json_lines(found.output)
        if found.code != 0 or not devices:
            if driver is None:
                raise Skip(f"no GPU (no nvidia-smi; bench_gpu: {found.ended()}, {found.last_line()[:100]})")
            self.keep("bench_gpu device", found.output)
            return FAILED, f"nvidia-smi sees {driver[0]}, bench_gpu does not: {found.ended()}, {found.last_line()[:100]}"
        gpu = devices[0]
        if driver and len(driver) == 3:
            gpu["driver"] = driver[1]
        if float(gpu.get("capability", 9)) < 9:
            raise Skip(f"{gpu['name']} is of compute capability {gpu['capability']}, what was packed needs 9.0")
        self.report["gpu"] = gpu
        return PASSED, (f"{gpu['name']}, driver {gpu.get('driver', '?')} (CUDA {gpu.get('driver_cuda', '?')}), "
                        f"compiled with CUDA {gpu.get('runtime_cuda', '?')}")

    # --- Test cases

    def cases(self, binary):
        """Names of a binary's test cases."""
        listed = run([HERE / "bin" / binary, "--list-test-cases"], 20)
        parts = re.split(r"^=+$", listed.output, flags=re.M)
        names = [line for line in parts[1].splitlines() if line.strip()] if listed.code == 0 and len(parts) >= 3 else []
        if not names:
            self.keep(f"{binary} --list-test-cases", listed.output)
        return names

    @staticmethod
    def only(name):
        # The filter's own characters stand for any one.
        return "--test-case=" + re.sub(r'[,*?\\"\[\]]', "?", name)

    def tests(self, stage, binary, environment=None):
        """Each test case in a process of its own, some at a time, so that one that hangs or crashes takes no other with it."""
        names = self.cases(binary)
        if not names:
            return FAILED, f"{binary} lists no test cases"
        one = ONE_TEST * self.options.seconds

        def judge(name):
            left = self.left(stage)
            if left < 0.5:
                return name, "out of time", None
            done = run([HERE / "bin" / binary, self.only(name)], min(one, left),
                       {"SEQBOAT_GOLDEN_DIR": str(HERE / "golden"), **(environment or {})})
            if done.code is None:
                return name, "out of time" if left < one else f"no end after {one:.0f} s", done
            if done.code == NO_GPU:
                return name, "no GPU", done
            if done.code == CLEAN_MEMORY:
                return name, "clean", done
            if done.code != 0:
                return name, f"{done.ended()}: {self.complaint(done.output)}", done
            if not re.search(r"test cases: +1 \| +1 passed", done.output):
                return name, "no test case of this name ran", done
            return name, PASSED, done

        passed, failures, not_run = 0, [], []
        with concurrent.futures.ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            for name, verdict, done in pool.map(judge, names):
                if verdict == PASSED:
                    passed += 1
                elif verdict in ("out of time", "no GPU", "clean"):
                    not_run.append(verdict)
                else:
                    failures.append((name, verdict))
                    self.keep(f"{stage}: {name}: {verdict}", done.output)
        self.on_gpu |= passed > 0 or bool(failures)
        self.report.setdefault("tests", {})[stage] = {"passed": passed, "not_run": len(not_run),
                                                      "failed": [f"{name}: {verdict}" for name, verdict in failures]}
        if failures:
            return FAILED, f"{len(failures)} of {len(names)} test cases failed: {failures[0][0]}: {failures[0][1]}"
        if not_run:
            why = {"clean": "freed memory comes back clean"}.get(not_run[0], not_run[0])
            raise Skip(why + (f"; the {passed} of {len(names)} test cases that ran passed" if passed else ""))
        return PASSED, f"{passed} test cases"

    @staticmethod
    def complaint(output):
        """The first line that says what is wrong."""
        for line in output.splitlines():
            if "ERROR:" in line or "found" in line and "expected" in line:
                return line.strip()[-160:]
        lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("[doctest]")]
        return lines[-1][:160] if lines else "no message"

    def sanitizer(self, tool):
        program = shutil.which("compute-sanitizer")
        for place in ("/usr/local/cuda/bin/compute-sanitizer", "/usr/local/cuda/compute-sanitizer/compute-sanitizer"):
            program = program or (place if os.access(place, os.X_OK) else None)
        if not program:
            raise Skip("no compute-sanitizer")
        done = 0
        listed = {binary: self.cases(binary) for binary, _ in SANITIZED[tool]}
        wanted = [(binary, name) for binary, name in SANITIZED[tool] if name in listed[binary]]
        if not wanted:
            return FAILED, "none of the test cases named in SANITIZED is there"
        for binary, name in wanted:
            left = self.left(tool)
            outcome = run([program, "--tool", tool, "--error-exitcode", str(SANITIZER_FOUND), "--print-limit", "20",
                           HERE / "bin" / binary, self.only(name)], left, {"SEQBOAT_GOLDEN_DIR": str(HERE / "golden")})
            if outcome.code is None or left < 0.5:
                raise Skip("out of time" + (f"; the {done} of {len(wanted)} test cases that ran passed" if done else ""))
            summary = re.search(r"ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: .*?(\d+) error", outcome.output)
            if outcome.code == NO_GPU:
                raise Skip("no GPU")
            if summary is None:
                self.keep(f"{tool}: {name}", outcome.output)
                unable = re.search(r"[^\n]*(?:not supported|[Ff]ailed to initialize|[Uu]nable to)[^\n]*", outcome.output)
                if unable:
                    raise Skip(f"compute-sanitizer does not run here: {unable.group(0).strip('= ')[:120]}")
                return FAILED, f"{name}: no summary, {outcome.ended()}: {outcome.last_line()}"
            self.on_gpu = True
            errors = int(summary.group(1) or summary.group(2))
            if errors or outcome.code != 0:
                self.keep(f"{tool}: {name}", outcome.output)
                return FAILED, f"{name}: {errors} errors, {outcome.ended()}"
            done += 1
        return PASSED, f"{done} test cases, no errors"

    # --- Benchmarks

    def measure(self, stage, commands, results):
        """Runs bench_gpu once for each of (label, arguments); a line that it printed before it was ended counts."""
        failures, missing = [], []
        environment = {"SEQBOAT_CUBLAS": self.cublas} if self.cublas else {}
        for label, words in commands:
            left = self.left(stage)
            if left < 0.5:
                missing.append(label)
                continue
            done = run([HERE / "bin" / "bench_gpu", *words], min(ONE_CASE * self.options.seconds, left), environment)
            if done.code == NO_GPU:
                raise Skip("no GPU")
            results += json_lines(done.output)
            if done.code is None:
                missing.append(label)
            elif done.code != 0:
                failures.append(f"{label}: {done.ended()}: {done.last_line()}")
                self.keep(f"{stage}: {label}", done.output)
        self.on_gpu |= bool(results) or bool(failures)
        if failures:
            return FAILED, f"{len(failures)} of {len(commands)}: {failures[0]}"
        if missing:
            raise Skip(f"out of time: {', '.join(missing)}" + (f"; {len(results)} numbers are there" if results else ""))
        return PASSED, f"{len(results)} numbers"

    def operations(self):
        found = []
        try:
            return self.measure("operations", [(name, [name, "--seconds", "0.3", *self.options.bench]) for name in OPERATIONS], found)
        finally:
            self.report["operations"] = rated(found)

    def networks(self):
        commands = [(f"{name}/{batch}/{'train' if train else 'forward'}",
                     [name, "--batch", batch, "--seconds", "0.5", *(["--train"] if train else []), *self.options.bench])
                    for name, batch, train in NETWORKS]
        return self.measure("networks", commands, self.report["networks"])

    def find_cublas(self):
        """bench_gpu looks where the system does; here, PyTorch's own and the toolkit's."""
        places = [os.environ.get("SEQBOAT_CUBLAS", "")]
        for path in sys.path:
            places += sorted(glob.glob(os.path.join(path, "nvidia", "*", "lib", "libcublas.so.*")))
        nvcc = shutil.which("nvcc")
        if nvcc:
            places += sorted(glob.glob(str(pathlib.Path(nvcc).resolve().parent.parent / "lib64" / "libcublas.so.*")))
        return next((place for place in places if place and os.path.exists(place)), None)

    # --- All of it

    def go(self):
        options = self.options
        options.out.mkdir(parents=True, exist_ok=True)
        self.log = options.out / "gpu-check.log"
        self.log.write_text("", encoding="utf-8")
        self.cublas = self.find_cublas()
        print(f"gpu-check, {self.report['date']}, at most {options.seconds:.0f} s")
        print(f"  {'stage':<14} {'result':<8} {'seconds':>7}  seen")
        stages = {
            "laws": lambda: self.tests("laws", "thrust_cuda"),
            "golden": lambda: self.tests("golden", "golden_cuda"),
            "dirty memory": lambda: self.tests("dirty memory", "golden_cuda", {"SEQBOAT_DIRTY_MEMORY": "1"}),
            **{tool: lambda tool=tool: self.sanitizer(tool) for tool in SANITIZED},
            "operations": self.operations, "networks": self.networks}
        if self.stage("files", self.files) == FAILED:
            reason = "the files are not those that were packed"
        elif self.stage("card", self.card) != PASSED:
            reason = self.stages[-1]["note"].partition(" (")[0] if self.stages[-1]["result"] == SKIPPED else "no GPU to rely on"
        else:
            reason = None

        def skip():
            raise Skip(reason)

        with tempfile.TemporaryDirectory(prefix="gpu-check-") as scratch:
            peers = Peers(self, pathlib.Path(scratch))
            try:
                if reason is None:
                    peers.prepare()
                for name, work in stages.items():
                    if name == "operations" and reason is None:
                        peers.settle(self.left("operations") - 0.08 * options.seconds)
                    self.stage(name, work if reason is None else skip)
                self.stage("peers", peers.measure if reason is None else skip)
            finally:
                peers.end()
        self.report["ratios"] = ratios(self.report["networks"], self.report["peers"])
        self.report["seconds"] = round(time.monotonic() - self.start, 1)
        self.write()
        for table in (operations_table(self.report["operations"]), networks_table(self.report["ratios"])):
            if table:
                print("\n" + table)
        counts = [sum(stage["result"] == result for stage in self.stages) for result in (PASSED, FAILED, SKIPPED)]
        print(f"\n{counts[0]} passed, {counts[1]} failed, {counts[2]} skipped in {self.report['seconds']:.0f} s; {options.json}"
              + (f", {self.log}" if self.log.stat().st_size else ""))
        return self.exit_code()


class Peers:
    """PyTorch in processes of their own, one a task and precision. They compile while the tests run, some at a time, then wait for their
    turn to be timed, so that nothing else runs meanwhile."""

    def __init__(self, check, scratch):
        self.check, self.scratch = check, scratch
        self.why = None
        self.waiting, self.ready, self.lock, self.threads = [], {}, threading.Lock(), []
        self.processes, self.errors, self.closed = [], [], False

    def prepare(self):
        for task in TASKS:
            for kind in ("layer", "model"):
                done = run([HERE / "bin" / "bench_gpu", f"{task}/{kind}", "--weights",
                            self.scratch / f"{task}-{kind}.safetensors"], 30)
                if done.code != 0:
                    self.why = f"no weights: bench_gpu {task}/{kind}: {done.ended()}: {done.last_line()}"
                    return
        self.waiting = [(task, precision) for precision in PRECISIONS for task in TASKS]
        for _ in range(max(1, min(len(self.waiting), (os.cpu_count() or 1) // 4))):
            thread = threading.Thread(target=self.prepare_some, daemon=True)
            thread.start()
            self.threads.append(thread)

    def prepare_some(self):
        while True:
            with self.lock:
                if not self.waiting or self.why or self.closed:
                    return
                key = self.waiting.pop(0)
            options = self.check.options
            command = [os.environ.get("SEQBOAT_PEER_PYTHON", sys.executable), HERE / "gpu" / "peer.py", "--task", key[0],
                       "--precision", key[1], "--weights", self.scratch, "--wait", *options.peer]
            environment = {"PYTHONUNBUFFERED": "1", "TORCHINDUCTOR_COMPILE_THREADS": "4",
                           "TORCHINDUCTOR_CACHE_DIR": str(self.scratch / "inductor"), "TRITON_CACHE_DIR": str(self.scratch / "triton")}
            # A file, which cannot fill up as a pipe does.
            errors = tempfile.TemporaryFile()
            try:
                process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                           stderr=errors, env={**os.environ, **environment}, text=True, start_new_session=True)
            except OSError as error:
                self.why = f"{command[0]}: {error.strerror}"
                return
            with self.lock:
                self.processes.append(process)
                if self.closed:
                    kill(process)
            for line in process.stdout:
                values = json_lines(line)
                if values and "skipped" in values[0]:
                    self.why = values[0]["skipped"]
                    break
                if values and "ready" in values[0]:
                    self.check.report["torch"] = values[0].get("torch")
                    with self.lock:
                        self.ready[key] = process
                    break
                if values:
                    self.check.report["peers"].append(values[0])
            else:
                errors.seek(0)
                text = errors.read().decode("utf-8", "replace")
                if not self.closed:
                    self.errors.append(f"{key[0]} {key[1]}: {Outcome(process.wait(), text, 0).last_line()}")
                    self.check.keep(f"peers: {key[0]} {key[1]}", text)

    def settle(self, limit):
        """Until all are ready or have given up; who is not by then is ended, so that it disturbs no timing."""
        end = time.monotonic() + limit
        for thread in self.threads:
            thread.join(max(0.0, end - time.monotonic()))
        with self.lock:
            self.closed = True
            late = [process for process in self.processes if process not in self.ready.values()]
        for process in late:
            kill(process)

    def measure(self):
        results = self.check.report["peers"]
        if self.why:
            raise Skip(self.why)
        late = []
        for key in [(task, precision) for precision in PRECISIONS for task in TASKS]:
            process = self.ready.get(key)
            left = self.check.left("peers")
            if process is None or left < 1:
                late.append(" ".join(key))
                continue
            timer = threading.Timer(left, kill, [process])
            timer.start()
            try:
                process.stdin.write("go\n")
                process.stdin.close()
                for line in process.stdout:
                    results += json_lines(line)
                process.wait()
            except (BrokenPipeError, ValueError):
                pass
            timer.cancel()
            if process.returncode != 0:
                late.append(" ".join(key))
        wrong = [result for result in results if "error" in result]
        for result in wrong:
            self.check.keep(f"peers: {result['case']} {result['torch']} {result['precision']}", result["error"])
        numbers = len(results) - len(wrong)
        # A peer that fails says nothing about this library.
        lost = self.errors + [f"{r['case']} {r['torch']} {r['precision']}: {r['error'][:80]}" for r in wrong]
        if numbers == 0 or lost or late:
            what = f"not in time or ended: {', '.join(late)}" if late and not lost else lost[0] if lost else "no numbers"
            raise Skip(f"{what}" + (f"; {numbers} numbers are there" if numbers else ""))
        return PASSED, f"{numbers} numbers, PyTorch {self.check.report.get('torch')}"

    def end(self):
        self.closed = True
        for process in self.processes:
            if process.poll() is None:
                kill(process)


# --- Numbers


def rated(lines):
    """Adds to each operation its rate, and the rate's share of what the card does at most: a copy's, or cuBLAS's of the same shape."""
    seconds = {line["case"]: line["seconds"][0] for line in lines}
    copy = next((line["bytes"] / line["seconds"][0] for line in lines if line["case"] == "copy"), None)
    for line in lines:
        median = line["seconds"][0]
        base, _, last = line["case"].rpartition("/")
        if "bytes" in line:
            line["rate"], line["unit"] = line["bytes"] / median * 1e-9, "GB/s"
            line["share"] = line["bytes"] / median / copy if copy else None
            line["of"] = "copy"
        elif "flops" in line:
            line["rate"], line["unit"] = line["flops"] / median * 1e-9, "GFLOP/s"
            limit = seconds.get(base + "/cublas")
            if limit and last in ("forward", "both"):
                line["share"], line["of"] = (3 if last == "both" else 1) * limit / median, "cuBLAS fp32"
        else:
            line["rate"], line["unit"] = line["rows"] / median * 1e-6, "million rows/s"
    return lines


def ratios(networks, peers):
    """A row a case: ours, PyTorch's of each kind, and how many times ours is faster than the faster of eager and compiled in fp32."""
    table = {}
    for line in networks:
        table.setdefault(line["case"], {})["ours"] = line
    for line in peers:
        if "seconds" in line:
            table.setdefault(line["case"], {})[f"{line['torch']} {line['precision']}"] = line
    rows = []
    for case, found in table.items():
        row = {"case": case}
        for name, line in found.items():
            row[name] = round(line["rows"] / line["seconds"][0])
            row[name + " spread"] = [round(line["rows"] / s) for s in (line["seconds"][2], line["seconds"][1])]
            if line.get("activation"):
                row.setdefault("activation", {})["ours" if name == "ours" else "torch"] = round(statistics.mean(line["activation"]), 3)
        best = max((row[name] for name in ("eager fp32", "compiled fp32") if name in row), default=None)
        if best and "ours" in row:
            row["ratio"] = round(row["ours"] / best, 3)
        rows.append(row)
    return rows


def table(head, rows):
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))).rstrip()
                     for row in [head, *rows])


def operations_table(lines):
    rows = []
    for line in lines:
        least, most = (line["rate"] * line["seconds"][0] / line["seconds"][at] for at in (2, 1))
        share = f"{line['share']:.3f} of {line['of']}" if line.get("share") is not None else ""
        rows.append([line["case"], f"{line['rate']:.1f}", f"{least:.1f} .. {most:.1f}", line["unit"], share])
    return table(["operation", "rate", "spread", "unit", "share"], rows) if rows else ""


def networks_table(rows):
    columns = ["ours"] + [f"{kind} {precision}" for precision in PRECISIONS for kind in ("eager", "compiled")] + ["ratio"]
    lines = [[row["case"], *(("-" if row.get(c) is None else f"{row[c]:.3f}" if c == "ratio" else f"{row[c] / 1e3:.1f}") for c in columns)]
             for row in rows]
    return (table(["thousand rows/s", *columns], lines)
            + "\nratio: ours (fp32) over the faster of PyTorch eager and compiled in fp32; tf32 and bf16 are what it does in less") if rows else ""


def main():
    parser = argparse.ArgumentParser(prog="gpu-check", description="Checks this library on a GPU and times it against PyTorch.")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="(DIR/gpu-check.json)")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("gpu-check-out"), metavar="DIR",
                        help="for the JSON and for the output of what did not pass (gpu-check-out)")
    parser.add_argument("--seconds", type=float, default=350, help="all of it takes at most (350)")
    parser.add_argument("--bench", type=str.split, default=[], help=argparse.SUPPRESS)  # further words for bench_gpu and peer.py,
    parser.add_argument("--peer", type=str.split, default=[], help=argparse.SUPPRESS)  # to try all this without a GPU
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    options.json = options.json or options.out / "gpu-check.json"
    options.json.parent.mkdir(parents=True, exist_ok=True)
    sys.exit(Check(options).go())


if __name__ == "__main__":
    main()
