#!/usr/bin/env python3
"""Times SeqBoat in PyTorch (../peers) on a GPU: the counterpart of bench_gpu's layers and models.

    peer.py --task listops|image --precision fp32|tf32|bf16 --weights DIR [--batches 8 32] [--seconds S] [--wait]
            [--device cuda|cpu] [--small]

Prepares everything first (eager and compiled, inference and training: torch.compile takes a minute or two), prints
`{"ready": true}`, with --wait reads a line, and then prints a line of JSON a measurement, under bench_gpu's names:

    {"case": "image/model/8/train", "torch": "compiled", "precision": "fp32", "seconds": [median, least, most], "rows": 8192,
     "activation": [0.51, ...]}

or, with "error" in place of numbers, what PyTorch said. Products: fp32 without TF32; tf32 with; bf16 autocast, with attention's scores
in bf16 and the FFT in fp32. DIR holds TASK-layer.safetensors and TASK-model.safetensors, as bench_gpu --weights writes them. A layer's
input and output stay on the device, a model's batch comes from host memory, as bench_gpu's do.
Exit code 77: no PyTorch, or it finds no GPU; the reason is printed as {"skipped": ...}.
"""

import argparse
import contextlib
import json
import pathlib
import sys
import time

NO_GPU = 77

try:
    import torch
    import torch.nn.functional as F
except ImportError as missing:
    print(json.dumps({"skipped": f"no PyTorch: {missing}"}))
    sys.exit(NO_GPU)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "peers"))
import run  # noqa: E402
import seqboat  # noqa: E402

RATE = 1e-5  # as in bench_gpu: routing stays that of the initial weights
LAYER_BATCH = 8


