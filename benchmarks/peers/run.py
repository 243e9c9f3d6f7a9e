#!/usr/bin/env python3
"""Times the peer on one task and prints one line of JSON.

    run.py train|infer --task listops|text|image|pathfinder --batch B --threads N --lengths fixed|fixed:T|FILE --seconds S
           [--compile] [--activation RATE] [--weights FILE]

The models are the paper's, in single precision. A batch is B random rows, padded to its longest; only the steps that are not
padding count as tokens. A training step is forward, backward, clipping to norm 1 and AdamW; an inference step is a forward
pass in inference mode. A FILE of lengths holds one a line; batches take them in order, and from the first again after the last.
"""

import argparse
import ctypes
import gc
import itertools
import json
import os
import pathlib
import statistics
import sys
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F

import seqboat
from seqboat import Config


@dataclass(frozen=True)
class Task:
    config: Config
    layers: int
    classes: int
    classifier_width: int
    length: int
    weight_decay: float
    vocabulary: int | None = None  # None: one real number a step
    absolute_positions: bool = False

    def model(self) -> seqboat.Classifier:
        return seqboat.Classifier(self.config, self.layers, self.classes, self.classifier_width, self.vocabulary,
                                  self.absolute_positions)


TASKS = {
    "listops": Task(Config(80, 64, 160, truncation=1024, prenorm=False, max_positions=2002, dropout=0.1,
                           temperature_scale=0.3), 6, 10, 160, 2000, 0.001, vocabulary=16),
    "text": Task(Config(128, 64, 256, truncation=1024, prenorm=False, norm="scalenorm", positions="local",
                        max_positions=4002, dropout=0.1, temperature_scale=0.3), 4, 2, 256, 4000, 0.01, vocabulary=257),
    "image": Task(Config(160, 96, 320, truncation=1024, norm="batchnorm", attention="relu2", max_positions=1024,
                         temperature_scale=0.4), 8, 10, 320, 1024, 0.02, absolute_positions=True),
    "pathfinder": Task(Config(128, 64, 256, truncation=1024, norm="batchnorm", attention="relu2", max_positions=1024),
                       6, 2, 256, 1024, 0.01, absolute_positions=True),
}
# Small, so that routing stays what it is at the start while random labels are being learnt.
RATE = 1e-5


class Batches:
    """Random rows of given lengths: x (B, longest), lengths (B) or None without padding, labels (B), and useful tokens."""

    def __init__(self, task: Task, batch: int, lengths: list[int]):
        self.task, self.batch = task, batch
        self.lengths = itertools.cycle(lengths)

    def next(self):
        lengths = [next(self.lengths) for _ in range(self.batch)]
        shape = (self.batch, max(lengths))
        x = torch.randn(shape) if self.task.vocabulary is None else torch.randint(1, self.task.vocabulary, shape)
        labels = torch.randint(self.task.classes, (self.batch,))
        if min(lengths) == max(lengths):
            return x, None, labels, sum(lengths)
        known = torch.tensor(lengths)
        x.masked_fill_(torch.arange(shape[1]) >= known[:, None], 0)
        return x, known, labels, sum(lengths)


def read_lengths(text: str, task: Task) -> list[int]:
    if text == "fixed":
        return [task.length]
    if text.startswith("fixed:") and text.removeprefix("fixed:").isdecimal():
        return [max(1, int(text.removeprefix("fixed:")))]
    try:
        lengths = [int(line) for line in pathlib.Path(text).read_text().split()]
    except (OSError, ValueError) as error:
        sys.exit(f"run.py: --lengths {text}: {error}")
    if not lengths or min(lengths) < 1:
        sys.exit(f"run.py: --lengths {text}: expected at least one length, each at least 1")
    return lengths


def keep_freed_memory() -> None:
    """glibc gives large arrays back to the system when they are freed, and the next one of the same size pays for fresh zeroed
    pages. PyTorch's tuning guide preloads another allocator against that; these settings do the same inside the process."""
    m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4
    libc = ctypes.CDLL(None)
    libc.mallopt(m_mmap_max, 0)
    libc.mallopt(m_trim_threshold, 2**31 - 1)
    libc.mallopt(m_top_pad, 64 << 20)


