#!/usr/bin/env python3
"""scripts/spoken_words.py makes a data set that speech_commands reads, the same one of a seed, and refuses what it must.

    check_spoken_words.py SCRIPT TRAINER

Exit code 77, which is "skipped", where there is no espeak-ng or no numpy.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import wave

WORDS = "yes no up down left right on off stop go".split()
CLIPS = 84  # a word: one by each voice


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def expect(fine, what):
    if not fine:
        sys.exit(f"check_spoken_words.py: {what}")


def check_clips(folder):
    lists = {split: (folder / f"{split}_list.txt").read_text().split() for split in ("validation", "testing")}
    voices = {split: {name.split("/")[1].split("_nohash_")[0] for name in names} for split, names in lists.items()}
    clips = {f"{path.parent.name}/{path.name}" for path in folder.rglob("*.wav")}
    voices["training"] = {name.split("/")[1].split("_nohash_")[0] for name in clips - set(lists["validation"]) - set(lists["testing"])}
    expect(len(clips) == 10 * CLIPS, f"found {len(clips)} clips, expected {10 * CLIPS}")
    expect(sum(map(len, voices.values())) == len(set.union(*voices.values())), "found a voice in two parts, expected it in one")
    for name in clips:
        with wave.open(str(folder / name)) as file:
            found = (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes())
            samples = file.readframes(16000)
        expect(found == (1, 2, 16000, 16000), f"{name}: found {found}, expected one channel of 16 bit, 16,000 at 16,000 a second")
        expect(len(set(samples)) > 2, f"{name}: found silence, expected sound")


def main():
    script, trainer = sys.argv[1:]
    if shutil.which("espeak-ng") is None or run("/usr/bin/python3", "-c", "import numpy").returncode != 0:
        print("no espeak-ng or no numpy here")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        made = run(script, name + "/a", "--clips", str(CLIPS), "--seed", "3")
        expect(made.returncode == 0, f"found exit code {made.returncode}, expected 0: {made.stderr}")
        expect(sorted(path.name for path in folder.iterdir()) == ["a"], "found more beside the directory than expected")
        check_clips(folder / "a")
        for seed, same in (("3", True), ("4", False)):
            run(script, name + "/b", "--clips", "10", "--seed", seed)
            run(script, name + "/c", "--clips", "10", "--seed", "3", "--jobs", "1")
            expect((files_of(folder / "b") == files_of(folder / "c")) == same, f"found seeds 3 and {seed} to give the same: {not same}")
            for part in "bc":
                shutil.rmtree(folder / part)
        again = run(script, name + "/a")
        expect(again.returncode == 1 and "found something there, expected a new directory" in again.stderr and again.stderr.count("\n") == 1,
               f"found {again.stderr!r}, expected one line that says what is there")
        said = run(trainer, "--data", name + "/a", "--steps", "1", "--batch", "2", "--quiet")
        expect(said.returncode == 0 and "by the directory's lists" in said.stdout and "test accuracy" in said.stdout,
               f"found {said.stdout + said.stderr!r}, expected an update and a test")
    print("clips of a second, voices apart, the same of a seed, read by the trainer")


if __name__ == "__main__":
    main()