def read_weights(path):
    """The float tensors of a safetensors file, by name."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + size + at for at in entry["data_offsets"])
        if entry["dtype"] != "F32":
            sys.exit(f"peer.py: {path}: tensor '{name}': found {entry['dtype']}, expected F32")
        tensors[name] = torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32).reshape(entry["shape"])
    return tensors


def use_bf16(device):
    """Attention's products on bf16 operands, which an autograd function's in-place ones and its backward are not by autocast alone;
    the FFT in single precision, as it has no bf16 form."""
    convolve, scores, values = seqboat.Convolve.apply, seqboat.BandScores.apply, seqboat.BandValues.apply

    def low(*tensors):
        return (t.bfloat16() if t is not None and t.is_floating_point() else t for t in tensors)

    class Convolve:
        @staticmethod
        def apply(x, kernel):
            with torch.autocast(device, enabled=False):
                return convolve(x.float(), kernel.float())

    class BandScores:
        @staticmethod
        def apply(*operands):
            with torch.autocast(device, enabled=False):
                return scores(*low(*operands))

    class BandValues:
        @staticmethod
        def apply(*operands):
            with torch.autocast(device, enabled=False):
                return values(*low(*operands))

    seqboat.Convolve, seqboat.BandScores, seqboat.BandValues = Convolve, BandScores, BandValues


class Bench:
    def __init__(self, options):
        self.options = options
        self.task = run.TASKS[options.task]
        self.length = 40 if options.small else self.task.length
        self.device = torch.device(options.device)

    def autocast(self):
        if self.options.precision != "bf16":
            return contextlib.nullcontext()
        return torch.autocast(self.options.device, torch.bfloat16)

    def synchronize(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def network(self, kind, compiled, training):
        net = seqboat.Layer(self.task.config) if kind == "layer" else self.task.model()
        net.load_state_dict(read_weights(self.options.weights / f"{self.options.task}-{kind}.safetensors"))
        net.to(self.device).train(training)
        if compiled:
            seqboat.compile_layers(net)
        return net

    def layer_step(self, net, batch, training):
        x = torch.randn(batch, self.length, self.task.config.width, device=self.device, requires_grad=training)
        dy = torch.randn(x.shape, device=self.device)

        def forward():
            with torch.inference_mode(), self.autocast():
                net(x)

        def both():
            net.zero_grad(set_to_none=True)
            x.grad = None
            with self.autocast():
                y = net(x)
            y.backward(dy.to(y.dtype))

        return both if training else forward

    def model_step(self, net, batch, training):
        shape = (batch, self.length)
        vocabulary = self.task.vocabulary
        x = torch.randn(shape) if vocabulary is None else torch.randint(1, vocabulary, shape)
        labels = torch.randint(self.task.classes, (batch,))
        parameters = list(net.parameters())
        optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.01, fused=True) if training else None

        def forward():
            with torch.inference_mode(), self.autocast():
                net(x.to(self.device)).cpu()

        def step():
            optimizer.zero_grad(set_to_none=True)
            with self.autocast():
                loss = F.cross_entropy(net(x.to(self.device)).float(), labels.to(self.device))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()

        return step if training else forward

    def activation(self, kind, net, batch):
        """The share of active steps in each layer, of an eager network in inference mode on a batch of its own."""
        layers = seqboat.layers_of(net)
        step = (self.layer_step if kind == "layer" else self.model_step)(net, batch, False)
        for layer in layers:
            layer.keep_decisions = True
        step()
        rates = [round(layer.decisions[0].float().mean().item(), 4) for layer in layers]
        for layer in layers:
            layer.keep_decisions, layer.decisions = False, None
        return rates

    def timed(self, step):
        """[median, least, most] seconds of a step, over windows of steps without a wait between them, as bench_gpu takes them."""

        def window(steps):
            self.synchronize()
            start = time.perf_counter()
            for _ in range(steps):
                step()
            self.synchronize()
            return (time.perf_counter() - start) / steps

        once = min(window(1), window(1))
        steps = int(self.options.seconds / 5 / max(once, 1e-6)) + 1
        windows = sorted(window(steps) for _ in range(5 if once < self.options.seconds else 3))
        return [windows[len(windows) // 2], windows[0], windows[-1]]


def one_line(error):
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def arguments():
    parser = argparse.ArgumentParser(description="Times SeqBoat in PyTorch on a GPU; prints lines of JSON.")
    parser.add_argument("--task", choices=("listops", "image"), required=True)
    parser.add_argument("--precision", choices=("fp32", "tf32", "bf16"), required=True)
    parser.add_argument("--weights", type=pathlib.Path, required=True, metavar="DIR")
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 32], help="sequences of the model (8 32)")
    parser.add_argument("--seconds", type=float, default=0.3, help="of each measurement (0.3)")
    parser.add_argument("--wait", action="store_true", help="for a line on standard input, once all is prepared")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="sequences of 40 steps")
    return parser.parse_args()


def main():
    options = arguments()
    if options.device == "cuda" and not torch.cuda.is_available():
        print(json.dumps({"skipped": f"PyTorch {torch.__version__} finds no GPU"}))
        sys.exit(NO_GPU)
    torch.manual_seed(1)
    torch.set_float32_matmul_precision("highest" if options.precision == "fp32" else "high")
    torch.backends.cudnn.allow_tf32 = options.precision != "fp32"
    if options.precision == "bf16":
        use_bf16(options.device)
    # Layers share compiled code, which is compiled anew for each task, mode and kind of batch. Falling back to eager must show.
    for name in ("recompile_limit", "cache_size_limit"):
        if hasattr(torch._dynamo.config, name):
            setattr(torch._dynamo.config, name, 64)
    if hasattr(torch._dynamo.config, "fail_on_recompile_limit_hit"):
        torch._dynamo.config.fail_on_recompile_limit_hit = True

    bench = Bench(options)
    prepared = []
    rates = {}
    for compiled in (False, True):
        for training in (False, True):
            for kind, batches in (("layer", [LAYER_BATCH]), ("model", options.batches)):
                net = None
                for batch in batches:
                    case = f"{options.task}/{kind}/{batch}/{'train' if training else 'forward'}"
                    about = {"case": case, "torch": "compiled" if compiled else "eager", "precision": options.precision}
                    try:
                        net = net or bench.network(kind, compiled, training)
                        if not compiled and not training:
                            rates[kind, batch] = bench.activation(kind, net, batch)
                        step = (bench.layer_step if kind == "layer" else bench.model_step)(net, batch, training)
                        for _ in range(3):
                            step()
                        bench.synchronize()
                        prepared.append((about, step, batch * bench.length, rates.get((kind, batch), [])))
                    except Exception as error:  # whatever PyTorch throws is the result
                        print(json.dumps({**about, "error": one_line(error)}), flush=True)
                    if bench.device.type == "cuda":
                        torch.cuda.empty_cache()  # other peers need it too
    print(json.dumps({"ready": True, "torch": torch.__version__}), flush=True)
    if options.wait and not sys.stdin.readline():
        return
    for about, step, rows, active in prepared:
        try:
            result = {"seconds": bench.timed(step), "rows": rows, "activation": active}
        except Exception as error:
            result = {"error": one_line(error)}
        print(json.dumps({**about, **result}), flush=True)


if __name__ == "__main__":
    main()
