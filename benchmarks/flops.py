"""Useful floating-point operations, by formula.

Counted are those that the formulas cannot do without, a multiply-add as 2. Shapes: d width, z query width, v hidden width, N states
of the EMA, W window, T steps of a sequence, a the share of active steps of a layer. One layer, forward, a step:

    EMA            2 directions * d N * 4 + 2 d      as a recurrence: s = q s + x and y += h s; omega x. Its cut at K is not counted
    configurator   2 * 2 d                           two logits
    hx_proj        2 d^2
    mx_proj        a * 2 d (z + 2 v)
    q, k           a * 2 * 2 z                       z gamma + beta
    attention      a * keys * 2 (z + v)              q . k, and the sum of w v
    h_proj         a * (v + 2 v d)                   with the gate g * r
    extract        a * 2 d                           times the weight, added

`keys` is the mean number of keys in the band of an active step. A sequence of n = a T active steps has, edges included,

    pairs(n, W) = n^2                       if n <= W
                  n (2 W + 1) - W (W + 1)   otherwise

pairs of query and key (n is taken from the mean share, not from each sequence's own count). A model adds the embedding of real numbers
(2 d a step) and the classifier (2 d c + 2 c classes a sequence). Training is three times forward: backward has two products for each
of forward's.

Not counted: norms, activations and softmax (exp and the like), dropout, biases, pooling, positions, the optimiser, and whatever is
computed again in backward. They cost time, so that a fraction of the peak says how much of the machine does needed products.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """A classifier of the paper (its tasks' table)."""

    width: int
    query_width: int
    hidden_width: int
    layers: int
    classifier_width: int
    classes: int
    window: int = 128
    states: int = 16
    real_input: bool = False


SHAPES = {
    "listops": Shape(80, 64, 160, 6, 160, 10),
    "text": Shape(128, 64, 256, 4, 256, 2),
    "image": Shape(160, 96, 320, 8, 320, 10, real_input=True),
    "pathfinder": Shape(128, 64, 256, 6, 256, 2, real_input=True),
}


def pairs(n: float, window: int) -> float:
    """Query-key pairs of n active steps, |i - j| <= window."""
    return n * n if n <= window else n * (2 * window + 1) - window * (window + 1)


def ema(width: int, states: int) -> float:
    """A step of both directions."""
    return 2 * width * states * 4 + 2 * width


def attention(query_width: int, hidden_width: int, n: float, window: int) -> float:
    """A whole sequence of n active steps: scores and weighted sums."""
    return pairs(n, window) * 2 * (query_width + hidden_width)


def layer(s: Shape, length: float, share: float) -> float:
    """A sequence of `length` steps, of which `share` are active; forward."""
    d, z, v = s.width, s.query_width, s.hidden_width
    active = share * length
    every_step = ema(d, s.states) + 4 * d + 2 * d * d
    active_step = 2 * d * (z + 2 * v) + 4 * z + v + 2 * v * d + 2 * d
    return length * every_step + active * active_step + attention(z, v, active, s.window)


def per_token(task: str, lengths: list[int], shares: list[float], training: bool) -> float:
    """Of a classifier, mean over the steps of sequences of these lengths; `shares` is each layer's activation rate."""
    s = SHAPES[task]
    if len(shares) != s.layers:
        raise ValueError(f"{task}: found {len(shares)} activation rates, expected {s.layers}")
    total = 0.0
    for length in lengths:
        total += sum(layer(s, length, share) for share in shares)
        total += 2 * s.width * length * s.real_input
        total += 2 * s.classifier_width * (s.width + s.classes)
    return (3 if training else 1) * total / sum(lengths)
