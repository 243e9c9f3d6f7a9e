#!/usr/bin/env python3
"""The streaming programs from end to end: weights of a trainer that has made two updates, text, states in files, audio from a file and a pipe.

    check_streaming.py DIRECTORY    the programs' directory
"""

import pathlib
import random
import re
import subprocess
import sys
import tempfile
import wave

DIRECTORY = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tasks"))
import check_tasks  # noqa: E402  tiny data sets


def run(program, *options, stdin=b"", expect=0):
    done = subprocess.run([str(DIRECTORY / program), *map(str, options)], input=stdin, capture_output=True, timeout=600, check=False)
    if done.returncode != expect:
        sys.exit(f"{program} {options}: found exit code {done.returncode}, expected {expect}: {done.stderr.decode(errors='replace')}")
    return done.stdout, done.stderr.decode(errors="replace")


def check(condition, what):
    if not condition:
        sys.exit(f"check_streaming.py: expected {what}")


def refuse(words, program, *options, stdin=b""):
    _, said = run(program, *options, stdin=stdin, expect=1)
    check(said.count("\n") == 1 and all(word in said for word in words), f"one line with {words}, found {said!r}")


def text(folder):
    draw = random.Random(1)
    words = "the of and in a to is was that for it with as his on be at by had not are but from or have".split()
    (folder / "text").write_text(" ".join(draw.choice(words) for _ in range(8000)), encoding="utf-8")
    run("enwik8", "--data", folder / "text", "--preset", "small", "--steps", 2, "--batch", 2, "--quiet", "--save", folder / "bytes")
    weights = folder / "bytes" / "last.safetensors"
    said, _ = run("write_text", "--weights", weights, "--prompt", "the of ", "--length", 40)
    check(said.startswith(b"the of ") and len(said) == 47, f"the prompt and 40 bytes, found {said!r}")
    again, _ = run("write_text", "--weights", weights, "--prompt", "the of ", "--length", 40)
    check(again == said, "the same text from the same seed")
    other, _ = run("write_text", "--weights", weights, "--prompt", "the of ", "--length", 40, "--seed", 2)
    check(other != said, "another text from another seed")

    # The most probable bytes do not depend on where a text is cut: what a state holds is all.
    whole, _ = run("write_text", "--weights", weights, "--prompt", "the of and in", "--temperature", 0, "--length", 20)
    state = folder / "state"
    run("write_text", "--weights", weights, "--prompt", "the of", "--length", 0, "--save-state", state)
    rest, _ = run("write_text", "--weights", weights, "--state", state, "--prompt", " and in", "--temperature", 0, "--length", 20)
    check(whole == b"the of" + rest, f"{whole!r} in two parts, found {rest!r}")

    run("enwik8", "--data", folder / "text", "--preset", "small", "--steps", 2, "--batch", 2, "--quiet", "--seed", 2, "--save",
        folder / "other")
    refuse(["other weights"], "write_text", "--weights", folder / "other" / "last.safetensors", "--state", state)
    refuse(["none.safetensors"], "write_text", "--weights", folder / "none.safetensors")
    refuse(["--weights"], "write_text")
    refuse(["no.txt"], "write_text", "--weights", weights, "--prompt-file", folder / "no.txt")


def audio(folder):
    check_tasks.speech_commands(folder)
    draw = random.Random(1)
    run("speech_commands", "--data", folder, "--preset", "small", "--steps", 2, "--batch", 2, "--quiet", "--save", folder / "run")
    weights = folder / "run" / "last.safetensors"
    sound = draw.randbytes(2 * 16000 * 3)
    with wave.open(str(folder / "sound.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", "not compressed"))
        file.writeframes(sound)
    heard, latency = run("spot_words", "--weights", weights, "--threshold", 0, folder / "sound.wav")
    lines = heard.decode().splitlines()
    check(lines and all(re.fullmatch(r" *[\d.]+ s  (yes|no|up|down|left|right|on|off|stop|go) +\d+ %", line) for line in lines),
          f"words with their times, found {heard!r}")
    check("99 %" in latency and "#" in latency, f"a histogram of latencies, found {latency!r}")
    piped, _ = run("spot_words", "--weights", weights, "--threshold", 0, "-", stdin=sound)
    check(piped == heard, "the same words from a pipe")
    silent, _ = run("spot_words", "--weights", weights, "--threshold", 0, "-", stdin=bytes(len(sound)))
    check(silent == b"", f"no word in silence, found {silent!r}")
    refuse(["no.wav"], "spot_words", "--weights", weights, folder / "no.wav")
    refuse(["input mean", "speech_commands"], "spot_words", "--weights", plain(folder, weights), folder / "sound.wav")

    said, _ = run("many_streams", "--weights", weights, "--threads", 2, "--streams", 3, "--seconds", 0.05)
    check(re.search(rb"\d+ streams a thread in real time", said), f"streams in real time, found {said!r}")


def plain(folder, weights):
    """The same weights without what their trainer said of its data."""
    content = weights.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = content[8:8 + size].replace(b'"recipe.input mean"', b'"recipe.input_mean"')
    out = folder / "plain.safetensors"
    out.write_bytes(content[:8] + header + content[8 + size:])
    return out


def main():
    for part in (text, audio):
        with tempfile.TemporaryDirectory() as name:
            part(pathlib.Path(name))
            print(f"{part.__name__}: as expected")


if __name__ == "__main__":
    main()
