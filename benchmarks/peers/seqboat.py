"""SeqBoat in PyTorch: the peer that this library's speed is measured against.

Written from the formulas (Ren et al., NeurIPS 2023, arXiv 2306.11197), with parameters under the reference implementation's
names, so that its weights and the golden vectors load as they are. Shapes: B sequences, T steps, d width, N EMA states.
Attention runs on the compressed sequence in chunks of C queries against K = C + W (causal) or C + 2W (bidirectional) keys,
so time and memory are O(active steps * W); there is no loop over steps and no T x T array.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

MASKED = -1e30  # a score whose weight is exactly 0; finite, so that a row without any key stays finite too
ABSENT = 1 << 29  # the position of a key that does not exist; three of them still fit into 32 bits


@dataclass(frozen=True)
class Config:
    """One layer. `window` None: attention over all active elements. `truncation` None: the EMA's kernel is not cut."""

    width: int
    query_width: int
    value_width: int
    states: int = 16
    window: int | None = 128
    truncation: int | None = None
    causal: bool = False
    norm: str = "layernorm"
    prenorm: bool = True
    attention: str = "softmax"
    positions: str = "simple"
    max_positions: int = 1024
    dropout: float = 0.0
    hidden_dropout: float = 0.0
    temperature_scale: float = 1.0
    act_bias: float = 0.0
    always_active: bool = False


# --- Norms: x (B, T, d), padding (B, T) with True at padding, or None


class ScaleNorm(nn.Module):
    """scalar * x / sqrt(mean(x^2) + eps)."""

    def __init__(self, width: int):
        super().__init__()
        self.scalar = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        return x * (self.scalar * inverse_rms(x))


class RmsNorm(nn.Module):
    """weight * x / sqrt(mean(x^2) + eps)."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        return x * inverse_rms(x) * self.weight


def inverse_rms(x: Tensor, eps: float = 1e-5) -> Tensor:
    """(B, T, 1). The vector norm is one pass without a squared copy of x."""
    return torch.rsqrt(torch.linalg.vector_norm(x, dim=-1, keepdim=True).square() / x.size(-1) + eps)


class LayerNorm(nn.LayerNorm):
    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        return super().forward(x)


class BatchNorm(nn.Module):
    """Batch norm per channel over the steps that are not padding."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        rows = x.reshape(-1, x.size(-1))
        if padding is None or not self.training:
            return self.normalize(rows).view_as(x)
        valid = (~padding).view(-1).nonzero().squeeze(1)
        return torch.zeros_like(rows).index_copy(0, valid, self.normalize(rows[valid])).view_as(x)

    def normalize(self, rows: Tensor) -> Tensor:
        # Rows as the pixels of one channels-last picture: PyTorch's vectorised path. Plain (rows, d) takes a strided one.
        picture = rows[None, :, None, :].permute(0, 3, 1, 2)  # (1, d, rows, 1)
        out = F.batch_norm(picture, self.running_mean, self.running_var, self.weight, self.bias, self.training, 0.1, 1e-5)
        return out.permute(0, 2, 3, 1).reshape(rows.shape)


class Norm(nn.Module):
    def __init__(self, kind: str, width: int, affine: bool = True):
        super().__init__()
        if kind == "layernorm":
            self.norm = LayerNorm(width, elementwise_affine=affine)
        else:
            self.norm = {"scalenorm": ScaleNorm, "rmsnorm": RmsNorm, "batchnorm": BatchNorm}[kind](width)

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        return self.norm(x, padding)


# --- EMA


