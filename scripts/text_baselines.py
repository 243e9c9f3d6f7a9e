#!/usr/bin/env python3
"""What a byte model has to beat: bits per character of a file's test part, the last 5 %, as enwik8 splits files.

    text_baselines.py FILE [ORDER...]    n-grams of these orders (3 and 5)

    n-gram    interpolated Kneser-Ney over bytes, counted on the first 90 %
    xz        xz -9e of the test part alone, and what the test part adds to the file before it: size(file) - size(first 95 %)
"""

import collections
import gzip
import lzma
import math
import pathlib
import sys


def split(data):
    """Training, validation and test part: 90, 5 and 5 %, as examples/tasks/data/bytes.cpp does it."""
    part = len(data) // 20
    train = len(data) - 2 * part
    return data[:train], data[train:train + part], data[train + part:]


class KneserNey:
    """p(c | h) = max(n(hc) - D, 0) / n(h) + D t(h) / n(h) p(c | h'): h' is h without its first byte, t(h) how many bytes follow h,
    D = n1 / (n1 + 2 n2) of n-grams seen once and twice. n counts occurrences for the longest h; for shorter ones different bytes
    before. p(c) without h ends in 1/256."""

    def __init__(self, data, order):
        self.order = order
        counts = collections.Counter(data[i:i + order] for i in range(len(data) - order + 1))
        self.levels = []  # from the longest
        for length in range(order, 0, -1):
            ones = sum(1 for n in counts.values() if n == 1)
            twos = sum(1 for n in counts.values() if n == 2)
            discount = ones / (ones + 2 * twos) if ones else 0.5
            totals, followers = collections.Counter(), collections.Counter()
            for gram, n in counts.items():
                totals[gram[:-1]] += n
                followers[gram[:-1]] += 1
            self.levels.append((length, counts, totals, followers, discount))
            counts = collections.Counter(gram[1:] for gram in counts)

    def bits(self, before, data):
        """Mean over the bytes of data, which follow `before`."""
        text = before[-self.order:] + data
        total = 0.0
        for i in range(len(text) - len(data), len(text)):
            weight, p = 1.0, 0.0
            for length, counts, totals, followers, discount in self.levels:
                gram = text[i - length + 1:i + 1]
                n = totals.get(gram[:-1], 0)
                if n == 0:
                    continue
                p += weight * max(counts.get(gram, 0) - discount, 0.0) / n
                weight *= discount * followers[gram[:-1]] / n
            total -= math.log2(p + weight / 256)
        return total / len(data)


def main():
    if len(sys.argv) < 2 or "--help" in sys.argv:
        print(__doc__.strip())
        sys.exit(0 if "--help" in sys.argv else 1)
    path = pathlib.Path(sys.argv[1])
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    train, validation, test = split(data)
    if not test:
        sys.exit(f"{path}: found {len(data)} bytes, expected at least 20")
    print(f"{path}: {len(train)} + {len(validation)} + {len(test)} bytes")
    for order in map(int, sys.argv[2:] or ("3", "5")):
        print(f"{order}-gram, Kneser-Ney: {KneserNey(train, order).bits(train + validation, test):.4f} bits per character", flush=True)
    size = lambda part: 8 * len(lzma.compress(part, preset=9 | lzma.PRESET_EXTREME))
    print(f"xz -9e, test part alone: {size(test) / len(test):.4f} bits per character", flush=True)
    print(f"xz -9e, after the rest of the file: {(size(data) - size(train + validation)) / len(test):.4f} bits per character")


if __name__ == "__main__":
    main()
