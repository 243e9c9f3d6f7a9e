#!/usr/bin/env python3
"""Compares what bench_equal has written with PyTorch on the same inputs; prints the table of docs/equal.md.

    bench_equal FILE && equal.py FILE

Errors are largest absolute differences over the tensor's largest magnitude, the worst of a case's tensors: outputs of
training and inference, gradients of inputs and parameters, running statistics. Columns: this library in double against PyTorch
in double; this library in float, and PyTorch in float, each against PyTorch in double on the same float inputs. Optimizers take
300 updates with clipped gradients. Parameters are loaded with strict=True. Exit code 1 if a double differs by more than 1e-14, a
float by more than 1e-6 (1e-5 after an optimizer's updates), or a T5 bucket.
"""

import argparse
import math
import sys
import warnings

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

DOUBLE = 1e-14  # of at most
LENGTHS = (5, 1, 30)


class ReLU2(nn.Module):
    def forward(self, x):
        return F.relu(x).square()


class MeanPool(nn.Module):
    def forward(self, x):
        return torch.stack([part.mean(0) for part in x.split(LENGTHS)])


def feed_forward(width, hidden):
    names = {"up": nn.Linear(width, hidden), "act": nn.SiLU(), "drop": nn.Dropout(0.0), "down": nn.Linear(hidden, width)}
    module = nn.Sequential()
    for name, part in names.items():
        module.add_module(name, part)
    return module


W = 24
MODULES = {
    "Linear": ("nn.Linear", lambda: nn.Linear(40, W)),
    "LinearWithoutBias": ("nn.Linear(bias=False)", lambda: nn.Linear(40, W, bias=False)),
    "LayerNorm": ("nn.LayerNorm", lambda: nn.LayerNorm(W)),
    "LayerNorm, not affine": ("nn.LayerNorm(elementwise_affine=False)", lambda: nn.LayerNorm(W, elementwise_affine=False)),
    "RmsNorm": ("nn.RMSNorm(eps=1e-5)", lambda: nn.RMSNorm(W, eps=1e-5)),
    "BatchNorm": ("nn.BatchNorm1d", lambda: nn.BatchNorm1d(W)),
    "SiLU": ("nn.SiLU", nn.SiLU),
    "GELU": ("nn.GELU", nn.GELU),
    "ReLU": ("nn.ReLU", nn.ReLU),
    "ReLU2": ("F.relu(x).square()", ReLU2),
    "Tanh": ("nn.Tanh", nn.Tanh),
    "Sigmoid": ("nn.Sigmoid", nn.Sigmoid),
    "FeedForward": ("nn.Sequential(nn.Linear, nn.SiLU, nn.Dropout, nn.Linear)", lambda: feed_forward(W, 48)),
    "TokenEmbedding": ("nn.Embedding(padding_idx)", lambda: nn.Embedding(9, W, padding_idx=2)),
    "RealEmbedding": ("nn.Linear(1, W)", lambda: nn.Linear(1, W)),
    "MeanPool": ("x.mean(0), a sequence at a time", MeanPool),
}
OPTIMIZERS = {
    "AdamW": (torch.optim.AdamW, 1e-8, {}),
    "AdamW, eps 1e-2": (torch.optim.AdamW, 1e-2, {}),
    "RAdam": (torch.optim.RAdam, 1e-8, {"decoupled_weight_decay": True}),
    "RAdam, eps 1e-2": (torch.optim.RAdam, 1e-2, {"decoupled_weight_decay": True}),
}


def error(found, expected):
    """0 where both are the same infinities and NaNs."""
    found, expected = found.double().reshape(-1), expected.double().reshape(-1)
    same = (found == expected) | (found.isnan() & expected.isnan())
    if same.all():
        return 0.0
    largest = expected[expected.isfinite()].abs().max().item()
    worst = (found - expected)[~same].abs().max().item()
    return worst / largest if largest > 0 else worst


class Case:
    """The tensors of one case in one precision."""

    def __init__(self, tensors, scalar, name):
        start = f"{scalar}.{name}."
        self.tensors = {key[len(start):]: value for key, value in tensors.items() if key.startswith(start)}

    def group(self, prefix):
        return {key[len(prefix):]: value for key, value in self.tensors.items() if key.startswith(prefix)}

    def __getitem__(self, name):
        return self.tensors[name]


def module_results(case, make, dtype):
    """The case's tensors as PyTorch computes them."""
    module = make().to(dtype)
    state = {key: value.to(dtype) for key, value in case.group("param.").items()}
    if isinstance(module, nn.BatchNorm1d):
        state |= {key: module.state_dict()[key] for key in ("running_mean", "running_var")}
    module.load_state_dict(state, strict=True)
    x = case["x"]
    tokens = not x.is_floating_point()
    x = x[:, 0].long() if tokens else x.to(dtype, copy=True).requires_grad_()
    y = module(x)
    y.backward(case["dy"].to(dtype))
    results = {"y": y} | ({} if tokens else {"dx": x.grad})
    results |= {f"grad.{key}": value.grad for key, value in module.named_parameters()}
    results |= {f"buffer.{key}": value for key, value in module.named_buffers() if key.startswith("running_")}
    results["inferred"] = module.eval()(x)
    return {key: value.detach() for key, value in results.items()}


