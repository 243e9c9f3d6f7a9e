#!/usr/bin/env python3
"""What gpu-check says of a GPU, of its absence, and of programs that fail, crash, hang or are missing: with stand-ins for all of them.

    gpu_check_test.py [-v] [TEST...]
"""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Test cases are the lines of $LAWS or $GOLDEN; what their names say, they do.
TESTS = r'''#!/bin/bash
set -u
names=${LAWS-a sum is a sum}
[[ $0 == *golden_cuda ]] && names=${GOLDEN-layer_bidir_softmax_simple_layernorm_pre.safetensors is reproduced in double}
case $1 in
  --list*) printf '[doctest] listing all test case names\n=====\n%s\n=====\n[doctest] unskipped test cases: 1\n' "$names" ;;
  *hangs*) (exec -a "$0" sleep 1000); exit 3 ;;
  *crashes*) kill -SEGV $$ ;;
  *fails*) echo "x_test.cpp:3: ERROR: CHECK( 1 == 2 ) is NOT correct!"; exit 1 ;;
  *"is not found"*) echo "[doctest] test cases: 0 | 0 passed | 0 failed | 0 skipped" ;;
  *) [[ -n ${SEQBOAT_DIRTY_MEMORY-} && -n ${CLEAN-} ]] && exit 78
     [[ -d $SEQBOAT_GOLDEN_DIR ]] || exit 1
     echo "[doctest] test cases:  1 |  1 passed | 0 failed | 0 skipped" ;;
esac
'''
BENCH = r'''#!/bin/bash
[[ -n ${NO_GPU-} ]] && { echo "bench_gpu: no GPU: no driver" >&2; exit 77; }
case "$*" in
  device) echo '{"name": "Stand-in", "capability": "9.0", "driver_cuda": "13.0", "runtime_cuda": "13.0"}' ;;
  *--weights*) ;;
  *"${BENCH_CRASHES-none}"*) kill -SEGV $$ ;;
  copy*) echo '{"case": "copy", "seconds": [0.001, 0.001, 0.002], "bytes": 3e9}' ;;
  linear*) echo '{"case": "linear/8x8/cublas", "seconds": [0.001, 0.001, 0.001], "flops": 1e9}'
           echo '{"case": "linear/8x8/forward", "seconds": [0.004, 0.004, 0.004], "flops": 1e9}'
           [[ -n ${BENCH_HANGS-} ]] && sleep 1000
           echo '{"case": "linear/8x8/both", "seconds": [0.006, 0.006, 0.006], "flops": 3e9}' ;;
  */*) name=$1/$3/forward; [[ $* == *--train* ]] && name=$1/$3/train
       echo '{"case": "'$name'", "seconds": [0.010, 0.009, 0.011], "rows": 8000, "activation": [0.5]}' ;;
  *) echo '{"case": "'$1'", "seconds": [0.002, 0.001, 0.003], "bytes": 3e9}' ;;
esac
'''
PEER = r'''
import json, os, sys, time
kind = os.environ.get("PEER", "")
if kind == "missing":
    print(json.dumps({"skipped": "no PyTorch: none"})); sys.exit(77)
if kind == "dies": sys.exit("peer.py: found no Triton")
if kind == "slow": time.sleep(1000)
task, precision = sys.argv[2], sys.argv[4]
print(json.dumps({"ready": True, "torch": "2.0"}), flush=True)
if not sys.stdin.readline(): sys.exit()
for how, seconds in (("eager", 0.008), ("compiled", 0.005)):
    about = {"case": task + "/layer/8/forward", "torch": how, "precision": precision}
    if kind == "throws" and how == "compiled":
        print(json.dumps({**about, "error": "RuntimeError: no kernel"}))
    else:
        print(json.dumps({**about, "seconds": [seconds, seconds, seconds], "rows": 8000, "activation": [0.51]}))
'''
SANITIZER = r'''#!/bin/bash
case ${SANITIZER-} in
  finds) echo "========= Invalid __global__ read"; echo "========= ERROR SUMMARY: 3 errors"; exit 99 ;;
  refuses) echo "========= Error: Device not supported. Please refer to the documentation"; exit 1 ;;
esac
[[ $2 == racecheck ]] && echo "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)" || echo "========= ERROR SUMMARY: 0 errors"
'''
SMI = '#!/bin/bash\n[[ -n ${NO_GPU-} ]] && exit 9\necho "Stand-in, 580.1, 81559 MiB"\n'


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def running_of(folder):
    """Command lines of processes that name a folder."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue  # it has ended
        if str(folder) in words:
            found.append(words)
    return found


class GpuCheck(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.pack = self.folder / "pack"
        for name in ("thrust_cuda", "golden_cuda"):
            write(self.pack / "bin" / name, TESTS)
        write(self.pack / "bin" / "bench_gpu", BENCH)
        write(self.pack / "gpu" / "peer.py", PEER)
        write(self.pack / "golden" / "manifest.json", "{}")
        shutil.copy(ROOT / "benchmarks" / "gpu" / "check.py", self.pack / "gpu")
        shutil.copy(ROOT / "scripts" / "gpu-check", self.pack)
        self.list_files()
        self.tools = self.folder / "tools"
        write(self.tools / "compute-sanitizer", SANITIZER)
        write(self.tools / "nvidia-smi", SMI)

    def list_files(self):
        files = {str(path.relative_to(self.pack)): [path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()]
                 for path in sorted(self.pack.rglob("*")) if path.is_file() and path.name != "contents.json"}
        write(self.pack / "contents.json", json.dumps({"version": "v1", "files": files}))

    def check(self, seconds=60, **environment):
        """Runs gpu-check; keeps what it printed, its JSON, and the stages by name."""
        out = self.folder / "out"
        paths = [str(self.tools), os.path.dirname(sys.executable), "/usr/bin", "/bin"]
        start = time.monotonic()
        process = subprocess.Popen([self.pack / "gpu-check", "--out", out, "--seconds", str(seconds)], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   env={"PATH": ":".join(paths), "SEQBOAT_PEER_PYTHON": sys.executable, **environment})
        self.text, _ = process.communicate(timeout=seconds + 60)
        self.seconds = time.monotonic() - start
        self.code = process.returncode
        self.report = json.loads((out / "gpu-check.json").read_text(encoding="utf-8"))
        self.assertEqual(self.report["exit_code"], self.code, self.text)
        self.stages = {stage["name"]: stage for stage in self.report["stages"]}
        self.results = {name: stage["result"] for name, stage in self.stages.items()}

    def test_all_passes_and_numbers_are_rates(self):
        self.check()
        self.assertEqual(set(self.results.values()), {"passed"}, self.text)
        self.assertEqual(self.code, 0)
        self.assertEqual(self.report["gpu"]["driver"], "580.1")
        operations = {line["case"]: line for line in self.report["operations"]}
        self.assertAlmostEqual(operations["copy"]["rate"], 3000)
        self.assertAlmostEqual(operations["ema"]["share"], 0.5)
        self.assertAlmostEqual(operations["linear/8x8/forward"]["share"], 0.25)
        self.assertAlmostEqual(operations["linear/8x8/both"]["share"], 0.5)
        rows = {row["case"]: row for row in self.report["ratios"]}
        row = rows["listops/layer/8/forward"]
        self.assertEqual([row["ours"], row["eager fp32"], row["compiled bf16"], row["ratio"]], [800000, 1000000, 1600000, 0.5])
        self.assertEqual(row["activation"], {"ours": 0.5, "torch": 0.51})
        self.assertIn("image/model/32/train", rows)
        self.assertIn("11 passed, 0 failed, 0 skipped", self.text)

    def test_without_a_gpu_all_is_skipped_and_the_code_is_2(self):
        self.check(NO_GPU="1")
        self.assertEqual(self.code, 2, self.text)
        self.assertEqual({name for name, result in self.results.items() if result == "passed"}, {"files"})
        self.assertEqual(self.results["laws"], "skipped")
        self.assertNotIn("FAILED", self.text)

    def test_without_nvidia_smi_the_programs_tell_whether_there_is_a_gpu(self):
        (self.tools / "nvidia-smi").unlink()
        self.check()
        self.assertEqual((self.code, self.results["card"]), (0, "passed"), self.text)

    def test_a_gpu_that_the_programs_do_not_see_fails(self):
        write(self.pack / "bin" / "bench_gpu", "#!/bin/bash\necho 'bench_gpu: libfoo.so: cannot open' >&2\nexit 127\n")
        self.list_files()
        self.check()
        self.assertEqual((self.code, self.results["card"], self.results["laws"]), (1, "FAILED", "skipped"), self.text)

    def test_a_test_case_that_fails_crashes_or_finds_nothing_fails_and_the_others_run(self):
        for what in ("fails", "crashes", "is not found"):
            self.check(LAWS=f"one that {what}\na sum is a sum\nanother, with commas")
            self.assertEqual((self.code, self.results["laws"], self.results["golden"]), (1, "FAILED", "passed"), self.text)
            self.assertEqual(self.report["tests"]["laws"]["passed"], 2)
            self.assertIn(f"one that {what}", self.stages["laws"]["note"])
            self.assertIn(f"one that {what}", (self.folder / "out" / "gpu-check.log").read_text())

    def test_a_test_case_that_hangs_fails_and_nothing_of_it_stays(self):
        self.check(seconds=12, LAWS="one that hangs\na sum is a sum")
        self.assertEqual((self.code, self.results["laws"]), (1, "FAILED"), self.text)
        self.assertIn("no end after", self.stages["laws"]["note"])
        self.assertEqual(self.report["tests"]["laws"]["passed"], 1)
        self.assertEqual(running_of(self.pack), [])

    def test_stages_without_time_are_skipped_and_the_whole_ends_in_time(self):
        self.check(seconds=10, GOLDEN="\n".join(f"{i} hangs" for i in range(40)))
        self.assertEqual(self.code, 1, self.text)
        self.assertEqual(self.results["golden"], "FAILED")
        self.assertLess(self.seconds, 25)
        self.check(seconds=0.5)
        self.assertEqual(self.results["peers"], "skipped", self.text)
        self.assertIn("out of time", self.text)
        self.assertNotIn("FAILED", self.text)

    def test_what_is_missing_is_skipped_and_the_rest_counts(self):
        (self.tools / "compute-sanitizer").unlink()
        self.check(PEER="missing", CLEAN="1")
        self.assertEqual(self.code, 0, self.text)
        skipped = {name for name, result in self.results.items() if result == "skipped"}
        self.assertEqual(skipped, {"memcheck", "racecheck", "initcheck", "peers", "dirty memory"})
        self.assertIn("no PyTorch", self.stages["peers"]["note"])
        self.assertIn("5 skipped", self.text)

    def test_the_sanitizer_fails_on_errors_and_is_skipped_where_it_does_not_run(self):
        self.check(SANITIZER="finds")
        self.assertEqual((self.code, self.results["memcheck"]), (1, "FAILED"), self.text)
        self.assertIn("3 errors", self.stages["memcheck"]["note"])
        self.check(SANITIZER="refuses")
        self.assertEqual((self.code, self.results["memcheck"]), (0, "skipped"), self.text)
        self.assertIn("Device not supported", self.stages["memcheck"]["note"])

    def test_a_benchmark_that_crashes_fails_and_one_that_hangs_keeps_its_numbers(self):
        self.check(BENCH_CRASHES="image/model --batch 32")
        self.assertEqual((self.code, self.results["networks"]), (1, "FAILED"), self.text)
        self.check(seconds=15, BENCH_HANGS="1")
        self.assertEqual((self.code, self.results["operations"], self.results["networks"]), (0, "skipped", "passed"), self.text)
        self.assertEqual([line["case"] for line in self.report["operations"] if "linear" in line["case"]],
                         ["linear/8x8/cublas", "linear/8x8/forward"])

    def test_peers_that_die_throw_or_compile_too_long_are_skipped_with_the_reason(self):
        for peer, seconds, says in (("dies", 60, "found no Triton"), ("throws", 60, "no kernel"), ("slow", 8, "not in time")):
            self.check(seconds=seconds, PEER=peer)
            self.assertEqual((self.code, self.results["peers"]), (0, "skipped"), self.text)
            self.assertIn(says, self.stages["peers"]["note"])
        self.check(PEER="throws")
        self.assertEqual({line["torch"] for line in self.report["peers"] if "seconds" in line}, {"eager"})

    def test_files_that_changed_on_the_way_fail_and_nothing_runs(self):
        write(self.pack / "bin" / "thrust_cuda", TESTS + "\n")
        self.check()
        self.assertEqual((self.code, self.results["files"], self.results["laws"]), (1, "FAILED", "skipped"), self.text)
        self.assertIn("bin/thrust_cuda", self.stages["files"]["note"])

    def test_a_program_that_lost_its_mode_on_the_way_runs(self):
        for path in (self.pack / "bin").iterdir():
            path.chmod(0o644)
        self.check()
        self.assertEqual(self.code, 0, self.text)

    def test_ended_from_outside_it_ends_its_programs(self):
        out = self.folder / "out"
        process = subprocess.Popen([self.pack / "gpu-check", "--out", out], stdout=subprocess.PIPE, text=True,
                                   env={"PATH": f"{self.tools}:{os.path.dirname(sys.executable)}:/usr/bin:/bin",
                                        "SEQBOAT_PEER_PYTHON": sys.executable, "PEER": "slow", "BENCH_HANGS": "1"})
        for line in process.stdout:
            if "initcheck" in line:
                break
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1)
        self.assertEqual(running_of(self.pack), [])
        self.assertEqual(json.loads((out / "gpu-check.json").read_text())["stages"][2]["result"], "passed")


class Pack(unittest.TestCase):
    """scripts/gpu-check --pack, with stand-ins for nvcc and for what is built."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.tree = self.folder / "tree"
        (self.tree / "scripts").mkdir(parents=True)
        shutil.copy(ROOT / "scripts" / "gpu-check", self.tree / "scripts")
        for part in ("benchmarks/gpu", "benchmarks/peers"):
            shutil.copytree(ROOT / part, self.tree / part)
        write(self.tree / "tests" / "golden" / "manifest.json", "{}")
        write(self.tree / "tests" / "golden" / "layer.safetensors", "numbers")
        write(self.folder / "tools" / "nvcc", "#!/bin/bash\necho 'Cuda compilation tools, release 13.0, V13.0.88'\n")
        self.build("/bin/true")

    def build(self, program):
        write(self.tree / "scripts" / "build",
              "#!/bin/bash\ncd \"$(dirname \"$0\")/..\"; shift\nmkdir -p build/gpu/{tests,benchmarks/gpu}\n"
              f"for name in \"$@\"; do d=tests; [[ $name == bench_gpu ]] && d=benchmarks/gpu; cp {program} build/gpu/$d/$name; done\n")

    def run_it(self, *words):
        done = subprocess.run([self.tree / "scripts" / "gpu-check", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=120, cwd=self.folder,
                              env={"PATH": f"{self.folder / 'tools'}:{os.path.dirname(sys.executable)}:/usr/bin:/bin"})
        return done.returncode, done.stdout

    def test_what_is_packed_is_all_that_the_folder_needs(self):
        code, text = self.run_it("--pack", "out")
        self.assertEqual(code, 0, text)
        self.assertIn("MiB", text)
        shutil.rmtree(self.tree)
        contents = json.loads((self.folder / "out" / "contents.json").read_text(encoding="utf-8"))
        self.assertEqual(set(contents["files"]), {
            "gpu-check", "gpu/check.py", "gpu/peer.py", "peers/run.py", "peers/seqboat.py", "golden/manifest.json",
            "golden/layer.safetensors", "bin/bench_gpu", "bin/thrust_cuda", "bin/golden_cuda"})
        self.assertEqual(contents["cuda"], "13.0")
        done = subprocess.run([self.folder / "out" / "gpu-check", "--out", self.folder / "ran"], stdout=subprocess.PIPE, text=True)
        self.assertRegex(done.stdout, "files +passed")

    def test_a_second_pack_replaces_the_first_and_nothing_else(self):
        self.run_it("--pack", "out")
        (self.folder / "out" / "old").touch()
        self.assertEqual(self.run_it("--pack", "out")[0], 0)
        self.assertFalse((self.folder / "out" / "old").exists())
        (self.folder / "mine").mkdir()
        (self.folder / "mine" / "thesis").touch()
        code, text = self.run_it("--pack", "mine")
        self.assertEqual(code, 1)
        self.assertIn("found other files there", text)
        self.assertTrue((self.folder / "mine" / "thesis").exists())

    def test_more_than_64_mib_are_refused(self):
        with (self.tree / "tests" / "golden" / "layer.safetensors").open("wb") as file:
            file.truncate(64 << 20)
        code, text = self.run_it("--pack", "out")
        self.assertEqual((code, list(self.folder.glob("out*"))), (1, []), text)
        self.assertIn("expected at most 67108864", text)

    def test_programs_that_need_more_than_the_c_library_are_refused(self):
        self.build(shutil.which("readelf", path="/usr/bin"))  # which needs more than it
        code, text = self.run_it("--pack", "out")
        self.assertEqual((code, list(self.folder.glob("out*"))), (1, []), text)
        self.assertIn("expected the C library alone", text)


if __name__ == "__main__":
    unittest.main()
