#!/usr/bin/env python3
"""English text from Debian, for byte models where enwik8 cannot be had: the Collaborative International Dictionary of English.

    doc_text.py [DIR]    writes DIR/gcide.txt (DIR: data/text), 39,952,321 bytes, and prints its path

The text is the file gcide.dict.dz of Debian 12's package dict-gcide 0.48.5+nmu2 (main): Webster's dictionary of 1913 with additions, from
A to Z. It is unpacked as it is. The package need not be installed: `apt-get install dict-gcide`, or `apt-get download dict-gcide` in DIR.
"""

import gzip
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

PACKAGE = "dict-gcide"
INSTALLED = pathlib.Path("/usr/share/dictd/gcide.dict.dz")
SIZE = 39_952_321
SHA256 = "802beb667e1fb666203e750f1faea60d5c202ac5430c2083c4180494609f10a7"


def fail(message):
    sys.exit(f"doc_text.py: {message}")


def packed(folder):
    """The bytes of gcide.dict.dz, of the installed package or of one that lies in `folder`."""
    if INSTALLED.exists():
        return INSTALLED.read_bytes()
    packages = sorted(folder.glob(f"{PACKAGE}_*.deb"))
    if not packages:
        print(f"doc_text.py: downloading {PACKAGE}", file=sys.stderr)
        done = subprocess.run(["apt-get", "download", "-q", PACKAGE], cwd=folder, capture_output=True, text=True, check=False)
        packages = sorted(folder.glob(f"{PACKAGE}_*.deb"))
        if not packages:
            fail(f"found no {INSTALLED}, and apt-get download {PACKAGE} failed ({done.stderr.strip().splitlines()[-1:]}), expected "
                 f"Debian's package {PACKAGE} installed (apt-get install {PACKAGE}) or in {folder}")
    with tempfile.TemporaryDirectory() as unpacked:
        subprocess.run(["dpkg-deb", "-x", packages[-1], unpacked], check=True)
        return (pathlib.Path(unpacked) / INSTALLED.relative_to("/")).read_bytes()


def main():
    if len(sys.argv) > 2 or "--help" in sys.argv:
        print(__doc__.strip())
        sys.exit(0 if "--help" in sys.argv else 1)
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) == 2 else "data/text")
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / "gcide.txt"
    if not out.exists():
        text = gzip.decompress(packed(folder))
        found = hashlib.sha256(text).hexdigest()
        if found != SHA256:
            print(f"doc_text.py: found {len(text)} bytes with SHA-256 {found}, expected {SIZE} with {SHA256} (version 0.48.5+nmu2): "
                  "numbers measured on this text are not comparable", file=sys.stderr)
        aside = out.with_suffix(".part")
        aside.write_bytes(text)
        os.replace(aside, out)
    print(out)


if __name__ == "__main__":
    main()
