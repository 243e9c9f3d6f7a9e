#!/usr/bin/env python3
"""Checks the peer against the golden vectors, in double precision.

    check.py DIR [--only TEXT] [--compile]

DIR holds manifest.json and its files. Every tensor a file expects is compared: outputs, active sets, confidences, logits,
losses, gradients, running statistics, trajectories. Errors are relative to the tensor's largest magnitude. Exit code 1 if any
is too large, or if nothing compared an expectation.
"""

import argparse
import json
import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import seqboat

TOLERANCE = 1e-9
ROUNDING = 1e-12  # a tensor smaller than this is zero but for the order of sums, and is compared absolutely


class Case:
    """One golden file: its inputs, and which expectations nobody has looked at yet."""

    def __init__(self, directory: pathlib.Path, entry: dict):
        self.entry = entry
        self.tensors = load_file(directory / entry["file"])
        self.unread = {name for name in self.tensors if name.startswith("expect.")}
        self.worst: dict[str, tuple[float, str]] = {}
        self.failures: list[str] = []

    def input(self, name: str) -> torch.Tensor | None:
        return self.tensors.get(f"input.{name}")

    def compare(self, name: str, found: torch.Tensor, tolerance: float = TOLERANCE) -> None:
        expected = self.tensors[f"expect.{name}"]
        self.unread.discard(f"expect.{name}")
        if found.shape != expected.shape:
            self.failures.append(f"{name}: found shape {tuple(found.shape)}, expected {tuple(expected.shape)}")
            return
        largest = expected.abs().max().item()
        error = (found.double() - expected.double()).abs().max().item() / (largest if largest >= ROUNDING else 1.0)
        group = "trajectory" if name.startswith("train.") else name.split(".")[0]
        self.worst[group] = max(self.worst.get(group, (0.0, "")), (error, name))
        if not error <= tolerance:
            self.failures.append(f"{name}: relative error {error:.2e} of at most {tolerance:.0e}")

    def expects(self, prefix: str) -> list[str]:
        start = f"expect.{prefix}"
        return [name[len(start) :] for name in self.tensors if name.startswith(start)]

    def compare_gradients(self, module: torch.nn.Module) -> None:
        for name, parameter in module.named_parameters():
            found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            self.compare(f"grad.{name}", found)

    def compare_buffers(self, module: torch.nn.Module, prefix: str) -> None:
        buffers = dict(module.named_buffers())
        for name in self.expects(prefix):
            self.compare(prefix + name, buffers[name])

    def load(self, module: torch.nn.Module) -> None:
        state = {name[len("param.") :]: t for name, t in self.tensors.items() if name.startswith("param.")}
        missing, unexpected = module.load_state_dict(state, strict=False)
        missing = [name for name in missing if not name.endswith(("running_mean", "running_var"))]
        if missing or unexpected:
            raise ValueError(f"{self.entry['file']}: parameters missing {missing}, not the model's {unexpected}")


def config(entry: dict, causal: bool) -> seqboat.Config:
    window, truncation = entry.get("window", -1), entry.get("truncation", -1)
    return seqboat.Config(
        width=entry["embed_dim"], query_width=entry["z_dim"], value_width=entry["hidden_dim"], states=entry["ema_dim"],
        window=window if window > 0 else None, truncation=truncation if truncation > 0 else None, causal=causal,
        norm=entry["norm"], prenorm=bool(entry["prenorm"]), attention=entry["attention_activation"],
        positions=entry["rel_pos"], max_positions=entry["max_positions"], always_active=bool(entry.get("always_active", 0)))


def prepared(case: Case, module: torch.nn.Module, compiled: bool) -> torch.nn.Module:
    module = module.double().train()
    case.load(module)
    if compiled:
        torch._dynamo.reset()  # or the limit of recompilations is reached, and the rest runs eagerly
        seqboat.compile_layers(module)
    return module


def check_layer(case: Case, compiled: bool) -> None:
    layer = prepared(case, seqboat.Layer(config(case.entry, not case.entry["bidirectional"])), compiled)
    layer.keep_decisions = True
    x = case.input("x").transpose(0, 1).contiguous().requires_grad_()  # (B, T, d)
    padding = case.input("padding_mask")
    padding = None if padding is None else padding.bool()
    out = layer(x, padding)
    grad_out = case.input("grad_out").transpose(0, 1).contiguous()
    valid = 1.0 if padding is None else (~padding)[..., None].double()
    (out * grad_out * valid).sum().backward()
    case.compare("out", (out.detach() * valid).transpose(0, 1))
    case.compare("grad.x", (x.grad * valid).transpose(0, 1))
    active, confidence = layer.decisions
    case.compare("active", active.to(torch.uint8), 0.0)
    case.compare("confidence", confidence.squeeze(-1))
    case.compare_gradients(layer)
    case.compare_buffers(layer, "buffer.")