def cross_entropy_results(case, dtype):
    x = case["x"].to(dtype, copy=True).requires_grad_()
    y = F.cross_entropy(x, case["targets"].long())
    y.backward()
    return {"y": y.detach(), "dx": x.grad}


def optimizer_results(case, optimizer, epsilon, options, dtype):
    w = nn.Parameter(case["start"].to(dtype, copy=True))
    steps = optimizer([w], lr=0.01, betas=(0.9, 0.98), eps=epsilon, weight_decay=0.05, **options)
    for gradient in case["gradients"]:
        w.grad = gradient.to(dtype)
        nn.utils.clip_grad_norm_([w], 1.5)
        steps.step()
    return {"y": w.detach()}


def schedule(name, steps):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.01)
    rates = torch.optim.lr_scheduler
    scheduler = (rates.LinearLR(optimizer, start_factor=1, end_factor=0, total_iters=steps) if name == "linear"
                 else rates.CosineAnnealingLR(optimizer, T_max=steps))
    values = []
    for _ in range(steps + 1):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return torch.tensor(values, dtype=torch.float64)


def t5_buckets(causal):
    """Bucket of offset -20000..20000, query minus key, in T5's own single precision."""
    n = torch.arange(-20000, 20001)
    buckets, first = (32, 0) if causal else (16, (n < 0).long() * 16)
    n = n.clamp(min=0) if causal else n.abs()
    exact = buckets // 2
    far = exact + (torch.log(n.float() / exact) / math.log(128 / exact) * (buckets - exact)).long()
    return first + torch.where(n < exact, n, far.clamp(max=buckets - 1))


def compare(tensors, name, pytorch, results, tolerance=1e-6):
    """Prints a line of the table; whether all is equal enough."""
    worst = {}
    for scalar, dtype in (("f64", torch.float64), ("f32", torch.float32)):
        case = Case(tensors, scalar, name)
        expected = results(case, torch.float64)
        worst[scalar] = max(error(case[key], value) for key, value in expected.items())
        if scalar == "f32":
            own = results(case, dtype)
            worst["PyTorch"] = max(error(own[key], value) for key, value in expected.items())
    print(f"| {name} | {pytorch} | " + " | ".join(f"{value:.1e}" if value > 0 else "0" for value in worst.values()) + " |")
    return worst["f64"] <= DOUBLE and worst["f32"] <= tolerance


def print_extremes(tensors, name, make):
    """Where results differ far outside of what networks compute: infinities, NaN, arguments whose exponential overflows."""
    for scalar, dtype in (("f64", torch.float64), ("f32", torch.float32)):
        case = Case(tensors, scalar, f"extreme {name}")
        expected = module_results(case, make, dtype)
        x = case["x"].reshape(-1)
        for key in ("y", "dx"):
            ours, theirs = case[key].reshape(-1), expected[key].reshape(-1)
            close = ((ours - theirs).abs() <= 4e-7 * theirs.abs()) | (ours == theirs) | (ours.isnan() & theirs.isnan())
            differ = [f"{a:g}: {b:.2g}, {c:.2g}" for a, b, c in zip(x[~close], ours[~close], theirs[~close])]
            if differ:
                print(f"extreme {scalar} {name} {key} at x: here, PyTorch: " + "; ".join(differ))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", help="what bench_equal has written")
    tensors = load_file(parser.parse_args().file)
    warnings.filterwarnings("ignore", message=".*lr_scheduler.*")
    torch.set_num_threads(1)
    print(f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}\n")
    print("| here | PyTorch | double | float | PyTorch's float |\n|---|---|---|---|---|")
    equal = True
    for name, (pytorch, make) in MODULES.items():
        equal &= compare(tensors, name, pytorch, lambda case, dtype, make=make: module_results(case, make, dtype))
    equal &= compare(tensors, "CrossEntropy", "nn.CrossEntropyLoss", cross_entropy_results)
    for name, (optimizer, epsilon, options) in OPTIMIZERS.items():
        text = "optim." + optimizer.__name__ + "".join(f"({key}={value})" for key, value in options.items())
        equal &= compare(tensors, name, text, lambda case, dtype, o=optimizer, e=epsilon, more=options:
                         optimizer_results(case, o, e, more, dtype), tolerance=1e-5)
    for name, text in (("linear", "LinearLR"), ("cosine", "CosineAnnealingLR")):
        found = tensors[f"f64.Schedule, {name}.y"]
        difference = error(found, schedule(name, len(found) - 1))
        equal &= difference <= DOUBLE
        print(f"| Schedule, {name} | lr_scheduler.{text} | {difference:.1e} | | |")
    print()
    for name, causal in (("both ways", False), ("causal", True)):
        differ = (tensors[f"T5 {name}"] != t5_buckets(causal)).sum().item()
        equal &= differ == 0
        print(f"T5 buckets, {name}: {differ} of 40001 offsets differ")
    for name in ("SiLU", "GELU", "ReLU", "ReLU2", "Tanh", "Sigmoid"):
        print_extremes(tensors, name, MODULES[name][1])
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
