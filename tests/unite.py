#!/usr/bin/env python3
"""Writes one translation unit that holds several test files, each in a namespace of its own.

    unite.py OUT FILE...

What files have in common is then instantiated once: of the laws' networks and the kernels under them, a third of all. A file's
includes stand before its first declaration and come first, outside of the namespaces. Exit code 1 and one line on standard error
where one stands elsewhere, or where a file opens a namespace that must be the global one's.
"""

import pathlib
import re
import sys

CODE = re.compile(r"(?!\s*(//|#|$))")
INCLUDE = re.compile(r"\s*#\s*include\b")
BESIDE = re.compile(r'#include "(.*)"')
GLOBAL = re.compile(r"namespace (sma|seqboat|laws|std|doctest)\b")


def head(path):
    """The lines before the first declaration: includes and the conditions on them."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next((i for i, line in enumerate(lines) if CODE.match(line)), len(lines))
    for i, line in enumerate(lines[first:], first + 1):
        if INCLUDE.match(line):
            raise SystemExit(f"{path}:{i}: found an #include after the first declaration, expected it before")
        if GLOBAL.match(line):
            raise SystemExit(f"{path}:{i}: found '{line.strip()}', expected only namespaces of the file's own")

    def found_from_elsewhere(match):
        beside = path.parent / match[1]
        return f'#include "{beside}"' if beside.is_file() else match[0]

    return "\n".join(BESIDE.sub(found_from_elsewhere, line) for line in lines[:first] if line and not line.startswith("//"))


def main():
    out, files = pathlib.Path(sys.argv[1]), [pathlib.Path(name) for name in sys.argv[2:]]
    text = "\n".join(head(path) for path in files) + "\n"
    for path in files:
        text += f'\nnamespace file_{re.sub("[^a-z0-9_]", "_", path.stem)} {{\n#include "{path}"\n}}\n'
    if not out.is_file() or out.read_text(encoding="utf-8") != text:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