def memory_mb(field: str) -> float:
    """VmRSS, resident now, or VmHWM, its peak since the last `forget_peak`."""
    (line,) = (line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return round(int(line.split()[1]) / 1024, 1)


def forget_peak() -> None:
    """Compiling takes more memory than some steps do; what is measured is the steps'."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pathlib.Path("/proc/self/clear_refs").write_text("5")


def trainer(model: seqboat.Classifier, task: Task):
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), eps=1e-8,
                                  weight_decay=task.weight_decay, fused=True)
    parameters = list(model.parameters())
    model.train()

    def step(x, lengths, labels) -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(x, lengths), labels).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return step


def inferrer(model: seqboat.Classifier):
    model.eval()

    @torch.inference_mode()
    def step(x, lengths, labels) -> None:
        model(x, lengths)

    return step


def activation(model: seqboat.Classifier, batches: Batches, mode: str) -> list[float]:
    """The share of active steps in each layer, on one more batch, in the measured mode so that nothing is compiled anew."""
    layers = seqboat.layers_of(model)
    for layer in layers:
        layer.keep_decisions = True
    x, lengths, _, tokens = batches.next()
    with torch.inference_mode(mode == "infer"):
        model(x, lengths)
    return [round(layer.decisions[0].sum().item() / tokens, 4) for layer in layers]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Times SeqBoat in PyTorch on one task; prints one line of JSON.")
    parser.add_argument("mode", choices=("train", "infer"))
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--lengths", default="fixed", help="fixed (the task's), fixed:T, or a file with one length a line")
    parser.add_argument("--seconds", type=float, default=30, help="of measured steps")
    parser.add_argument("--steps", type=int, default=3, help="measured at least (3)")
    parser.add_argument("--warmup", type=int, help="unmeasured steps (2; with --compile 4)")
    parser.add_argument("--compile", action="store_true", help="torch.compile the layers")
    parser.add_argument("--activation", type=float, metavar="RATE", help="each step is active with this probability, in place "
                        "of the routers' decisions")
    parser.add_argument("--weights", type=pathlib.Path, metavar="FILE", help="safetensors, under the reference's names")
    parser.add_argument("--layers", type=int, help="instead of the paper's")
    parser.add_argument("--chunk", type=int, help="queries a chunk of attention; divides the window (64)")
    parser.add_argument("--malloc", choices=("keep", "system"), default="keep", help="keep freed memory, or glibc's defaults")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.activation is not None and not 0 <= options.activation <= 1:
        parser.error(f"--activation: found {options.activation}, expected 0 to 1")
    if options.batch < 1 or options.threads < 1 or options.steps < 1:
        parser.error("--batch, --threads and --steps: expected at least 1")
    return options


def main() -> None:
    options = arguments()
    if options.malloc == "keep":
        keep_freed_memory()
    torch.set_flush_denormal(True)  # before the threads start, which inherit it: tails of EMA kernels are denormal
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    task = TASKS[options.task]
    model = Task(**{**vars(task), "layers": options.layers or task.layers}).model()
    if options.chunk is not None and (options.chunk < 1 or task.config.window % options.chunk):
        sys.exit(f"run.py: --chunk: found {options.chunk}, expected a divisor of {task.config.window}")
    if options.weights is not None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
        try:
            model.load_state_dict(load_file(options.weights))
        except (OSError, RuntimeError, SafetensorError) as error:
            sys.exit(f"run.py: --weights {options.weights}: {' '.join(str(error).split())[:200]}")
    for layer in seqboat.layers_of(model):
        layer.forced_rate = options.activation
        layer.chunk = options.chunk or layer.chunk
    if options.compile:
        seqboat.compile_layers(model)
    batches = Batches(task, options.batch, read_lengths(options.lengths, task))
    step = trainer(model, task) if options.mode == "train" else inferrer(model)

    start = time.perf_counter()
    step(*Batches(task, min(options.batch, 2), [150]).next()[:3])
    forget_peak()
    base_mb = memory_mb("VmRSS")  # PyTorch itself, once everything is loaded
    warmup = options.warmup if options.warmup is not None else 4 if options.compile else 2
    for _ in range(warmup):
        step(*batches.next()[:3])
    warmup_s = time.perf_counter() - start
    seconds: list[float] = []
    rates: list[float] = []
    while len(seconds) < options.steps or sum(seconds) < options.seconds:
        *batch, tokens = batches.next()
        start = time.perf_counter()
        step(*batch)
        seconds.append(time.perf_counter() - start)
        rates.append(tokens / seconds[-1])
    peak = memory_mb("VmHWM")
    print(json.dumps({
        "program": "torch", "mode": options.mode, "task": options.task, "compiled": options.compile,
        "torch": torch.__version__, "threads": torch.get_num_threads(), "batch": options.batch, "lengths": options.lengths,
        "tokens_per_s": round(statistics.median(rates), 1), "steps": len(seconds),
        "step_s": [round(s, 4) for s in seconds], "warmup_s": round(warmup_s, 2), "peak_mb": peak, "base_mb": base_mb,
        "malloc": options.malloc, "forced_activation": options.activation, "activation": activation(model, batches, options.mode),
    }))


if __name__ == "__main__":
    main()
