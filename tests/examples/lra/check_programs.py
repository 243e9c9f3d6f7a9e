#!/usr/bin/env python3
"""What the LRA trainers do with bad input: one line that says where, what was found and what was expected, an exit code that is
not 0, and checkpoints as they were.

    check_programs.py --listops build/examples/lra_listops --image build/examples/lra_image [NAME...]

Without names every case runs.
"""

import argparse
import gzip
import pathlib
import resource
import signal
import struct
import subprocess
import sys
import tempfile

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

    def pictures(self):
        """A folder with six pictures of 4 x 4 in the four IDX files."""
        folder = self.folder / "idx"
        folder.mkdir()
        for split in ("train", "t10k"):
            images = struct.pack(">IIII", 0x803, 6, 4, 4) + PIXELS * 6
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

    def resume(self, data, save, *options, steps=4, **keywords):
        return self.listops("--data", data, "--save", save, "--resume", "--steps", str(steps), "--batch", "2", *options,
                            **keywords)


def run(program, *options, largest_file=None):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit then fails as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    return subprocess.run([program, *options], capture_output=True, text=True, errors="replace", timeout=300,
                          preexec_fn=limit if largest_file is not None else None, check=False)


def expect_success(result):
    if result.returncode != 0:
        raise Failure(f"found exit code {result.returncode}, expected 0: {result.stderr}")


def expect_error(result, *words):
    lines = [line for line in result.stderr.replace("\r", "\n").split("\n") if line.strip()]
    if result.returncode <= 0:
        raise Failure(f"found exit code {result.returncode}, expected a positive one: {result.stderr}")
    if len(lines) != 1:
        raise Failure(f"found {len(lines)} lines, expected one message: {result.stderr}")
    for word in words:
        if word not in lines[0]:
            raise Failure(f"the message does not say '{word}': {lines[0]}")


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
    result = programs.resume(data, save, "--lr", "1e38", "--eval-every", "0", steps=400)
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
    expect_error(programs.resume(data, save, largest_file=size // 2), "last.safetensors")
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
    expect_success(programs.image("--data", str(programs.pictures()), "--steps", "1", "--batch", "2", "--activations", out))
    if '"layers"' not in pathlib.Path(out).read_text(encoding="utf-8"):
        raise Failure("activations.json holds no layers")


CASES = [malformed_tsv_line, no_data, neither_data_nor_generate, not_a_number_in_training, nothing_to_resume,
         truncated_checkpoint, hostile_checkpoint_header, checkpoint_of_another_model, full_disk,
         full_disk_under_the_log, short_idx_file, torn_gzip_file, good_pictures]


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