class Ema(nn.Module):
    """y_t = sum_m k1[m] x_(t-m) (+ sum_m k2[m] x_(t+m)) + omega x_t,  k[m] = sum_n p_n beta_n gamma_n q_n^m / sqrt(N),
    p = sigmoid(delta), q = 1 - p sigmoid(alpha). Bidirectional parameters have 2d rows: k1 then k2."""

    def __init__(self, c: Config):
        super().__init__()
        self.causal, self.truncation = c.causal, c.truncation
        rows = c.width if c.causal else 2 * c.width
        self.delta = nn.Parameter(truncated_normal(rows, c.states, 1, std=0.2))
        self.alpha = nn.Parameter(truncated_normal(rows, c.states, 1, std=0.2))
        signs = 1.0 - 2.0 * (torch.arange(c.states) % 2)
        self.beta = nn.Parameter(truncated_normal(rows, c.states, 1, std=0.02) + signs[:, None])
        self.gamma = nn.Parameter(truncated_normal(rows, c.states, std=1.0))
        self.omega = nn.Parameter(truncated_normal(c.width, std=1.0))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, d), zero at padding."""
        time = x.size(1)
        length = time if self.truncation is None else min(time, self.truncation)
        # Long enough that the circular convolution is the linear one.
        return Convolve.apply(x, self.kernel(length, good_fft_size(time + length - 1)))

    def kernel(self, length: int, size: int) -> Tensor:
        """(d, size): both directions in one circular kernel, the residual omega at 0."""
        p = torch.sigmoid(self.delta)
        log_q = torch.log1p(-p * torch.sigmoid(self.alpha))  # (rows, N, 1)
        scale = (p * self.beta).squeeze(-1) * self.gamma / math.sqrt(self.gamma.size(1))
        # q^(F a + b) = q^(F a) q^b: powers of about 2 sqrt(length) exponents, and one small product a channel.
        fine = math.isqrt(length - 1) + 1
        coarse = -(-length // fine)
        steps = torch.arange(max(fine, coarse), dtype=p.dtype, device=p.device)
        powers = torch.exp(log_q * steps[:fine])  # (rows, N, fine)
        blocks = scale[:, :, None] * torch.exp(log_q * (fine * steps[:coarse]))  # (rows, N, coarse)
        k = torch.bmm(blocks.transpose(1, 2), powers).flatten(1)[:, :length]
        omega = self.omega[:, None]
        if self.causal:
            return F.pad(torch.cat([k[:, :1] + omega, k[:, 1:]], 1), (0, size - length))
        ahead, behind = k.chunk(2)
        gap = k.new_zeros(ahead.size(0), size - 2 * length + 1)
        return torch.cat([ahead[:, :1] + behind[:, :1] + omega, ahead[:, 1:], gap, behind[:, 1:].flip(1)], 1)


class Convolve(torch.autograd.Function):
    """x (B, T, d) * kernel (d, size), circular, by FFT. Its own backward: autograd's transposes a real transform into a
    complex one of full length."""

    @staticmethod
    def forward(ctx, x: Tensor, kernel: Tensor) -> Tensor:
        size = kernel.size(1)
        x_f = torch.fft.rfft(x.transpose(1, 2), size)  # (B, d, size / 2 + 1)
        k_f = torch.fft.rfft(kernel)
        ctx.save_for_backward(x_f, k_f)
        ctx.size = size
        y = torch.fft.irfft(x_f * k_f, size)
        return y[..., : x.size(1)].transpose(1, 2).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor):
        x_f, k_f = ctx.saved_tensors
        dy_f = torch.fft.rfft(dy.transpose(1, 2), ctx.size)
        dx = torch.fft.irfft(dy_f * k_f.conj_physical(), ctx.size)[..., : dy.size(1)].transpose(1, 2).contiguous()
        dk = dy_f.conj_physical_().mul_(x_f).sum(0).conj_physical()  # sum over the batch of dy_f conj(x_f)
        return dx, torch.fft.irfft(dk, ctx.size)


def good_fft_size(at_least: int) -> int:
    """The next even 2^a 3^b 5^c."""
    best = 1 << max(1, (at_least - 1).bit_length())
    five = 1
    while five < best:
        three = five
        while three < best:
            two = 2 * three
            while two < at_least:
                two *= 2
            best = min(best, two)
            three *= 3
        five *= 5
    return best


# --- Compress and extract


class Compressed(NamedTuple):
    """Where the active steps of a (B, T) grid go. Each sequence gets L rows, the longest compressed sequence's length rounded
    up to chunks; all sequences' rows stand one after another, n = B L / C chunks. `front` and `back` empty rows around them
    let every chunk see K rows. Empty rows hold step 0 of the first sequence; no weight and no gradient touches them."""

    source: Tensor  # (front + n C + back) the flat step in a row
    output: Tensor  # (n C) source without front and back
    filled: Tensor  # (n C, 1) 1 where a row holds a step
    slot: Tensor  # (B T) the row, among n C, of an active step; 0 for others
    place: Tensor  # (B T) slot + front
    active: Tensor  # (B T, 1) 1 for active steps
    positions: Tensor  # (front + n C + back) original positions, ABSENT where empty
    queries: Tensor  # (n, C) the same by chunk, 0 where empty
    keys: Tensor  # (n, K) of each chunk's keys, ABSENT where empty or another sequence's
    counts: Tensor  # (B) active steps


def compress(active: Tensor, dtype: torch.dtype, window: int | None, chunk: int, causal: bool) -> Compressed:
    """active (B, T) bool. The one place that waits for a length that depends on data."""
    batch, time = active.shape
    device = active.device
    counts = active.sum(1)
    longest = max(1, int(counts.max()))
    if window is None:
        chunk, front, back = longest, 0, 0
    else:
        front, back = window, 0 if causal else window
    per = -(-longest // chunk)
    length, n = per * chunk, batch * per
    rows, span = n * chunk, front + chunk + back

    starts = length * torch.arange(batch, device=device)[:, None]
    slot = (active.cumsum(1) + (starts - 1)).mul_(active).view(-1)
    steps = active.view(-1).nonzero().squeeze(1)
    place = slot + front
    places = place[steps]
    source = torch.zeros(front + rows + back, dtype=torch.int64, device=device)
    source[places] = steps
    positions = torch.full((front + rows + back,), ABSENT, dtype=torch.int32, device=device)
    positions[places] = (steps % time).int()
    own = positions[front : front + rows]
    filled = own < ABSENT
    within = (torch.arange(n, device=device) % per * chunk)[:, None] + (torch.arange(span, device=device) - front)
    keys = torch.where((within >= 0) & (within < length), positions.unfold(0, span, chunk), ABSENT)
    return Compressed(source, source[front : front + rows], filled.to(dtype)[:, None], slot, place,
                      active.reshape(-1, 1).to(dtype), positions, (own * filled).view(n, chunk), keys, counts)


class Gather(torch.autograd.Function):
    """x[index]. Every row that counts is taken once, so the gradient is a gather by the inverse index and not a scatter-add;
    `keep` is 0 for rows of x that nobody took."""

    @staticmethod
    def forward(ctx, x: Tensor, index: Tensor, inverse: Tensor, keep: Tensor) -> Tensor:
        ctx.save_for_backward(inverse, keep)
        return x.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor):
        inverse, keep = ctx.saved_tensors
        return dy.index_select(0, inverse).mul_(keep), None, None, None


# --- Attention


def windows(rows: Tensor, span: int, chunk: int) -> Tensor:
    """(rows, width) to (n, span, width): what each chunk sees, a view that overlaps itself."""
    return rows.unfold(0, span, chunk).transpose(1, 2)


def fold(parts: Tensor, chunk: int) -> Tensor:
    """The transpose of `windows`: (n, span, width) to ((n - 1) chunk + span, width), overlaps added."""
    n, span, width = parts.shape
    overlap = span // chunk
    parts = parts.reshape(n, overlap, chunk, width)
    out = parts.new_zeros(n + overlap - 1, chunk, width)
    for i in range(overlap):
        out[i : i + n].add_(parts[:, i])
    return out.view(-1, width)


class BandScores(torch.autograd.Function):
    """score = q . k + table[index] + edge: q (n, C, z), k (rows, z), table (entries), index (n, C, K) or, the same for each
    chunk, (C, K) with edge (n, K). Result (n, C, K)."""

    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, table: Tensor, index: Tensor, edge: Tensor | None) -> Tensor:
        ctx.save_for_backward(q, k, index)
        ctx.entries = table.size(0)
        chunk, span = index.shape[-2:]
        bias = table.index_select(0, index.view(-1)).view(index.shape)
        if edge is not None:
            bias = bias + edge[:, None, :]
        return bias.baddbmm_(q, windows(k, span, chunk).transpose(1, 2))

    @staticmethod
    @once_differentiable
    def backward(ctx, ds: Tensor):
        q, k, index = ctx.saved_tensors
        chunk, span = index.shape[-2:]
        dq = torch.bmm(ds, windows(k, span, chunk))
        dk = fold(torch.bmm(ds.transpose(1, 2), q), chunk)
        dtable = None
        if ctx.needs_input_grad[2]:
            per_index = ds if index.dim() == 3 else ds.sum(0)
            dtable = ds.new_zeros(ctx.entries).index_add_(0, index.view(-1), per_index.reshape(-1))
        return dq, dk, dtable, None, None


class BandValues(torch.autograd.Function):
    """sum_j w_ij v_j: w (n, C, K), v (rows, width). Result (n, C, width)."""

    @staticmethod
    def forward(ctx, w: Tensor, v: Tensor) -> Tensor:
        ctx.save_for_backward(w, v)
        return torch.bmm(w, windows(v, w.size(2), w.size(1)))

    @staticmethod
    @once_differentiable
    def backward(ctx, dg: Tensor):
        w, v = ctx.saved_tensors
        n, chunk, span = w.shape
        dw = torch.bmm(dg, windows(v, span, chunk).transpose(1, 2))
        return dw, fold(torch.bmm(w.transpose(1, 2), dg), chunk)


class Relu2(torch.autograd.Function):
    """max(s, 0)^2, from one saved array and two passes each way."""

    @staticmethod
    def forward(ctx, s: Tensor) -> Tensor:
        positive = s.clamp(min=0)
        ctx.save_for_backward(positive)
        return positive * positive

    @staticmethod
    @once_differentiable
    def backward(ctx, dw: Tensor):
        (positive,) = ctx.saved_tensors
        return (dw * positive).mul_(2)


def laplace(s: Tensor) -> Tensor:
    return 0.5 + 0.5 * torch.erf((s - 0.707107) / (0.282095 * math.sqrt(2)))


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Pairs (x_2m, x_2m+1) turned by position * 10000^(-2m / z). x (rows, z), positions (rows)."""
    half = x.size(1) // 2
    rates = torch.exp(torch.arange(half, dtype=x.dtype, device=x.device) * (-math.log(10000) / half))
    angle = positions.to(x.dtype)[:, None] * rates
    cos, sin = angle.cos(), angle.sin()
    even, odd = x.view(-1, half, 2).unbind(-1)
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], -1).flatten(1)