def check_classifier(case: Case, compiled: bool) -> None:
    e = case.entry
    pixels = e["embedding"] == "linear"
    model = seqboat.Classifier(
        config(e, not e.get("bidirectional", 1)), e["layers"], e["classes"], e["classifier_dim"],
        None if pixels else e["vocab"], bool(e.get("absolute_positions", 0)), e.get("pad_index", 0))
    model = prepared(case, model, compiled)
    x, labels = case.input("pixels" if pixels else "tokens"), case.input("labels")
    lengths = case.input("lengths")
    lengths = None if bool((lengths == x.size(1)).all()) else lengths

    def loss() -> torch.Tensor:
        return F.cross_entropy(model(x, lengths), labels)

    logits = model(x, lengths)
    first = F.cross_entropy(logits, labels)
    first.backward()
    case.compare("logits", logits.detach())
    case.compare("loss", first.detach().view(1))
    case.compare_gradients(model)
    case.compare_buffers(model, "buffer.")
    if steps := e.get("train_steps", 0):
        check_trajectory(case, model, loss, steps)


def check_trajectory(case: Case, model: torch.nn.Module, loss, steps: int) -> None:
    """The manifest's recipe. The model has seen one pass before, as the running statistics tell."""
    warmup, peak = 4, 0.01
    schedule = [1e-7 + s * (peak - 1e-7) / warmup if s < warmup else peak * (steps - s) / (steps - warmup)
                for s in range(1, steps + 1)]
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), eps=1e-8, weight_decay=0.01, foreach=True)
    losses, norms = [], []
    for rate in schedule:
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        value = loss()
        value.backward()
        losses.append(value.item())
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True).item())
        optimizer.step()
    case.compare("train.lrs", torch.tensor(schedule, dtype=torch.double))
    case.compare("train.losses", torch.tensor(losses, dtype=torch.double))
    case.compare("train.grad_norms", torch.tensor(norms, dtype=torch.double))
    for name, parameter in model.named_parameters():
        case.compare(f"train.param.{name}", parameter.detach())
    case.compare_buffers(model, "train.buffer.")


def check_language_model(case: Case, compiled: bool) -> None:
    e = case.entry
    # The reference's language model has padding index -1: the last token's look-ups leave no gradient.
    model = seqboat.LanguageModel(config(e, True), e["layers"], e["vocab"], bool(e["final_norm_affine"]), e.get("pad_index", -1))
    model = prepared(case, model, compiled)
    logits = model(case.input("tokens"))
    loss = F.cross_entropy(logits.flatten(0, 1), case.input("targets").flatten())
    loss.backward()
    case.compare("logits", logits.detach())
    case.compare("loss", loss.detach().view(1))
    case.compare_gradients(model)


CHECKS = {"seqboat_layer": check_layer, "lra_classifier": check_classifier, "language_model": check_language_model}


def main() -> int:
    parser = argparse.ArgumentParser(description="Checks the PyTorch peer against the golden vectors.")
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--only", default="", help="files whose name contains this")
    parser.add_argument("--compile", action="store_true", help="with torch.compile")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    entries = json.loads((options.directory / "manifest.json").read_text())["cases"]
    entries = [e for e in entries if options.only in e["file"]]
    failed = 0
    for entry in entries:
        case = Case(options.directory, entry)
        CHECKS[entry["kind"]](case, options.compile)
        case.failures += [f"{name}: no check reads this tensor" for name in sorted(case.unread)]
        failed += bool(case.failures)
        errors = "  ".join(f"{group} {error:.0e}" for group, (error, _) in case.worst.items())
        print(f"{'FAIL' if case.failures else 'ok  '} {entry['file']}: {errors}", flush=True)
        for failure in case.failures:
            print(f"       {failure}")
    print(f"{len(entries) - failed} of {len(entries)} files pass")
    return 1 if failed or not entries else 0


if __name__ == "__main__":
    sys.exit(main())
