"""The papers' equations once more, one sequence at a time in numpy: what the reference is held against."""

import numpy as np
import pytest
import torch

from fastlstm.ops import Cell

CELLS = {
    "lstm": Cell(),
    "lstm without bias": Cell(has_bias=False),
    "projected": Cell(projected=True),
    "peephole": Cell(peephole=True),
    "coupled": Cell(coupled=True),
    "layer norm": Cell(layer_norm=True),
    "layer norm without bias": Cell(layer_norm=True, has_bias=False),
    "coupled peephole": Cell(coupled=True, peephole=True),
    "all variants": Cell(coupled=True, peephole=True, layer_norm=True, projected=True),
    "gru": Cell("gru"),
    "gru without bias": Cell("gru", has_bias=False),
    "rnn tanh": Cell("rnn_tanh"),
    "rnn relu": Cell("rnn_relu", has_bias=False),
}


@pytest.fixture(autouse=True)
def _one_thread(set_threads):
    """Rows of a few values: threads would only wait for each other."""
    set_threads(1)


def logistic(a):
    return 1 / (1 + np.exp(-a))


def normalised(a):
    return (a - a.mean()) / np.sqrt(((a - a.mean()) ** 2).mean() + 1e-5)


def step(cell, w, x, h, c, mask):
    """One step of one sequence: x (I,), h (P,), c (H,) → h, c. ``w`` maps names to arrays."""
    zero = np.zeros(w["w_ih"].shape[0])
    b_ih, b_hh = w.get("b_ih", zero), w.get("b_hh", zero)
    from_x, from_h = w["w_ih"] @ x, w["w_hh"] @ (h * mask)
    if cell.kind == "gru":
        xr, xz, xn = np.split(from_x + b_ih, 3)
        hr, hz, hn = np.split(from_h + b_hh, 3)
        r, z = logistic(xr + hr), logistic(xz + hz)
        return (1 - z) * np.tanh(xn + r * hn) + z * h, None
    if cell.kind.startswith("rnn"):
        s = from_x + b_ih + from_h + b_hh
        return (np.tanh(s) if cell.kind == "rnn_tanh" else np.maximum(s, 0)), None
    if cell.layer_norm:
        from_x, from_h = normalised(from_x) * w["gain_ih"], normalised(from_h) * w["gain_hh"]
    names = "igo" if cell.coupled else "ifgo"
    s = dict(zip(names, np.split(from_x + b_ih + from_h + b_hh, len(names)), strict=True))
    hidden = len(c)
    none = np.zeros(3 * hidden)
    p = dict(zip("io" if cell.coupled else "ifo", np.split(w.get("w_peephole", none), 2 if cell.coupled else 3),
                 strict=False)) if cell.peephole else dict.fromkeys("ifo", np.zeros(hidden))  # fmt: skip
    i = logistic(s["i"] + p["i"] * c)
    f = 1 - i if cell.coupled else logistic(s["f"] + p["f"] * c)
    c = f * c + i * np.tanh(s["g"])
    o = logistic(s["o"] + p["o"] * c)
    h = o * np.tanh(normalised(c) * w["gain_c"] + w["bias_c"] if cell.layer_norm else c)
    return (w["w_hr"] @ h if cell.projected else h), c


def key(seed, t, batch, b, direction, which):
    """The row's key in plain integers."""
    mask = 2**64 - 1
    z = (seed + 0x9E3779B97F4A7C15 * ((((t * batch + b) * 2 + direction) * 2 + which) + 1)) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return (z ^ (z >> 31)) & 0xFFFFFFFF


def keeps(row_key, unit, rate):
    """Whether a unit keeps its old value, in plain integers."""
    v = row_key ^ ((unit * 0x9E3779B1) & 0xFFFFFFFF)
    v ^= v >> 16
    v = (v * 0x85EBCA6B) & 0xFFFFFFFF
    v ^= v >> 13
    v = (v * 0xC2B2AE35) & 0xFFFFFFFF
    v ^= v >> 16
    return v < int(rate * 2**32)


def zoned(old, new, rate, seed, *counter):
    if seed is None:
        share = np.full(len(new), rate)
    else:
        row_key = key(seed, *counter)
        share = np.array([float(keeps(row_key, unit, rate)) for unit in range(len(new))])
    return share * old + (1 - share) * new


def run(cell, x, h0, c0, weights, lengths=None, reset=None, recurrent_mask=None, zoneout=(0, 0), seed=None):
    """Time-major tensors to (y, hn, cn) in float64."""
    x, h0, seed = x.numpy(), h0.numpy(), None if seed is None else seed.item()
    steps, batch, _ = x.shape
    each = cell.weights_per_direction
    y, hn, cn = [], [], []
    for d in range(len(weights) // each):
        w = dict(zip(cell.weight_names, (v.numpy() for v in weights[d * each : (d + 1) * each]), strict=True))
        y_d = np.zeros((steps, batch, h0.shape[-1]))
        for b in range(batch):
            length = steps if lengths is None else int(lengths[b])
            h, c = h0[d, b], None if c0 is None else c0[d, b].numpy()
            mask = 1 if recurrent_mask is None else recurrent_mask[d, b].numpy()
            for n in range(length):
                t = n if d == 0 else length - 1 - n
                if reset is not None and (reset[t, b] if d == 0 else t + 1 < length and reset[t + 1, b]):
                    h, c = np.zeros_like(h), None if c is None else np.zeros_like(c)
                h_new, c_new = step(cell, w, x[t, b], h, c, mask)
                h = zoned(h, h_new, zoneout[0], seed, t, batch, b, d, 0)
                c = None if c is None else zoned(c, c_new, zoneout[1], seed, t, batch, b, d, 1)
                y_d[t, b] = h
            hn.append(h)
            cn.append(c)
        y.append(y_d)

    def states(rows):
        return torch.from_numpy(np.stack(rows)).view(len(y), batch, -1)

    return (
        torch.from_numpy(np.concatenate(y, -1)),
        states(hn),
        states(cn) if c0 is not None else torch.empty(0).double(),
    )


def problem(cell, T=6, B=3, I=4, H=5, P=2, directions=2, dtype=torch.float64):  # noqa: E741
    """Random x, h0, c0, weights that want gradients."""

    def random(*shape):
        # Weights of a size at which errors do not grow from step to step.
        scale = shape[-1] ** -0.5 if len(shape) == 2 else 0.7
        return torch.randn(shape, dtype=dtype).mul_(scale).requires_grad_()

    outputs = P if cell.projected else H
    weights = [random(*s) for _ in range(directions) for s in cell.weight_shapes(I, H, outputs).values()]
    c0 = random(directions, B, H) if cell.has_cell_state else None
    return random(T, B, I), random(directions, B, outputs), c0, weights
