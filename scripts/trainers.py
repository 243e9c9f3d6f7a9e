"""What scripts that run trainers share."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def fail(message):
    sys.exit(f"scripts/{pathlib.Path(sys.argv[0]).name}: {message}")


def split_options(given):
    """The script's own arguments, and those behind "--", which are a trainer's."""
    ours = given.index("--") if "--" in given else len(given)
    return given[:ours], given[ours + 1:]


def build(targets):
    """The programs of the preset `release`, in the order of their targets."""
    done = subprocess.run([ROOT / "scripts" / "build", "release", *targets], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(f"the build of {' '.join(targets)} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return [ROOT / "build" / "release" / "examples" / target for target in targets]
