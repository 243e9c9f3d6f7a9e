#!/usr/bin/env python3
"""What scripts/test says at its end, of what passed, failed, and could not run here: with stand-ins for building and testing.

    summary_test.py [scripts/test]
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "test"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/bash\n" + text, encoding="utf-8")
    path.chmod(0o755)


class Summary(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        write(self.folder / "scripts" / "test", SCRIPT.read_text(encoding="utf-8"))
        write(self.folder / "scripts" / "setup", "")
        write(self.folder / "tools" / "ctest", "")
        self.build()
        self.gpu(None)

    def build(self, *lines):
        write(self.folder / "scripts" / "build", "".join(f"echo '-- seqboat: {line}'\n" for line in lines))

    def gpu(self, code):
        """A GPU on which gpu-check ends with `code`; None: no GPU."""
        write(self.folder / "tools" / "nvidia-smi", "exit 9\n" if code is None else "")
        write(self.folder / "scripts" / "gpu-check", f"exit {code}\n")

    def run_it(self):
        done = subprocess.run([self.folder / "scripts" / "test", "--quick"], capture_output=True, text=True, timeout=60,
                              env={"PATH": f"{self.folder / 'tools'}:/usr/bin:/bin"})
        self.lines = done.stdout.splitlines()
        return done.returncode, self.lines[-1]

    def test_without_a_gpu_its_tests_are_skipped(self):
        self.assertEqual(self.run_it(), (0, "2 passed, 0 failed, 1 skipped"))

    def test_what_is_not_built_for_want_of_a_toolkit_is_skipped(self):
        why = "no CUDA Toolkit found, the Thrust backend is not built"
        self.build(why, "thrust_tbb is not built, its run-time library is not installed", "something else")
        self.assertEqual(self.run_it(), (0, "2 passed, 0 failed, 3 skipped"))
        self.assertTrue(any("skipped" in line and why in line for line in self.lines), self.lines)

    def test_gpu_check_is_counted_as_it_ended(self):
        for code, expected in ((0, (0, "3 passed, 0 failed, 0 skipped")), (1, (1, "2 passed, 1 failed, 0 skipped")),
                               (2, (0, "2 passed, 0 failed, 1 skipped"))):
            self.gpu(code)
            self.assertEqual(self.run_it(), expected)

    def test_a_build_that_fails_is_a_failure_and_its_tests_do_not_run(self):
        write(self.folder / "scripts" / "build", "exit 1\n")
        self.assertEqual(self.run_it(), (1, "0 passed, 1 failed, 1 skipped"))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        SCRIPT = pathlib.Path(sys.argv.pop(1))
    unittest.main()
