#!/usr/bin/env python3
"""Every trainer from end to end on a tiny data set in its owners' format, and the paper's models by their number of parameters.

    check_tasks.py DIRECTORY TASK...    the programs DIRECTORY/TASK
"""

import json
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile
import wave
import zlib

# Published, in millions (SeqBoat's appendix).
PARAMETERS = {"lra_listops": 0.41, "lra_text": 0.63, "lra_retrieval": 1.06, "lra_image": 1.81, "lra_pathfinder": 0.89, "lra_pathx": 1.08,
              "enwik8": 39.1, "speech_commands": 0.30, "recall": 0}  # 0: not of the paper
# Of the updates: what is enough where sequences are long.
STEPS = {"lra_pathx": ("1", "1")}
# What --data gets of the folder, where it is not all of it.
DATA = {"enwik8": "text"}
# The last line.
RESULT = {"enwik8": r"^test [\d.]+ bits per character \(\d+ bytes\)$"}
# They draw pictures, too, as many as the benchmark has: the test split alone would take minutes, so that such a run is stopped.
GENERATE = ("lra_pathfinder", "lra_pathx")
# They write where routers opened in some texts.
SHOWN = ("enwik8", "recall")
DIRECTORY = None  # of the programs


class Failure(Exception):
    pass


def lra_listops(folder):
    for split in ("train", "val", "test"):
        (folder / f"basic_{split}.tsv").write_text(
            "Source\tTarget\n( ( ( [MAX 2 ) 9 ) ] )\t9\n( ( ( [MIN 4 ) 8 ) ] )\t4\n", encoding="utf-8")


def lra_image(folder):
    """CIFAR-10's binary batches: a label, then 1,024 bytes each of red, green and blue."""
    draw = random.Random(1)
    for name in [f"data_batch_{b}.bin" for b in range(1, 6)] + ["test_batch.bin"]:
        records = [struct.pack("B", label) + draw.randbytes(3 * 1024) for label in (3, 7)]
        (folder / name).write_bytes(b"".join(records))


def lra_text(folder):
    for split in ("train", "test"):
        for label, word in (("pos", "a delight"), ("neg", "a bore, \xe9h")):
            (folder / split / label).mkdir(parents=True)
            for i in range(10):
                (folder / split / label / f"{i}_{i}.txt").write_bytes(f"Film {i} was {word}.<br />".encode("latin-1"))


def lra_retrieval(folder):
    for split in ("train", "eval", "test"):
        (folder / f"new_aan_pairs.{split}.tsv").write_text(
            "".join(f"{i % 2}.0\tP0{i}\tW0{i}\tWe parse trees {i}.\tWe tag words, too, {i} times.\n" for i in range(4)),
            encoding="utf-8")


def png(side, pixels):
    """An 8-bit grey PNG file."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + pixels[side * y:side * (y + 1)] for y in range(side))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def lra_pathfinder(folder):
    """What make_data writes, and one picture that something else has written."""
    run(str(DIRECTORY / "make_data"), "pathfinder", "--side", "32", "--count", "20", "--seed", "3", str(folder))
    draw = random.Random(1)
    (folder / "curv_contour_length_14" / "imgs" / "0" / "sample_3.png").write_bytes(png(32, draw.randbytes(1024)))


def mega_pictures(folder, side):
    """MEGA's text form."""
    draw = random.Random(1)
    (folder / "input").mkdir()
    (folder / "label").mkdir()
    for split in ("train", "valid", "test"):
        lines = [" ".join(map(str, draw.randbytes(side * side))) + "\n" for _ in range(2)]
        (folder / "input" / f"{split}.src").write_text("".join(lines), encoding="utf-8")
        (folder / "label" / f"{split}.label").write_text("0\n1\n", encoding="utf-8")


def lra_pathx(folder):
    mega_pictures(folder, 128)


def enwik8(folder):
    words = "the of and [[w]] in a '' to is &quot; was".split(" ")
    draw = random.Random(1)
    (folder / "text").write_text(" ".join(draw.choice(words) for _ in range(8000)), encoding="utf-8")


def speech_commands(folder):
    """Seven clips a word, of which one validates and one tests, and one that is no second long."""
    draw = random.Random(1)
    for word in "yes no up down left right on off stop go".split():
        (folder / word).mkdir()
        for i in range(8):
            with wave.open(str(folder / word / f"c0ffee{i:02}_nohash_0.wav"), "wb") as file:
                file.setparams((1, 2, 16000, 0, "NONE", "not compressed"))
                file.writeframes(draw.randbytes(2 * (16000 if i > 0 else 14861)))


def run(program, *options):
    done = subprocess.run([program, *options], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise Failure(f"{program} {' '.join(options)}: found exit code {done.returncode}, expected 0: {done.stderr}")
    return done.stdout


def check_generate(program, task):
    """Starts a run on drawn pictures and stops it after an update."""
    with tempfile.TemporaryDirectory() as name:
        log = pathlib.Path(name) / "log.jsonl"
        options = ["--generate", "--level", "6", "--preset", "small", "--batch", "1", "--steps", "20", "--eval-limit", "1", "--quiet", "--log", str(log)]
        with subprocess.Popen([program, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            head = process.stdout.readline()
            process.terminate()
            process.communicate(timeout=300)
        if "160000 training examples" not in head:
            raise Failure(f"{task} --generate: found '{head}', expected 160000 training examples")


def check(directory, task):
    program = str(directory / task)
    described = run(program, "--preset", "paper", "--describe")
    found = int(re.search(r"^\(network\) .*? > \d+ +([\d,]+)", described, re.MULTILINE)[1].replace(",", ""))
    expected = PARAMETERS[task] * 1e6
    if expected > 0 and abs(found - expected) > 0.02 * expected:
        raise Failure(f"{task}: found {found} parameters, expected {expected:.0f} within 2 %")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        data = ["--generate"]
        if task in globals():
            globals()[task](folder)
            data = ["--data", str(folder / DATA.get(task, ""))]
        steps, batch = STEPS.get(task, ("2", "2"))
        shown = folder / "activations.json" if task in SHOWN else None
        said = run(program, *data, "--preset", "small", "--steps", steps, "--batch", batch, "--threads", "2",
                   "--quiet", "--save", str(folder / "run"), "--log", str(folder / "log.jsonl"),
                   *(["--activations", str(shown)] if shown else []))
        if not re.search(RESULT.get(task, r"^test accuracy [\d.]+ %"), said, re.MULTILINE):
            raise Failure(f"{task}: found '{said}', expected the test's result")
        if not (folder / "run" / "last.safetensors").exists():
            raise Failure(f"{task}: found no checkpoint")
        if shown and len(json.loads(shown.read_text(encoding="utf-8"))["texts"][0]["layers"]) == 0:
            raise Failure(f"{task}: found no layer in what --activations wrote")
    if task in GENERATE:
        check_generate(program, task)
    print(f"{task}: {found} parameters; updates, a checkpoint and an evaluation")


def main():
    global DIRECTORY
    directory, tasks = pathlib.Path(sys.argv[1]), sys.argv[2:]
    DIRECTORY = directory
    failed = False
    for task in tasks:
        try:
            if task not in PARAMETERS:
                raise Failure(f"{task}: found no tiny data set for it in {__file__}, expected one")
            check(directory, task)
        except Failure as failure:
            print(failure, file=sys.stderr)
            failed = True
    return 1 if failed or not tasks else 0


if __name__ == "__main__":
    sys.exit(main())
