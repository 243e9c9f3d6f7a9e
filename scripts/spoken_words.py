#!/usr/bin/python3
"""Speaks the ten words of Speech Commands by espeak-ng, in that data set's layout.

    scripts/spoken_words.py [DIR] [--clips N] [--seed N] [--jobs N] [--spectrograms FILE.png]

Writes DIR/<word>/<voice>_nohash_<n>.wav, exactly one second each, 16 kHz, mono, 16 bit, with the word at a random place, in a random
accent, pitch, speed and loudness, and noise; DIR/validation_list.txt and DIR/testing_list.txt, whose voices nobody else has; and
DIR/clips.tsv, which says how each clip was made. The same seed gives the same files. DIR must not be there yet.

Needs Debian's espeak-ng, python3-numpy and, for --spectrograms, python3-matplotlib.
"""

import argparse
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import wave

import numpy as np

WORDS = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"]
ACCENTS = ["en-us", "en-us-nyc", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029"]
# espeak-ng's voices that sound like persons; robots and whisperers are left out.
VOICES = """m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 klatt klatt2 klatt3 klatt4 adam Alex Alicia Andrea Andy Annie antonio aunty belinda
    benjamin boris caleb david Denis Diogo ed edward edward2 Gene Gene2 grandma grandpa gustave Henrique Hugo iven iven2 iven3 iven4
    Jacky john kaukovalta Lee linda marcelo Marco Mario max Michael michel miguel Mike norbert pablo paul pedro quincy rob robert
    sandro shelby steph steph2 steph3 travis victor zac klatt5 klatt6 anika AnxiousAndy Nguyen RicishayMax RicishayMax2 RicishayMax3
    Storm""".split()
ENDINGS = ["", ".", "?", "!"]  # each with a melody of its own
RATE = 16000
SHARES = (0.70, 0.15)  # of the voices: training, validation; the others test


class Failure(Exception):
    pass


def split_of_voices(seed):
    """{voice: "training", "validation" or "testing"}."""
    order = np.random.default_rng([seed, 0]).permutation(len(VOICES))
    ends = np.cumsum([round(share * len(VOICES)) for share in SHARES])
    return {VOICES[v]: "training" if i < ends[0] else "validation" if i < ends[1] else "testing" for i, v in enumerate(order)}


def spoken(text, voice, pitch, speed):
    """The samples that espeak-ng gives, -1 to 1, and their rate. What its header says of the length is no help: it comes by a pipe."""
    done = subprocess.run(["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "--stdout", text], capture_output=True, check=False)
    if done.returncode != 0 or len(done.stdout) < 1000 or done.stdout[36:40] != b"data":
        raise Failure(f"espeak-ng -v {voice}: found exit code {done.returncode} and {len(done.stdout)} bytes, expected a WAV file: "
                      + done.stderr.decode(errors="replace").strip()[:200])
    rate = int.from_bytes(done.stdout[24:28], "little")
    return np.frombuffer(done.stdout[44:44 + (len(done.stdout) - 44) // 2 * 2], dtype="<i2") / 32768.0, rate


def trimmed(x):
    """Without what is silent before and after: below a hundredth of the peak."""
    loud = np.flatnonzero(np.abs(x) > 0.01 * np.max(np.abs(x)))
    return x[loud[0]:loud[-1] + 1]


def resampled(x, rate):
    """At RATE: the spectrum, cut at half of it. Padded by silence to a length that both rates divide, so that nothing wraps around."""
    divisor = np.gcd(rate, RATE)
    block, target = rate // divisor, RATE // divisor
    blocks = -(-len(x) // block) + 8
    padded = np.zeros(blocks * block)
    padded[4 * block:4 * block + len(x)] = x
    spectrum = np.fft.rfft(padded)[:blocks * target // 2 + 1]
    out = np.fft.irfft(spectrum, blocks * target) * target / block
    return out[4 * target:4 * target + round(len(x) * RATE / rate)]


def noise(random, colour):
    """A second of it, of power 1: white, or pink, whose power falls as 1 / frequency."""
    spectrum = np.fft.rfft(random.standard_normal(RATE))
    if colour == "pink":
        frequencies = np.arange(len(spectrum))
        spectrum /= np.sqrt(np.maximum(frequencies, 20))
    x = np.fft.irfft(spectrum, RATE)
    return x / np.sqrt(np.mean(x * x))


def make_clip(seed, word, index, voice):
    """A clip's samples, and how it was made."""
    random = np.random.default_rng([seed, 1 + WORDS.index(word), index])
    accent = ACCENTS[random.integers(len(ACCENTS))]
    pitch, speed = int(random.integers(25, 76)), int(random.integers(110, 221))
    ending = ENDINGS[random.integers(len(ENDINGS))]
    tract = random.uniform(0.85, 1.15)  # of the voice's own length: formants and pitch fall as it grows
    while True:
        x, rate = spoken(word + ending, f"{accent}+{voice}", pitch, speed)
        x = resampled(trimmed(x), round(rate / tract / 50) * 50)
        if len(x) <= RATE:
            break
        speed = speed * 5 // 4  # too slow for a second
    level, snr = random.uniform(-24, -3), random.uniform(10, 40)  # dB: of the peak to full scale, of the word to the noise
    colour = ("white", "pink")[random.integers(2)]
    x = x / np.max(np.abs(x))
    start = int(random.integers(RATE - len(x) + 1))
    clip = noise(random, colour) * np.sqrt(np.mean(x * x)) * 10 ** (-snr / 20)
    clip[start:start + len(x)] += x
    clip *= 10 ** (level / 20) / max(1.0, np.max(np.abs(clip)))
    samples = np.rint(clip * 32767).astype("<i2")
    return samples, [accent, pitch, speed, word + ending, f"{tract:.3f}", start, f"{level:.1f}", colour, f"{snr:.1f}"]


def write_wav(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, len(samples), "NONE", "not compressed"))
        file.writeframes(samples.tobytes())


def write_words(directory, clips, seed, jobs):
    """All files of the data set, into an empty directory."""
    splits = split_of_voices(seed)
    plan = []  # (word, index, voice, name)
    for word in WORDS:
        (directory / word).mkdir()
        order = np.random.default_rng([seed, 100 + WORDS.index(word)]).permutation(len(VOICES))
        for i in range(clips):  # of each word as many by each voice, give or take one
            voice = VOICES[order[i % len(VOICES)]]
            plan.append((word, i, voice, f"{word}/{voice}_nohash_{i // len(VOICES)}.wav"))

    def write(item):
        word, index, voice, name = item
        samples, facts = make_clip(seed, word, index, voice)
        write_wav(directory / name, samples)
        return facts

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        facts = list(pool.map(write, plan))
    for split in ("validation", "testing"):
        names = sorted(name for _, _, voice, name in plan if splits[voice] == split)
        (directory / f"{split}_list.txt").write_text("".join(name + "\n" for name in names), encoding="utf-8")
    header = ["file", "voice", "split", "accent", "pitch", "words_a_minute", "text", "tract", "starts_at", "peak_db", "noise", "snr_db"]
    rows = [[name, voice, splits[voice], *made] for (_, _, voice, name), made in zip(plan, facts)]
    (directory / "clips.tsv").write_text("".join("\t".join(map(str, row)) + "\n" for row in [header, *rows]), encoding="utf-8")
    return {split: sum(splits[voice] == split for _, _, voice, _ in plan) for split in ("training", "validation", "testing")}


def read_wav(path):
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 32768.0


def draw_spectrograms(directory, path):
    """A sheet: a row a word, a column a voice, of those that spoke them all."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    splits = listed_voices(directory)
    chosen = {}  # two voices that train, one that validates, two that test
    for split, most in (("training", 2), ("validation", 1), ("testing", 2)):
        voices = [v for v in VOICES if splits.get(v, "training") == split and all((directory / w / f"{v}_nohash_0.wav").exists() for w in WORDS)]
        apart = max(1, -(-len(voices) // most))
        chosen.update({v: split for v in voices[apart // 2::apart]})
    if not chosen:
        raise Failure(f"{directory}: found no voice that speaks all words, expected --clips of at least {len(VOICES)}")
    figure, axes = plt.subplots(len(WORDS), len(chosen), figsize=(7.2, 8.2), squeeze=False, sharex=True, sharey=True, constrained_layout=True)
    for row, word in zip(axes, WORDS):
        for a, voice in zip(row, chosen):
            x = read_wav(directory / word / f"{voice}_nohash_0.wav")
            frames = np.lib.stride_tricks.sliding_window_view(x, 400)[::160] * np.hanning(400)  # 25 ms each 10
            power = 20 * np.log10(np.abs(np.fft.rfft(frames, 512)).T + 1e-6)
            a.imshow(power, origin="lower", aspect="auto", extent=(0, 1, 0, RATE / 2000), cmap="magma", vmin=power.max() - 60,
                     vmax=power.max(), interpolation="nearest")
            a.set_xticks([0, 0.5, 1], ["0", "", "1 s"], fontsize=7)
            a.set_yticks([0, 4, 8], ["0", "", "8 kHz"], fontsize=7)
        row[0].set_ylabel(word, rotation=0, ha="right", va="center", fontsize=11, fontweight="bold")
    for a, (voice, split) in zip(axes[0], chosen.items()):
        a.set_title(f"{voice} ({split})", fontsize=8)
    part = path.with_name(path.name + ".part")
    figure.savefig(part, dpi=72, format="png")
    with_few_colours(part)
    part.replace(path)


def with_few_colours(path):
    """The PNG file with a palette, a third of the size."""
    from PIL import Image  # matplotlib needs it too

    with Image.open(path) as image:
        few = image.convert("RGB").quantize(48, dither=Image.Dither.NONE)
    few.save(path, format="PNG", optimize=True)


def listed_voices(directory):
    """{voice: split} of the voices that the directory's lists name."""
    return {line.split("/")[1].split("_nohash_")[0]: split
            for split in ("validation", "testing") for line in (directory / f"{split}_list.txt").read_text().splitlines()}


def whole_number(least):
    def check(text):
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"found '{text}', expected a whole number from {least}")
        return int(text)

    return check


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].strip(), description=__doc__.split("\n")[0])
    parser.add_argument("directory", nargs="?", type=pathlib.Path, default=pathlib.Path("runs/data/spoken-words"))
    parser.add_argument("--clips", type=whole_number(10), default=600, help="of each word")
    parser.add_argument("--seed", type=whole_number(0), default=1)
    parser.add_argument("--jobs", type=whole_number(1), default=os.cpu_count(), help="clips made at a time")
    parser.add_argument("--spectrograms", type=pathlib.Path, metavar="FILE.png", help="draw some of DIR, which is made if it is not there")
    options = parser.parse_args()
    directory = options.directory
    try:
        if directory.exists() and not (options.spectrograms and (directory / "clips.tsv").exists()):
            raise Failure(f"{directory}: found something there, expected a new directory")
        if not directory.exists():
            if shutil.which("espeak-ng") is None:
                raise Failure("espeak-ng: found no such program, expected Debian's package espeak-ng (scripts/setup --speech)")
            part = directory.with_name(directory.name + f".part{os.getpid()}")
            part.mkdir(parents=True)
            try:
                counts = write_words(part, options.clips, options.seed, options.jobs)
                part.rename(directory)
            finally:
                shutil.rmtree(part, ignore_errors=True)
            print(f"{directory}: {len(WORDS)} words, " + ", ".join(f"{n} {split}" for split, n in counts.items()) + " clips")
        if options.spectrograms:
            draw_spectrograms(directory, options.spectrograms)
    except (Failure, OSError) as failure:
        sys.exit(f"scripts/spoken_words.py: {failure}")


if __name__ == "__main__":
    main()
