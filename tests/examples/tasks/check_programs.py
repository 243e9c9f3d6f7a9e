#!/usr/bin/env python3
"""What the LRA trainers do with bad input: one line that says where, what was found and what was expected, exit code 1, and
checkpoints as they were; with signals; and what they write where stderr is a terminal and where it is none.

    check_programs.py --listops build/examples/lra_listops --image build/examples/lra_image [NAME...]

Without names every case runs.
"""

import argparse
import gzip
import json
import os
import pathlib
import pty
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time

EXPRESSIONS = [("[MAX 2 9 ]", 9), ("[MIN 4 [SM 8 7 ] ]", 4), ("[MED 1 2 3 ]", 2), ("[SM 5 5 ]", 0)]
PIXELS = bytes(range(16))


class Failure(Exception):
    pass


class Programs:
    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.folder = folder

    def path(self, name):
        return str(self.folder / name)

    def listops(self, *options, preset="small", **keywords):
        return run(self.arguments.listops, "--preset", preset, "--threads", "1", "--quiet", *options, **keywords)

    def image(self, *options):
        return run(self.arguments.image, "--preset", "small", "--threads", "1", "--quiet", *options)

    def expressions(self, train=None):
        """A folder with the benchmark's three files; `train` replaces the training file's lines after the header."""
        folder = self.folder / "listops"
        folder.mkdir()
        lines = [f"( {source} )\t{target}" for source, target in EXPRESSIONS]
        for split in ("train", "val", "test"):
            body = train if train is not None and split == "train" else lines
            (folder / f"basic_{split}.tsv").write_text("\n".join(["Source\tTarget", *body]) + "\n", encoding="utf-8")
        return str(folder)

    def pictures(self, height=4):
        """A folder with six pictures of 4 x 4, or less high, in the four IDX files."""
        folder = self.folder / f"idx{height}"
        folder.mkdir()
        for split in ("train", "t10k"):
            images = struct.pack(">IIII", 0x803, 6, height, 4) + PIXELS[:4 * height] * 6
            labels = struct.pack(">II", 0x801, 6) + bytes(range(6))
            (folder / f"{split}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
            (folder / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
        return folder

    def trained(self):
        """Data and a folder of checkpoints after two updates."""
        data = self.expressions()
        save = self.path("run")
        expect_success(self.listops("--data", data, "--save", save, "--steps", "2", "--batch", "2"))
        return data, save

    def resume(self, data, save, *options, steps=2, **keywords):
        return self.listops("--data", data, "--save", save, "--resume", "--steps", str(steps), "--batch", "2", *options,
                            **keywords)

    def start(self, *options, **keywords):
        """A trainer under way: it has written a line of its log."""
        log = self.path("log.jsonl")
        process = subprocess.Popen([self.arguments.listops, "--preset", "small", "--threads", "1", "--batch", "1",
                                    "--eval-every", "0", "--log", log, *options], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True, **keywords)
        begin = time.monotonic()
        size = os.path.getsize(log) if os.path.exists(log) else 0
        while process.poll() is None and time.monotonic() < begin + 120:
            if os.path.exists(log) and os.path.getsize(log) > size:
                return process
            time.sleep(0.01)
        process.kill()
        raise Failure(f"the trainer wrote no line: {process.communicate()[1]}")


def run(program, *options, largest_file=None):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit then fails as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    return subprocess.run([program, *options], capture_output=True, text=True, errors="replace", timeout=300,
                          preexec_fn=limit if largest_file is not None else None, check=False)


def expect(condition, what):
    if not condition:
        raise Failure(what)


def expect_success(result):
    if result.returncode != 0:
        raise Failure(f"found exit code {result.returncode}, expected 0: {result.stderr}")


def expect_error(result, *words):
    if result.returncode != 1:
        raise Failure(f"found exit code {result.returncode}, expected 1: {result.stderr}")
    expect_line(result.stderr, *words)


def expect_line(text, *words):
    """The text is one line, with its end, and says the words."""
    if re.search(r"[^\n -~]", text) or text.count("\n") != 1 or not text.endswith("\n") or len(text) > 600:
        raise Failure(f"found {text!r}, expected one line of printable characters")
    for word in words:
        if word not in text:
            raise Failure(f"the message does not say '{word}': {text}")


def steps_of(log, kind="train"):
    """The steps of the lines of a log, all of which are JSON objects."""
    lines = [json.loads(line, parse_constant=lambda text: expect(False, f"the log holds {text}"))
             for line in pathlib.Path(log).read_text(encoding="utf-8").splitlines()]
    return [line["step"] for line in lines if line["kind"] == kind]


def contents(folder):
    return {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir()}


def expect_unchanged(folder, before):
    if contents(folder) != before:
        raise Failure(f"{folder} is not as it was: {sorted(before)} before, {sorted(contents(folder))} now")


def malformed_tsv_line(programs):
    data = programs.expressions(["( [MAX 2 9 ] )\t9", "( [MAX 2 x ] )\t2"])
    expect_error(programs.listops("--data", data, "--steps", "1"), "basic_train.tsv:3", "'x'", "expected")


def no_data(programs):
    expect_error(programs.listops("--data", programs.path("nothing"), "--steps", "1"), "nothing", "expected")


def neither_data_nor_generate(programs):
    expect_error(programs.listops("--steps", "1"), "--data", "--generate")


def not_a_number_in_training(programs):
    data, save = programs.trained()
    before = contents(save)
    result = programs.resume(data, save, "--lr", "1e38", "--eval-every", "0", "--change-recipe", steps=400)
    expect_error(result, "training step", "found loss", "expected finite")
    expect_unchanged(save, before)


def nothing_to_resume(programs):
    data = programs.expressions()
    expect_error(programs.resume(data, programs.path("empty")), "last.safetensors", "No such file")


def truncated_checkpoint(programs):
    data, save = programs.trained()
    last = pathlib.Path(save) / "last.safetensors"
    last.write_bytes(last.read_bytes()[:-100])
    before = contents(save)
    expect_error(programs.resume(data, save), "last.safetensors", "found", "expected")
    expect_unchanged(save, before)


def hostile_checkpoint_header(programs):
    data, save = programs.trained()
    last = pathlib.Path(save) / "last.safetensors"
    for header in (struct.pack("<Q", 2**63), struct.pack("<Q", 10) + b'{"a":[[[[['):
        last.write_bytes(header + last.read_bytes()[8:60])
        expect_error(programs.resume(data, save), "last.safetensors", "found", "expected")


def checkpoint_of_another_model(programs):
    data, save = programs.trained()
    before = contents(save)
    result = programs.resume(data, save, preset="paper")
    expect_error(result, "last.safetensors", "tensor '", "found", "expected")
    expect_unchanged(save, before)


def full_disk(programs):
    data, save = programs.trained()
    before = contents(save)
    size = (pathlib.Path(save) / "last.safetensors").stat().st_size
    result = programs.resume(data, save, "--change-recipe", steps=4, largest_file=size // 2)
    expect_error(result, ".safetensors: write failed after ")
    expect_unchanged(save, before)


def full_disk_under_the_log(programs):
    data = programs.expressions()
    expect_error(programs.listops("--data", data, "--steps", "2", "--log", "/dev/full"), "/dev/full")


def short_idx_file(programs):
    folder = programs.pictures()
    images = folder / "train-images-idx3-ubyte.gz"
    images.write_bytes(gzip.compress(gzip.decompress(images.read_bytes())[:-5]))
    result = programs.image("--data", str(folder), "--steps", "1")
    expect_error(result, "train-images-idx3-ubyte.gz", "found 91", "expected 96")


def torn_gzip_file(programs):
    folder = programs.pictures()
    labels = folder / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(labels.read_bytes()[:-9])
    expect_error(programs.image("--data", str(folder), "--steps", "1"), "t10k-labels-idx1-ubyte.gz")


def good_pictures(programs):
    """The other cases mean something only when the same files, whole, are taken."""
    out = programs.path("activations.json")
    for height, size in ((4, (4, 4)), (3, (12, 1))):
        expect_success(programs.image("--data", str(programs.pictures(height)), "--steps", "1", "--batch", "2",
                                      "--activations", out))
        for image in json.loads(pathlib.Path(out).read_text(encoding="utf-8"))["images"]:
            expect((image["width"], image["height"]) == size, f"found a picture of {image['width']} x {image['height']}")
            for values in (image["pixels"], *image["layers"]):
                expect(len(values) == size[0] * size[1], f"found {len(values)} values of a picture of {size}")


def wrong_options(programs):
    """Every one of them is said in one line before anything is read."""
    huge = "9" * 20
    for options, words in [
            (["--steps", "0"], ["--steps: found '0', expected an integer, 1 to "]),
            (["--steps", "-1"], ["--steps: found '-1'"]),
            (["--steps", huge], [f"--steps: found '{huge}'"]),
            (["--steps", "1e3"], ["--steps: found '1e3'"]),
            (["--steps", "5 "], ["--steps: found '5 '"]),
            (["--steps"], ["--steps: found no value"]),
            (["--steps", "1", "--steps", "2"], ["--steps: found several values"]),
            (["--lr", "nan"], ["--lr: found 'nan', expected a number above 0"]),
            (["--lr", "inf"], ["--lr: found 'inf'"]),
            (["--lr", "0"], ["--lr: found '0'"]),
            (["--lr", "-0.1"], ["--lr: found '-0.1'"]),
            (["--lr", "1e39"], ["--lr: found '1e39'"]),
            (["--lr", "1e999"], ["--lr: found '1e999'"]),
            (["--lr", "0,1"], ["--lr: found '0,1'"]),
            (["--minutes", "nan"], ["--minutes: found 'nan'"]),
            (["--minutes", "inf"], ["--minutes: found 'inf'"]),
            (["--minutes", "0"], ["--minutes: found '0'"]),
            (["--minutes", "1e30"], ["--minutes: found '1e30'"]),
            (["--batch", "0"], ["--batch: found '0'"]),
            (["--batch", huge], [f"--batch: found '{huge}'"]),
            (["--threads", "0"], ["--threads: found '0', expected an integer, 1 to 1024"]),
            (["--threads", huge], ["--threads: found"]),
            (["--seed", "-1"], ["--seed: found '-1'"]),
            (["--seed", huge + huge], ["--seed: found"]),
            (["--eval-every", "-1"], ["--eval-every: found '-1'"]),
            (["--eval-limit", huge], ["--eval-limit: found"]),
            (["--preset", "large"], ["--preset: found 'large', expected paper or small"]),
            (["--save", ""], ["--save: found an empty text"]),
            (["--log", ""], ["--log: found an empty text"]),
            (["--resume"], ["--resume requires --save"]),
            (["--resume", "--save", "x", "--overwrite"], ["--resume excludes --overwrite"]),
            (["--change-recipe"], ["--change-recipe requires --resume"]),
            (["--no-such-option"], ["found argument '--no-such-option', expected one that --help lists"]),
            (["a\nb\x1b"], ["found argument 'a\\x0ab\\x1b'"]),
    ]:
        data = [] if "--data" in options else ["--data", programs.path("nothing")]
        for program in (programs.arguments.listops, programs.arguments.image):
            expect_error(run(program, *data, *options), *words)
    expect_error(run(programs.arguments.listops, "--data", "x", "--generate"), "excludes")
    expect_error(run(programs.arguments.image), "found no --data")


def help_is_no_error(programs):
    for program in (programs.arguments.listops, programs.arguments.image):
        result = run(program, "--help")
        expect_success(result)
        expect(result.stderr == "" and "--overwrite" in result.stdout, "--help does not list --overwrite")


def number_with_a_leading_zero(programs):
    data = programs.expressions()
    log = programs.path("log.jsonl")
    expect_success(programs.listops("--data", data, "--steps", "010", "--batch", "1", "--log", log))
    expect(steps_of(log)[-1] == 10, "--steps 010 is not 10")


def files_that_are_no_text(programs):
    data = pathlib.Path(programs.expressions())
    train = data / "basic_train.tsv"
    text = train.read_bytes()
    for content, words in [(gzip.compress(text), ["found '\\x1f\\x8b\\x08", "(is the file gzip-compressed?)"]),
                           (text.decode().encode("utf-16"), ["found '\\xff\\xfeS\\x00", "(is the file UTF-16?)"]),
                           (text.replace(b"9 ]", b"9\0 ]", 1), ["found '9\\x00'", "zero bytes"]),
                           (text.replace(b"\t", b"    "), ["found 'Source    Target'", "'Source\\x09Target'"])]:
        train.write_bytes(content)
        expect_error(programs.listops("--data", str(data), "--steps", "1"), "basic_train.tsv:", *words)
    train.write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n")[:-2])
    expect_success(programs.listops("--data", str(data), "--steps", "1", "--batch", "1"))


def old_run(programs):
    data, save = programs.trained()
    before = contents(save)
    options = ["--data", data, "--save", save, "--steps", "2", "--batch", "2"]
    result = programs.listops(*options)
    expect_error(result, save, "found a run (last.safetensors)", "--overwrite")
    expect_unchanged(save, before)
    expect_success(programs.listops(*options, "--overwrite", "--seed", "7"))
    expect(contents(save) != before, "--overwrite changed nothing")


def old_log(programs):
    data = programs.expressions()
    log = pathlib.Path(programs.path("log.jsonl"))
    log.write_text("a year of work\n", encoding="utf-8")
    options = ["--data", data, "--steps", "2", "--batch", "2", "--log", str(log)]
    expect_error(programs.listops(*options), "log.jsonl: found the log of another run", "--overwrite")
    expect(log.read_text(encoding="utf-8") == "a year of work\n", "the log is not as it was")
    expect_success(programs.listops(*options, "--overwrite"))
    expect(steps_of(log) == [2], "the log is not the new run's")


def other_recipe(programs):
    data, save = programs.trained()
    before = contents(save)
    expect_error(programs.resume(data, save, steps=3), "steps 2", "expected", "steps 3", "--change-recipe")
    expect_error(programs.resume(data, save, "--lr", "0.5"), "found learning rate 0.004; expected learning rate 0.5")
    expect_error(programs.listops("--data", data, "--save", save, "--resume", "--steps", "2", "--batch", "3"),
                 "found batch 2; expected batch 3")
    expect_error(programs.resume(data, save, "--seed", "2"), "found a run with seed 1, expected --seed 2")
    other = pathlib.Path(data) / "basic_val.tsv"
    other.write_text(other.read_text(encoding="utf-8").replace("( [MAX 2 9 ] )\t9", "( [MIN 2 9 ] )\t2"), encoding="utf-8")
    expect_error(programs.resume(data, save), "found data 4 + 4 + 4 examples, ", "; expected data 4 + 4 + 4 examples, ")
    expect_unchanged(save, before)
    expect_success(programs.resume(data, save, "--change-recipe", steps=3))


def run_at_its_end(programs):
    data, save = programs.trained()
    before = contents(save)
    result = programs.resume(data, save)
    expect_success(result)
    expect_line(result.stderr, "found a run of 2 updates that is at its end", "no update")
    expect("test accuracy" in result.stdout, "no test accuracy")
    expect_unchanged(save, before)


def two_runs_in_one_directory(programs):
    data, save = programs.expressions(), programs.path("run")
    first = programs.start("--data", data, "--save", save, "--steps", "1000000", "--quiet")
    try:
        result = programs.listops("--data", data, "--save", save, "--steps", "2")
        expect_error(result, save, f"found a run that goes on (process {first.pid} on ", " since ")
        result = programs.listops("--data", data, "--log", programs.path("log.jsonl"), "--steps", "2", "--overwrite")
        expect_error(result, "log.jsonl: found a log that another run is writing")
    finally:
        first.kill()
        first.communicate()


def unwritable_places(programs):
    data = programs.expressions()
    pathlib.Path(programs.path("file")).write_text("", encoding="utf-8")
    for option in ("--save", "--log"):
        expect_error(programs.listops("--data", data, "--steps", "1", option, programs.path("file/x")), "file/x: cannot")
    result = programs.image("--data", str(programs.pictures()), "--steps", "1000000", "--activations", programs.path("file/x"))
    expect_error(result, "file/x: open of ")


def full_standard_output(programs):
    with open("/dev/full", "w", encoding="utf-8") as full:
        for options in (["--help"], ["--data", programs.expressions(), "--steps", "1", "--batch", "1", "--quiet"]):
            result = subprocess.run([programs.arguments.listops, *options], stdout=full, stderr=subprocess.PIPE,
                                    text=True, timeout=300, check=False)
            expect_error(result, "standard output: write failed: No space left on device")


def signals(programs):
    data, save, log = programs.expressions(), programs.path("run"), programs.path("log.jsonl")
    options = ["--data", data, "--save", save, "--steps", "1000000", "--quiet"]
    last = 0
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        process = programs.start(*options, *(["--resume"] if last else []))
        process.send_signal(number)
        message = process.communicate(timeout=120)[1]
        expect(process.returncode == -number, f"found exit code {process.returncode}, expected signal {number}: {message}")
        expect_line(message, f"stopped by {number.name} after update ", "run/last.safetensors holds it, --resume goes on")
        step = int(re.search(r"after update (\d+)", message)[1])
        steps = steps_of(log)
        expect(step > last and steps[-1] == step, f"found update {step} after {last}, and the log's last line at {steps[-1]}")
        expect(steps == sorted(set(steps)), f"steps of the log are not each once, in order: {steps}")
        expect(sorted(os.listdir(save)) == ["last.safetensors"], f"found {os.listdir(save)}, expected last.safetensors")
        last = step
    os.remove(log)
    process = programs.start("--data", data, "--steps", "1000000", "--quiet")
    process.send_signal(signal.SIGTERM)
    expect_line(process.communicate(timeout=120)[1], "stopped by SIGTERM", "nothing is saved, because there is no --save")
    os.remove(log)
    process = programs.start("--data", data, "--steps", "1000000", "--quiet",
                             preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))  # as nohup does
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    expect(process.poll() is None, "a trainer under nohup ends with the terminal")
    process.send_signal(signal.SIGKILL)
    process.communicate()


def progress_without_a_terminal(programs):
    data = programs.expressions()
    result = run(programs.arguments.listops, "--preset", "small", "--threads", "1", "--data", data, "--steps", "100",
                 "--batch", "1", "--eval-every", "50")
    expect_success(result)
    lines = result.stderr.split("\n")
    expect("\r" not in result.stderr and "" not in lines[:-1] and lines[-1] == "", f"found {result.stderr!r}")
    expect(len([line for line in lines if "validation loss" in line]) == 2, f"found {result.stderr!r}")
    expect(len(lines) < 8, f"found {len(lines)} lines for 5 reports: {result.stderr!r}")


def progress_on_a_terminal(programs):
    """The progress line overwrites itself, and an error begins a line of its own, with no empty one before it."""
    data = programs.expressions()

    def on_terminal(*options):
        master, slave = pty.openpty()
        process = subprocess.Popen([programs.arguments.listops, "--preset", "small", "--threads", "1", "--data", data,
                                    "--batch", "1", *options], stdout=subprocess.DEVNULL, stderr=slave)
        os.close(slave)
        text = b""
        while True:
            try:
                block = os.read(master, 65536)
            except OSError:  # the other end is closed
                break
            if not block:
                break
            text += block
        os.close(master)
        process.wait(timeout=120)
        return text.decode().replace("\r\n", "\n")

    text = on_terminal("--steps", "40")
    expect(text.count("\rstep ") == 2 and "\n\n" not in text and text.endswith("\n"), f"found {text!r}")
    text = on_terminal("--steps", "400", "--lr", "1e38", "--eval-every", "0")
    expect(re.fullmatch(r"(\rstep [^\n]*\n)?[^\n]*: training step \d+: found [^\n]*\n", text), f"found {text!r}")
    text = on_terminal("--steps", "400", "--log", "/dev/full", "--eval-every", "0")
    expect(re.fullmatch(r"[^\r\n]*: /dev/full: write failed [^\r\n]*\n", text), f"found {text!r}")


CASES = [malformed_tsv_line, no_data, neither_data_nor_generate, not_a_number_in_training, nothing_to_resume,
         truncated_checkpoint, hostile_checkpoint_header, checkpoint_of_another_model, full_disk,
         full_disk_under_the_log, short_idx_file, torn_gzip_file, good_pictures, wrong_options, help_is_no_error,
         number_with_a_leading_zero, files_that_are_no_text, old_run, old_log, other_recipe, run_at_its_end,
         two_runs_in_one_directory, unwritable_places, full_standard_output, signals, progress_without_a_terminal,
         progress_on_a_terminal]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--listops", required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("names", nargs="*", choices=[[], *(case.__name__ for case in CASES)])
    arguments = parser.parse_args()
    failed = 0
    for case in CASES:
        if arguments.names and case.__name__ not in arguments.names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                case(Programs(arguments, pathlib.Path(folder)))
                print(f"{case.__name__}: passed")
            except (Failure, subprocess.TimeoutExpired) as failure:
                failed += 1
                print(f"{case.__name__}: FAILED: {failure}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
