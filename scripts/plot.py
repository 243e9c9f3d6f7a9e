#!/usr/bin/python3
"""Draws what a trainer wrote: RUN/curves.png from RUN/log.jsonl, RUN/activations.png from RUN/activations.json.

    scripts/plot.py RUN

Needs Debian's python3-matplotlib and python3-numpy.
"""

import json
import os
import sys

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.colors import LinearSegmentedColormap  # noqa: E402
from matplotlib.ticker import PercentFormatter  # noqa: E402

INK, QUIET, GRID = "#22303c", "#6b7883", "#e4e8eb"
TRAIN, VALIDATION, TEST = "#2f6f9f", "#d9822b", "#b3262d"
# White is "skipped"; the faintest run step is already clearly not white.
CONFIDENCE = LinearSegmentedColormap.from_list("confidence", ["#f6d55c", "#ed8b3a", "#c8433f", "#6a1b4d", "#1d1135"])
CONFIDENCE.set_bad("white")

plt.rcParams.update({
    "figure.facecolor": "white",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "legend.frameon": False,
})

CLOTHES = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]


def read_log(path):
    """The lines of kind train and of kind eval. A last line cut short by a killed run is left out."""
    lines = {"train": [], "eval": []}
    with open(path, encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                if text.endswith("\n"):
                    sys.exit(f"{path}:{number}: found {text.strip()[:60]!r}, expected a JSON object")
                continue
            if not isinstance(line, dict) or not isinstance(line.get("step", 0), int):
                sys.exit(f"{path}:{number}: found {text.strip()[:60]!r}, expected an object with a step")
            if line.get("kind") in lines and "step" in line:
                lines[line["kind"]].append(line)
    return lines["train"], lines["eval"]


def column(lines, name):
    """The steps and values of the lines that have a finite number `name`."""
    pairs = [(line["step"], line[name]) for line in lines if isinstance(line.get(name), (int, float))]
    pairs = np.array(pairs, dtype=float).reshape(-1, 2)
    pairs = pairs[np.isfinite(pairs[:, 1])]
    return pairs[:, 0], pairs[:, 1]


def smooth(values):
    """A running mean over about a fortieth of the run."""
    width = max(1, len(values) // 40)
    sums = np.cumsum(np.concatenate([[0.0], values]))
    last = np.arange(1, len(values) + 1)
    first = np.maximum(0, last - width)
    return (sums[last] - sums[first]) / (last - first)


def draw_quantity(axes, train, evaluations, name):
    steps, values = column(train, name)
    if len(steps) >= 80:
        axes.plot(steps, values, color=TRAIN, alpha=0.22, linewidth=0.8)
        axes.plot(steps, smooth(values), color=TRAIN, linewidth=1.8, label="training")
    elif len(steps):
        axes.plot(steps, values, color=TRAIN, linewidth=1.8, label="training")
    for split, color, marker in (("validation", VALIDATION, "o"), ("test", TEST, "D")):
        lines = [line for line in evaluations if line.get("split") == split]
        steps, values = column(lines, name)
        if len(steps):
            axes.plot(steps, values, color=color, marker=marker, markersize=4, linewidth=1.2, label=split)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()


def draw_curves(log, out):
    train, evaluations = read_log(log)
    if not train and not evaluations:
        sys.exit(f"{log}: found no line of kind train or eval")

    figure, (loss, accuracy, activation) = plt.subplots(1, 3, figsize=(14, 4.4), constrained_layout=True)
    draw_quantity(loss, train, evaluations, "loss")
    loss.set_title("Loss")
    loss.set_ylabel("cross entropy")
    draw_quantity(accuracy, train, evaluations, "accuracy")
    accuracy.set_title("Accuracy")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    accuracy.set_ylim(0.0, 1.0)

    rates = [line for line in train if line.get("activation")]
    layers = max((len(line["activation"]) for line in rates), default=0)
    colors = plt.get_cmap("viridis")(np.linspace(0.05, 0.85, max(layers, 1)))
    for layer in range(layers):
        pairs = [(line["step"], line["activation"][layer]) for line in rates if layer < len(line["activation"])]
        steps, values = np.array(pairs, dtype=float).T
        activation.plot(steps, smooth(values) if len(steps) >= 80 else values, color=colors[layer], linewidth=1.8,
                        label=f"layer {layer + 1}")
    activation.set_title("Activation rate")
    activation.set_ylabel("active steps / steps")
    activation.yaxis.set_major_formatter(PercentFormatter(1.0))
    activation.set_ylim(-0.02, 1.02)
    if layers:
        activation.legend(ncol=1 + layers // 5)
    for axes in (loss, accuracy, activation):
        axes.set_xlabel("training step")
        axes.margins(x=0.01)

    facts = []
    tests = [line for line in evaluations if line.get("split") == "test" and line.get("accuracy") is not None]
    if tests:
        bits = tests[-1].get("bits")
        facts.append(f"test accuracy {100 * tests[-1]['accuracy']:.1f} %" if bits is None else f"test {bits:.3f} bits per character")
    speeds = column(train, "tokens_per_second")[1]
    if len(speeds):
        facts.append(f"{np.median(speeds):,.0f} tokens/s")
    if facts:
        figure.suptitle("   ".join(facts) + "\n", fontsize=11, x=0.99, horizontalalignment="right", color=QUIET)
    figure.savefig(out, dpi=130)
    plt.close(figure)


def class_name(label, images):
    """Fashion-MNIST's word for a class when the images are its size."""
    clothes = all(image["width"] == 28 and image["height"] == 28 for image in images)
    return CLOTHES[label] if clothes and 0 <= label < len(CLOTHES) else f"class {label}"


def draw_texts(texts, out):
    """Each layer's confidence behind the characters, 64 of them a line."""
    wide, cell = 64, (0.145, 0.235)
    layers = max(len(text["layers"]) for text in texts)
    lines = [-(-len(text["characters"]) // wide) for text in texts]
    confidences = np.concatenate([np.ravel(layer) for text in texts for layer in text["layers"]])
    run = confidences[confidences > 0]
    lowest = float(np.floor(run.min() * 10) / 10) if len(run) else 0.0
    height = sum((count * cell[1] + 0.32) * layers + 0.22 for count in lines) + 1.0
    width = wide * cell[0] + 2.6
    figure = plt.figure(figsize=(width, height))
    figure.text(0.2 / width, 1 - 0.3 / height, "Where each layer's router activates its module", fontsize=12, fontweight="bold",
                verticalalignment="center")
    top = height - 0.65
    shown = None
    for text, count in zip(texts, lines):
        for layer, values in enumerate(text["layers"]):
            field = np.zeros(count * wide)
            field[: len(values)] = values
            axes = figure.add_axes([1.15 / width, (top - count * cell[1]) / height, wide * cell[0] / width, count * cell[1] / height])
            axes.grid(False)
            axes.set(xticks=[], yticks=[])
            for spine in axes.spines.values():
                spine.set(visible=True, color="#c5ccd2", linewidth=0.8)
            shown = axes.imshow(np.ma.masked_less_equal(field.reshape(count, wide), 0.0), cmap=CONFIDENCE, vmin=lowest, vmax=1.0,
                                interpolation="nearest", aspect="auto")
            for t, character in enumerate(text["characters"]):
                dark = field[t] > lowest + 0.55 * (1 - lowest)
                marked = t in text["right"] or t in text["wrong"]
                axes.text(t % wide, t // wide, character, fontsize=8, family="monospace", color="white" if dark else INK,
                          fontweight="bold" if marked else "normal", horizontalalignment="center", verticalalignment="center_baseline")
            axes.text(-0.012, 0.5, f"layer {layer + 1}", transform=axes.transAxes, fontsize=9, fontweight="bold",
                      horizontalalignment="right", verticalalignment="bottom")
            axes.text(-0.012, 0.46, f"{100 * np.mean(np.asarray(values) > 0):.0f} % run", transform=axes.transAxes, fontsize=8, color=QUIET,
                      horizontalalignment="right", verticalalignment="top")
            top -= count * cell[1] + 0.32
        asked = len(text["right"]) + len(text["wrong"])
        if asked:
            figure.text(1.15 / width, (top + 0.13) / height, f"{len(text['right'])} of {asked} right", fontsize=8,
                        color=QUIET if not text["wrong"] else TEST, verticalalignment="center")
        top -= 0.22
    if shown is not None:
        bar_height = min(2.6, height - 1.2)
        bar = figure.add_axes([1 - 0.95 / width, 1 - (0.95 + bar_height) / height, 0.14 / width, bar_height / height])
        bar.grid(False)
        figure.colorbar(shown, cax=bar)
        bar.tick_params(labelsize=8)
        bar.set_title("confidence\n(white: skipped)", fontsize=8, fontweight="normal", loc="center", pad=6)
    figure.savefig(out, dpi=130)
    plt.close(figure)


def draw_activations(source, out):
    with open(source, encoding="utf-8") as file:
        found = json.load(file)
    if found.get("texts"):
        draw_texts(found["texts"], out)
        return
    images = found.get("images")
    if not images:
        sys.exit(f"{source}: found neither images nor texts")
    layers = max(len(image["layers"]) for image in images)
    confidences = np.concatenate([np.ravel(layer) for image in images for layer in image["layers"]] or [np.zeros(1)])
    run = confidences[confidences > 0]
    lowest = float(np.floor(run.min() * 10) / 10) if len(run) else 0.0

    rows, columns, cell = len(images), 1 + layers, 1.45
    figure, grid = plt.subplots(rows, columns, figsize=(cell * columns + 2.2, (cell + 0.22) * rows + 1.05), squeeze=False)
    # Sizes in inches, so that any number of images and layers looks the same.
    width, height = figure.get_size_inches()
    figure.subplots_adjust(left=1.15 / width, right=1 - 1.05 / width, top=1 - 0.85 / height, bottom=0.34 / height,
                           wspace=0.07, hspace=0.2)
    shown = None
    for row, image in enumerate(images):
        shape = (image["height"], image["width"])
        for axes in grid[row]:
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            for spine in axes.spines.values():
                spine.set(visible=True, color="#c5ccd2", linewidth=0.8)
        axes = grid[row][0]
        axes.imshow(np.reshape(image["pixels"], shape), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        right = image["label"] == image["predicted"]
        axes.text(-0.08, 0.5, class_name(image["label"], images), transform=axes.transAxes, fontsize=10, fontweight="bold",
                  horizontalalignment="right", verticalalignment="bottom")
        axes.text(-0.08, 0.46, "right" if right else f"took it for\n{class_name(image['predicted'], images)}",
                  transform=axes.transAxes, fontsize=8, color=QUIET if right else TEST,
                  horizontalalignment="right", verticalalignment="top")
        for layer, values in enumerate(image["layers"]):
            axes = grid[row][1 + layer]
            values = np.reshape(np.asarray(values, dtype=float), shape)
            shown = axes.imshow(np.ma.masked_less_equal(values, 0.0), cmap=CONFIDENCE, vmin=lowest, vmax=1.0,
                                interpolation="nearest")
            axes.set_xlabel(f"{100 * np.mean(values > 0):.0f} % run", fontsize=8, color=QUIET, labelpad=2)
        for axes in grid[row][1 + len(image["layers"]):]:
            axes.set_visible(False)
    grid[0][0].set_title("image", fontsize=10, loc="center")
    for layer in range(layers):
        grid[0][1 + layer].set_title(f"layer {layer + 1}", fontsize=10, loc="center")
    figure.text(0.15 / width, 1 - 0.3 / height, "Where each layer's router activates its module", fontsize=12,
                fontweight="bold", verticalalignment="center")
    if shown is not None:
        bar_height = min(3.2, height - 1.1)
        top = 1 - 0.85 / height
        bar = figure.add_axes([1 - 0.85 / width, top - bar_height / height, 0.14 / width, bar_height / height])
        bar.grid(False)
        figure.colorbar(shown, cax=bar)
        bar.tick_params(labelsize=8)
        bar.set_title("confidence\n(white: skipped)", fontsize=8, fontweight="normal", loc="center", pad=6)
    figure.savefig(out, dpi=130)
    plt.close(figure)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__.strip())
        sys.exit(0 if "--help" in sys.argv else 1)
    run = sys.argv[1]
    found = False
    for source, out, draw in (("log.jsonl", "curves.png", draw_curves),
                              ("activations.json", "activations.png", draw_activations)):
        source = os.path.join(run, source)
        if os.path.exists(source):
            found = True
            draw(source, os.path.join(run, out))
    if not found:
        sys.exit(f"{run}: found neither log.jsonl nor activations.json")


if __name__ == "__main__":
    main()