class RelativeBias(nn.Module):
    """A learned value for each offset of positions: `simple` and `t5` original ones, `local` compressed ones."""

    def __init__(self, c: Config):
        super().__init__()
        self.causal = c.causal
        self.kind = c.positions
        if c.positions == "t5":
            self.relative_attention_bias = nn.Parameter(truncated_normal(32, 1, std=0.02))
        else:
            entries = 6 * c.window - 1 if c.positions == "local" else 2 * c.max_positions - 1
            self.rel_pos_bias = nn.Parameter(truncated_normal(entries, std=0.02))

    def table(self, time: int) -> Tensor:
        """Entry o + reach - 1 is the value of offset o = t_j - t_i, |o| < reach; (2 reach - 1)."""
        if self.kind == "local":
            return self.rel_pos_bias
        if self.kind == "simple":
            reach = (self.rel_pos_bias.size(0) + 1) // 2
            if time <= reach:
                return self.rel_pos_bias[reach - time : reach + time - 1]
            offsets = torch.arange(1 - time, time, device=self.rel_pos_bias.device)
            return self.rel_pos_bias[offsets.clamp(1 - reach, reach - 1) + (reach - 1)]
        bias = self.relative_attention_bias
        return bias[t5_buckets(torch.arange(time - 1, -time, -1, device=bias.device), self.causal), 0]


