#!/usr/bin/env python3
"""What scripts/lessons does with a trainer: with a stand-in that has learnt a level sooner or later, and stops as trainers do."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "lessons"

# Logs an update each 20 ms; of a level below HARD ever more is right. Goes on where it was; the run ends 30 updates after HARD, or level 6, began.
TRAINER = """#!{python}
import json, pathlib, signal, sys, time
arguments = dict(zip(sys.argv[1:], sys.argv[2:]))
with open("calls.txt", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
if "--broken" in sys.argv:
    print("stand-in: found no pictures, expected some")
    sys.exit(1)
run, level = pathlib.Path(arguments["--save"]), int(arguments["--level"])
state = run / "last.safetensors"
step = int(state.read_text()) if "--resume" in sys.argv else 0
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
with open(arguments["--log"], "a") as log:
    for update in range(30 if level >= min({hard}, 6) else 5000):
        if stopped:
            break
        step += 1
        accuracy = 0.5 if level >= {hard} else min(1, 0.5 + 0.05 * update)
        print(json.dumps(dict(kind="train", step=step, seconds=60.0 * step, accuracy=accuracy)), file=log, flush=True)
        time.sleep(0.02)
state.write_text(str(step))
if stopped:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)
print("test accuracy 81.00 %")
"""


class Lessons(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        for name in ("scripts", "build/release/examples"):
            (self.folder / name).mkdir(parents=True)
        self.write("scripts/lessons", SCRIPT.read_text(encoding="utf-8").replace("time.sleep(2)", "time.sleep(0.05)"))
        self.write("scripts/trainers.py", SCRIPT.with_name("trainers.py").read_text(encoding="utf-8"))
        self.write("scripts/build", "#!/bin/bash\n[[ $2 == trainer ]]\n")
        self.trainer(hard=99)

    def write(self, name, text):
        (self.folder / name).write_text(text, encoding="utf-8")
        (self.folder / name).chmod(0o755)

    def trainer(self, hard):
        self.write("build/release/examples/trainer", TRAINER.format(python=sys.executable, hard=hard))

    def lessons(self, *arguments):
        done = subprocess.run([self.folder / "scripts" / "lessons", *arguments], cwd=self.folder, capture_output=True, text=True, check=False,
                              timeout=120)
        return done.returncode, done.stdout, done.stderr

    def levels(self, run="runs/trainer"):
        lines = (self.folder / run / "lessons.csv").read_text(encoding="utf-8").split()
        self.assertEqual(lines[0], "level,update,seconds")
        return [tuple(map(int, line.split(","))) for line in lines[1:]]

    def test_goes_up_when_a_level_is_learnt(self):
        code, said, _ = self.lessons("trainer", "--from", "4", "--to", "6", "--minutes", "7", "--threads", "1", "--", "--lr", "0.1")
        self.assertEqual((code, said.splitlines()[-1]), (0, "test accuracy 81.00 %"))
        levels = self.levels()
        self.assertEqual([level for level, _, _ in levels], [4, 5, 6])
        self.assertEqual(levels[0], (4, 0, 0))
        self.assertTrue(0 < levels[1][1] < levels[2][1])
        self.assertEqual(levels[1][2], 60 * levels[1][1])
        calls = (self.folder / "calls.txt").read_text(encoding="utf-8").splitlines()
        self.assertEqual(len(calls), 3)
        self.assertNotIn("--resume", calls[0])
        for call in calls[1:]:
            self.assertIn("--resume --change-recipe", call)
        for call in calls:
            self.assertIn("--minutes 7.0 --threads 1", call)
            self.assertIn("--lr 0.1", call)

    def test_ends_with_the_run_where_a_level_is_not_learnt(self):
        self.trainer(hard=5)
        code, said, _ = self.lessons("trainer", "--from", "4", "--out", "elsewhere")
        self.assertEqual((code, said.splitlines()[-1]), (0, "test accuracy 81.00 %"))
        self.assertEqual([level for level, _, _ in self.levels("elsewhere")], [4, 5])

    def test_says_what_is_wrong(self):
        code, _, error = self.lessons("trainer", "--", "--broken")
        self.assertEqual(code, 1)
        self.assertRegex(error, r"^scripts/lessons: trainer ended with 1, see said.txt in \S+\n$")
        code, _, error = self.lessons("other")
        self.assertEqual((code, error[:46]), (1, "scripts/lessons: the build of other failed:\n\n"[:46]))
        code, _, error = self.lessons("trainer", "--from", "9", "--to", "6")
        self.assertEqual((code, error), (1, "scripts/lessons: found levels from 9 to 6, expected a first one that is not above the last\n"))

    def test_leaves_a_run_alone(self):
        (self.folder / "runs" / "trainer").mkdir(parents=True)
        (self.folder / "runs" / "trainer" / "last.safetensors").write_text("12", encoding="utf-8")
        code, _, error = self.lessons("trainer")
        self.assertEqual(code, 1)
        self.assertRegex(error, r"^scripts/lessons: \S+/runs/trainer: found a run there, expected a new directory\n$")
        self.assertFalse((self.folder / "calls.txt").exists())


if __name__ == "__main__":
    unittest.main()
