#!/usr/bin/env python3
"""Times single operations in PyTorch and prints one line of JSON: the counterpart of bench_ops.

    ops.py compress|extract|ema|attention|gemm|sgemm --threads N --seconds S

Shapes, and what is counted, are those of benchmarks/ops.cpp. Sequences have equal lengths, so that nothing is padded; outputs of
compress and extract are allocated once. sgemm is torch.mm of two 2,048 x 2,048 matrices: a limit of the machine.
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F

import seqboat
from run import keep_freed_memory, memory_mb

SEQUENCES, LENGTH, WIDTH = 8, 1024, 160
ROWS = SEQUENCES * LENGTH


def timed(seconds: float, *stages) -> list[float]:
    """Median seconds of each stage; stages run one after another and get what the one before returned."""
    taken = [[] for _ in stages]
    total, i = 0.0, -2
    while i < 3 or total < seconds:
        value = None
        for stage, times in zip(stages, taken):
            start = time.perf_counter()
            value = stage(value)
            spent = time.perf_counter() - start
            if i >= 0:
                times.append(spent)
                total += spent
        i += 1
    return [statistics.median(times) for times in taken]


def rows_per_second(seconds: float, name: str, forward, inputs: list[torch.Tensor]) -> dict[str, float]:
    """Of `forward`, and of it with its backward pass, which gives the gradients of `inputs`."""
    dy = torch.randn_like(forward(None).detach())
    first, second = timed(seconds, forward, lambda y: torch.autograd.grad(y, inputs, dy))
    return {f"{name}forward": ROWS / first, f"{name}both": ROWS / (first + second)}


def ema(seconds: float) -> dict[str, float]:
    module = seqboat.Ema(seqboat.Config(WIDTH, 96, 320, truncation=1024))
    x = torch.randn(SEQUENCES, LENGTH, WIDTH, requires_grad=True)
    return rows_per_second(seconds, "", lambda _: module(x), [x, *module.parameters()])


def attention(seconds: float) -> dict[str, float]:
    """The middle of `Layer.attend`: queries (n, C, z) against keys and values that already stand in its padded rows."""
    values = {}
    for kind, weigh in (("relu2", seqboat.Relu2.apply), ("softmax", lambda s: torch.softmax(s, -1))):
        c = seqboat.Config(WIDTH, 96, 320, attention=kind, max_positions=1024)
        layer = seqboat.Layer(c)
        at = seqboat.compress(torch.ones(SEQUENCES, LENGTH, dtype=torch.bool), torch.float32, c.window, layer.chunk, False)
        n, chunk = at.queries.shape
        span, rows = chunk + 2 * c.window, at.source.numel()
        q = torch.randn(n, chunk, c.query_width, requires_grad=True)
        k = torch.randn(rows, c.query_width, requires_grad=True)
        v = torch.randn(rows, c.value_width, requires_grad=True)

        def forward(_):
            scores = seqboat.BandScores.apply(q * layer.score_scale(at), k, *layer.bias(at, LENGTH, chunk, span))
            return seqboat.BandValues.apply(weigh(scores), v)

        values |= rows_per_second(seconds, f"{kind}/", forward, [q, k, v, layer.rel_pos_bias.rel_pos_bias])
    return values


def gemm(seconds: float) -> dict[str, float]:
    values = {}
    for inputs, outputs in ((160, 160), (160, 736), (320, 160), (80, 80), (80, 384), (160, 80)):
        x = torch.randn(ROWS, inputs, requires_grad=True)
        w = torch.randn(outputs, inputs, requires_grad=True)
        b = torch.randn(outputs, requires_grad=True)
        dy = torch.randn(ROWS, outputs)
        first, second = timed(seconds, lambda _: F.linear(x, w, b), lambda y: torch.autograd.grad(y, [x, w, b], dy))
        flops = 2e-9 * ROWS * inputs * outputs
        values[f"{inputs}x{outputs}/forward"] = flops / first
        values[f"{inputs}x{outputs}/backward"] = 2 * flops / second
    return values


def move_rows(seconds: float, out: bool) -> dict[str, float]:
    rows = 3 << 18
    flags = torch.rand(rows) < 0.5
    index = flags.nonzero().squeeze(1)
    every, some = torch.ones(rows, WIDTH), torch.ones(index.numel(), WIDTH)

    def compress(_):
        torch.index_select(every, 0, flags.nonzero().squeeze(1), out=some)

    def extract(_):
        every.zero_()
        every.index_copy_(0, index, some)

    with torch.inference_mode():
        (taken,) = timed(seconds, extract if out else compress)
    active, whole = 4 * some.numel(), 4 * every.numel()
    return {"": (active + whole if out else 2 * active + rows) / taken * 1e-9}


def sgemm(seconds: float) -> dict[str, float]:
    n = 2048
    a, b, c = torch.rand(n, n), torch.rand(n, n), torch.empty(n, n)
    best, total = float("inf"), 0.0
    while total < seconds:
        (taken,) = timed(0, lambda _: torch.mm(a, b, out=c))
        best, total = min(best, taken), total + 3 * taken
    return {"torch_gflops": 2e-9 * n**3 / best}


OPERATIONS = {
    "compress": lambda s: move_rows(s, False), "extract": lambda s: move_rows(s, True),
    "ema": ema, "attention": attention, "gemm": gemm, "sgemm": sgemm,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Times one operation in PyTorch; prints one line of JSON.")
    parser.add_argument("name", choices=OPERATIONS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_flush_denormal(True)
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    values = OPERATIONS[options.name](options.seconds)
    print(json.dumps({"program": "torch", "name": options.name, "threads": options.threads, "values": values,
                      "peak_mb": memory_mb("VmHWM")}))


if __name__ == "__main__":
    main()