def t5_buckets(n: Tensor, causal: bool) -> Tensor:
    """The bucket of n = t_i - t_j."""
    buckets = 32 if causal else 16
    first = torch.zeros_like(n) if causal else torch.where(n < 0, buckets, 0)
    n = n.clamp(min=0) if causal else n.abs()
    exact = buckets // 2
    # In single precision whatever the model's: the buckets' edges follow from that.
    spread = torch.log(n.clamp(min=1).float() / exact) / math.log(128 / exact) * (buckets - exact)
    return first + torch.where(n < exact, n, (exact + spread.long()).clamp(max=buckets - 1))


# --- The layer


class Router(nn.Module):
    """The learned temperature tau = exp(temp)."""

    def __init__(self, c: Config):
        super().__init__()
        self.temp = nn.Parameter(torch.tensor([math.log(c.temperature_scale * math.sqrt(c.width))]))


class Layer(nn.Module):
    """x = Norm(S) if prenorm    H = SiLU(EMA(x))    [u | hx] = Linear(H)    a, c from u
    S' = SiLU(hx + extract(GatedAttention(compress(H, a))) a c + S)    then Norm if postnorm.

    `forced_rate`: each step is active with this probability instead of by the router, for timing at a given density; the
    confidence stays the router's."""

    STAGES = ("enter", "decide", "attend", "leave")  # what torch.compile gets

    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.forced_rate: float | None = None
        self.keep_decisions = False
        self.decisions: tuple[Tensor, Tensor] | None = None
        # A divisor of the window. Smaller chunks see fewer keys that no query of theirs attends to, larger ones multiply better.
        self.chunk = 0 if c.window is None else c.window if c.window % 2 else c.window // 2
        self.norm = Norm(c.norm, c.width)
        self.move = Ema(c)
        self.mx_proj = linear(c.width, c.query_width + 2 * c.value_width)
        self.hx_proj = linear(c.width, c.width if c.always_active else c.width + 2)
        self.h_proj = linear(c.value_width, c.width)
        self.gamma = nn.Parameter(truncated_normal(2, c.query_width, std=0.02))
        self.beta = nn.Parameter(torch.zeros(2, c.query_width))
        if c.positions not in ("rotary", "none"):
            self.rel_pos_bias = RelativeBias(c)
        if not c.always_active:
            self.q_router = Router(c)

    def forward(self, s: Tensor, padding: Tensor | None = None) -> Tensor:
        """s (B, T, d), padding (B, T) or None."""
        x = self.enter(s, padding)
        y = self.move(x)
        h, hx, weight, active = self.decide(y, padding)
        if self.keep_decisions:
            self.decisions = active.detach(), weight.detach()
        with torch.no_grad():
            at = compress(active, s.dtype, self.c.window, self.chunk, self.c.causal)
        out = self.attend(h, at)
        return self.leave(s, hx, out, at, weight, padding)

    def enter(self, s: Tensor, padding: Tensor | None) -> Tensor:
        x = self.norm(s, padding) if self.c.prenorm else s
        return x if padding is None else x.masked_fill(padding[..., None], 0)

    def decide(self, y: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """EMA's output to H (B, T, d), hx (B, T, d), weight a c (B, T, 1), active (B, T).

        With two logits max softmax(u / tau) of an active step is sigmoid((u_run - u_skip) / tau)."""
        c = self.c
        h = F.dropout(F.silu(y), c.dropout, self.training)
        if c.always_active:
            active = y.new_ones(y.shape[:2], dtype=torch.bool) if padding is None else ~padding
            return h, self.hx_proj(h), active[..., None].to(y.dtype), active
        u, hx = self.hx_proj(h).split([2, c.width], -1)
        margin = u[..., 1] - u[..., 0] - c.act_bias  # (B, T)
        if self.forced_rate is None:
            active = margin > 0
        else:
            active = torch.rand(margin.shape, device=y.device) < self.forced_rate
            margin = margin.abs()
        if padding is not None:
            active = active & ~padding
        weight = torch.sigmoid(margin * torch.exp(-self.q_router.temp)) * active
        return h, hx, weight[..., None], active

    def attend(self, h: Tensor, at: Compressed) -> Tensor:
        """Gated attention over the compressed steps of h (B, T, d): (n C, d)."""
        c = self.c
        # Numbers the compiler knows, where there is a window: only n depends on data.
        n, chunk, front = at.queries.size(0), self.chunk or at.queries.size(1), c.window or 0
        span = chunk + front * (1 if c.causal else 2)
        rows = n * chunk
        x = Gather.apply(h.reshape(-1, c.width), at.source, at.place, at.active)
        z, r, v = F.silu(self.mx_proj(x)).split([c.query_width, c.value_width, c.value_width], -1)
        q = torch.addcmul(self.beta[0], z[front : front + rows], self.gamma[0])
        k = torch.addcmul(self.beta[1], z, self.gamma[1])
        if c.positions == "rotary":
            k = rotate(k, at.positions)
            q = rotate(q, at.queries.view(-1))
        q = q.view(n, chunk, c.query_width) * self.score_scale(at)
        scores = BandScores.apply(q, k, *self.bias(at, h.size(1), chunk, span))
        weights = {"softmax": lambda s: torch.softmax(s, -1), "relu2": Relu2.apply, "laplace": laplace}[c.attention](scores)
        g = BandValues.apply(weights, F.dropout(v, c.hidden_dropout, self.training))
        out = self.h_proj(g.view(rows, c.value_width) * r[front : front + rows])
        return out if c.causal else F.dropout(out, c.dropout, self.training)

    def score_scale(self, at: Compressed) -> float | Tensor:
        c = self.c
        if c.attention == "softmax":
            return c.query_width**-0.5
        if c.window is not None:
            return 1 / c.window if c.causal else 0.5 / c.window
        if c.causal:
            return 1 / torch.arange(1, at.queries.size(1) + 1, dtype=self.gamma.dtype, device=self.gamma.device)[:, None]
        return 1 / at.counts.clamp(min=1).to(self.gamma.dtype)[:, None, None]

    def bias(self, at: Compressed, time: int, chunk: int, span: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """table, index and edge of BandScores. The table's last entry is MASKED; pairs outside of the band point there."""
        c = self.c
        reach = c.window or span
        numbers = torch.arange(span, dtype=torch.int32, device=at.keys.device)
        offset = numbers - (numbers[:chunk, None] + (c.window or 0))  # (C, K): j - i, compressed
        behind = offset < -reach
        ahead = offset > (0 if c.causal else reach)
        band = (behind | ahead).int() * ABSENT
        if c.positions in ("simple", "t5"):
            table = self.rel_pos_bias.table(time)
            index = at.keys[:, None, :] - at.queries[:, :, None]  # (n, C, K)
            index = index.add_(band + (time - 1)).clamp_(max=2 * time - 1)
            edge = None
        else:
            table = self.rel_pos_bias.table(time) if c.positions == "local" else self.gamma.new_zeros(1)
            middle = 4 * c.window - 1 if c.positions == "local" else 0
            index = (offset * (c.positions == "local") + band + middle).clamp(max=table.size(0))
            edge = (at.keys >= ABSENT).to(table.dtype) * MASKED
        return torch.cat([table, table.new_full((1,), MASKED)]), index, edge

    def leave(self, s: Tensor, hx: Tensor, out: Tensor, at: Compressed, weight: Tensor, padding: Tensor | None) -> Tensor:
        c = self.c
        extracted = Gather.apply(out, at.slot, at.output, at.filled).view(s.shape)
        y = torch.addcmul(hx, extracted, weight)
        y = F.silu(F.dropout(y, c.dropout, self.training) + s if c.causal else y.add_(s))
        return y if c.prenorm else self.norm(y, padding)


# --- Models


class TokenEmbedding(nn.Module):
    """Padding has no gradient."""

    def __init__(self, vocabulary: int, width: int, padding: int):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width, padding_idx=padding)
        nn.init.normal_(self.embed.weight, std=width**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.embed(tokens)


class RealEmbedding(nn.Module):
    """x w + b."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width))
        self.bias = nn.Parameter(0.1**0.5 * torch.randn(width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.bias, x[..., None], self.weight)


class AbsolutePosition(nn.Module):
    """scale * [sin(t f_i) | cos(t f_i)], f_i = 10000^(-2i/d): (T, d)."""

    def __init__(self, width: int):
        super().__init__()
        self.width = width
        self.scale = nn.Parameter(torch.tensor([width**-0.5]))
        self.waves: Tensor | None = None

    def forward(self, time: int) -> Tensor:
        if self.waves is None or self.waves.size(0) < time or self.waves.dtype != self.scale.dtype:
            half = self.width // 2
            like = {"dtype": self.scale.dtype, "device": self.scale.device}
            f = torch.exp(torch.arange(half, **like) * (-math.log(10000) / half))
            angle = torch.arange(time, **like)[:, None] * f
            self.waves = torch.cat([angle.sin(), angle.cos()], 1)
        return self.scale * self.waves[:time]


class Encoder(nn.Module):
    """embed -> (+ position) -> dropout -> layers -> final norm if prenorm -> mean over valid steps: (B, d).

    `vocabulary` None: the input is one real number a step."""

    def __init__(self, c: Config, layers: int, vocabulary: int | None, absolute_positions: bool, padding: int = 0):
        super().__init__()
        self.c = c
        self.embed_tokens = RealEmbedding(c.width) if vocabulary is None else TokenEmbedding(vocabulary, c.width, padding)
        self.pos_emb = AbsolutePosition(c.width) if absolute_positions else None
        self.layers = nn.ModuleList(nn.ModuleDict({"mega_layer": Layer(c)}) for _ in range(layers))
        self.final_norm = Norm(c.norm, c.width) if c.prenorm else None

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """x (B, T) tokens or numbers, lengths (B); None: no padding."""
        time = x.size(1)
        padding = None if lengths is None else torch.arange(time, device=x.device) >= lengths[:, None]
        s = self.embed_tokens(x)
        if self.pos_emb is not None:
            s = s + self.pos_emb(time)
        s = F.dropout(s, self.c.dropout, self.training)
        for layer in self.layers:
            s = layer["mega_layer"](s, padding)
        if self.final_norm is not None:
            s = self.final_norm(s, padding)
        if padding is None:
            return s.mean(1)
        shares = (~padding).to(s.dtype) / lengths[:, None]
        return torch.bmm(shares[:, None, :], s).squeeze(1)


class Classifier(nn.Module):
    """Encoder -> Linear -> GELU -> dropout -> Linear without bias: logits (B, classes). LRA's classifier."""

    def __init__(self, c: Config, layers: int, classes: int, classifier_width: int, vocabulary: int | None,
                 absolute_positions: bool = False, padding: int = 0):
        super().__init__()
        self.encoder = Encoder(c, layers, vocabulary, absolute_positions, padding)
        self.classifier = nn.Sequential(nn.Linear(c.width, classifier_width), nn.GELU(), nn.Dropout(c.dropout))
        self.projection = nn.Linear(classifier_width, classes, bias=False)
        nn.init.xavier_uniform_(self.classifier[0].weight)
        nn.init.zeros_(self.classifier[0].bias)
        nn.init.xavier_uniform_(self.projection.weight)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.projection(self.classifier(self.encoder(x, lengths)))


class LanguageModel(nn.Module):
    """embedding * sqrt(d) -> causal layers -> final norm if prenorm -> logits (B, T, V) by the embedding's transpose."""

    def __init__(self, c: Config, layers: int, vocabulary: int, final_norm_affine: bool = True, padding: int | None = None):
        super().__init__()
        self.c = c
        self.embed_tokens = nn.Embedding(vocabulary, c.width, padding_idx=padding)
        nn.init.normal_(self.embed_tokens.weight, std=c.width**-0.5)
        self.layers = nn.ModuleList(nn.ModuleDict({"slag_layer": Layer(c)}) for _ in range(layers))
        self.final_norm = Norm(c.norm, c.width, final_norm_affine) if c.prenorm else None

    def forward(self, tokens: Tensor) -> Tensor:
        s = F.dropout(self.embed_tokens(tokens) * math.sqrt(self.c.width), self.c.dropout, self.training)
        for layer in self.layers:
            s = layer["slag_layer"](s)
        if self.final_norm is not None:
            s = self.final_norm(s, None)
        return F.linear(s, self.embed_tokens.weight)


def layers_of(model: nn.Module) -> list[Layer]:
    return [m for m in model.modules() if isinstance(m, Layer)]


def compile_layers(model: nn.Module) -> None:
    """torch.compile for all of a layer but the EMA, as inductor has no complex arithmetic, and `compress`, as lengths depend on
    data from there on. All layers share the compiled code."""
    for layer in layers_of(model):
        for stage in Layer.STAGES:
            setattr(layer, stage, torch.compile(getattr(layer, stage), dynamic=True))


def linear(inputs: int, outputs: int) -> nn.Linear:
    made = nn.Linear(inputs, outputs)
    made.weight.data = truncated_normal(outputs, inputs, std=0.02)
    nn.init.zeros_(made.bias)
    return made


def truncated_normal(*shape: int, std: float) -> Tensor:
    """Normal, cut at two standard deviations."""
    return nn.init.trunc_normal_(torch.empty(shape), std=std, a=-2 * std, b=2 * std)
