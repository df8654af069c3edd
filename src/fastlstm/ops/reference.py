"""The equations in readable torch: any dtype, any device, differentiable any number of times.

This is the oracle that the kernels are tested against, the fallback where no kernel serves, and the way in which higher
derivatives are taken. Letters: T time steps, B sequences, I inputs, H hidden units, P outputs a step (= H without a
projection), G gates, D directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fastlstm.ops import private, random
from fastlstm.ops.cell import LAYER_NORM_EPSILON, Cell, Weights


class Gates(NamedTuple):
    """The activated gates of LSTM steps and the cell after them, ``(..., H)`` each."""

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor


def input_sums(cell: Cell, weights: Weights, x: Tensor) -> Tensor:
    r"""Compute the input's share of the gates' sums: :math:`W_{ih} x_t` with its normalisation and the biases.

    Parameters
    ----------
    x
        ``(..., I)``.

    Returns
    -------
    sums
        ``(..., G·H)``. Of a GRU, with :math:`b_{ih}` alone: its reset gate reaches the other bias.
    """
    sums = F.linear(x, weights.w_ih)
    if weights.gain_ih is not None:
        sums = _normalised(sums) * weights.gain_ih
    if weights.b_ih is not None and weights.b_hh is not None:
        sums = sums + (weights.b_ih if cell.kind == "gru" else weights.b_ih + weights.b_hh)
    return sums


def _normalised(values: Tensor) -> Tensor:
    """To mean 0 and variance 1 along the last dimension, which holds all gates together (Ba et al. 2016, eq. 20)."""
    # Not F.layer_norm: what its forward derivative gives is wrong when it is differentiated again (PyTorch 2.13).
    centred = values - values.mean(-1, keepdim=True)
    return centred * torch.rsqrt(centred.square().mean(-1, keepdim=True) + LAYER_NORM_EPSILON)


def lstm_step(
    cell: Cell, weights: Weights, sums_x: Tensor, h: Tensor, c: Tensor
) -> tuple[Tensor, Tensor, Gates]:
    r"""Take one LSTM step.

    .. math::
        i_t &= \sigma(s^i_t + p_i \odot c_{t-1}), \quad f_t = \sigma(s^f_t + p_f \odot c_{t-1}), \quad
        g_t = \tanh(s^g_t) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        o_t &= \sigma(s^o_t + p_o \odot c_t), \quad h_t = W_{hr} (o_t \odot \tanh(c_t))

    with the sums :math:`s_t = W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh}`: Hochreiter & Schmidhuber (1997) with the
    forget gate of Gers et al. (2000). The peepholes :math:`p` (absent: zero) are those of Gers & Schmidhuber (2000), as
    in Graves (2013, eq. 7-11); coupled, :math:`f_t = 1 - i_t` (Greff et al. 2017, CIFG); the projection :math:`W_{hr}`
    (absent: the identity) is that of Sak et al. (2014, section 2). With layer normalisation (Ba et al. 2016, eq. 20-22)

    .. math::
        s_t &= \alpha_{ih} \odot \mathrm{LN}(W_{ih} x_t) + \alpha_{hh} \odot \mathrm{LN}(W_{hh} h_{t-1})
               + b_{ih} + b_{hh} \\
        h_t &= o_t \odot \tanh(\alpha_c \odot \mathrm{LN}(c_t) + \beta_c)

    over all G·H sums together; the peepholes are added after it, and the state :math:`c_t` is not normalised.

    Parameters
    ----------
    sums_x
        ``(B, G·H)`` of :func:`input_sums`; gates in the order i, f, g, o, coupled i, g, o.
    h, c
        ``(B, P)`` as it enters the recurrent product, and ``(B, H)``.

    Returns
    -------
    h, c, gates
        The state after the step, and what was inside.
    """
    sums_h = F.linear(h, weights.w_hh)
    if weights.gain_hh is not None:
        sums_h = _normalised(sums_h) * weights.gain_hh
    i, *rest, g, o = (sums_x + sums_h).chunk(cell.gates, dim=-1)
    peepholes = None
    if weights.w_peephole is not None:
        peepholes = weights.w_peephole.chunk(2 if cell.coupled else 3)
        i = i + peepholes[0] * c
        rest = [f + peepholes[1] * c for f in rest]
    i, g = torch.sigmoid(i), torch.tanh(g)
    f = 1 - i if cell.coupled else torch.sigmoid(rest[0])
    c = f * c + i * g
    o = torch.sigmoid(o if peepholes is None else o + peepholes[-1] * c)
    shown = c
    if weights.gain_c is not None and weights.bias_c is not None:
        shown = _normalised(c) * weights.gain_c + weights.bias_c
    h = o * torch.tanh(shown)
    return (h if weights.w_hr is None else F.linear(h, weights.w_hr)), c, Gates(i, f, g, o, c)


def gru_step(weights: Weights, sums_x: Tensor, h: Tensor, h_product: Tensor) -> Tensor:
    r"""Take one step of a gated recurrent unit, as :class:`torch.nn.GRU` defines it.

    .. math::
        r_t &= \sigma(W_{ir} x_t + b_{ir} + W_{hr} h_{t-1} + b_{hr}) \\
        z_t &= \sigma(W_{iz} x_t + b_{iz} + W_{hz} h_{t-1} + b_{hz}) \\
        n_t &= \tanh(W_{in} x_t + b_{in} + r_t \odot (W_{hn} h_{t-1} + b_{hn})) \\
        h_t &= (1 - z_t) \odot n_t + z_t \odot h_{t-1}

    Cho et al. (2014), with the reset gate after the product.

    Parameters
    ----------
    sums_x
        ``(B, 3H)`` of :func:`input_sums`, in the order r, z, n.
    h, h_product
        ``(B, H)``: the state, and the state as it enters the recurrent products, which a mask may have touched.
    """
    r_x, z_x, n_x = sums_x.chunk(3, dim=-1)
    r_h, z_h, n_h = F.linear(h_product, weights.w_hh, weights.b_hh).chunk(3, dim=-1)
    r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + r * n_h)
    return (1 - z) * n + z * h


def rnn_step(cell: Cell, weights: Weights, sums_x: Tensor, h: Tensor) -> Tensor:
    r"""Take one step of a plain recurrent network (Elman 1990): :math:`h_t = \phi(s_t)`, with tanh or ReLU.

    Parameters
    ----------
    sums_x
        ``(B, H)`` of :func:`input_sums`.
    h
        ``(B, H)`` as it enters the recurrent product.
    """
    sums = sums_x + F.linear(h, weights.w_hh)
    return torch.tanh(sums) if cell.kind == "rnn_tanh" else torch.relu(sums)


class _Masks(NamedTuple):
    """What changes the state along one direction."""

    lengths: Tensor | None  # (B,)
    cut_before: Tensor | None  # bool (T, B): in the direction of running, the state before the step is zero
    recurrent: Tensor | None  # (B, P)
    zoneout: tuple[float, float]  # the rates of h and c
    keys: tuple[Tensor, Tensor] | None  # (T, B) for h and c; None where zoneout takes the expectation

    def zoned(self, which: int, t: int, old: Tensor, new: Tensor) -> Tensor:
        r"""Zoneout (Krueger et al. 2017, section 3), with masks d or, without keys, their expectation.

        .. math::
            c_t &= d^c_t \odot c_{t-1} + (1 - d^c_t) \odot (f_t \odot c_{t-1} + i_t \odot g_t) \\
            h_t &= d^h_t \odot h_{t-1} + (1 - d^h_t) \odot (o_t \odot \tanh(f_t \odot c_{t-1} + i_t \odot g_t))

        The new h sees the cell as it would be without zoneout.
        """
        rate = self.zoneout[which]
        if rate == 0:
            return new
        if self.keys is None:
            return rate * old + (1 - rate) * new
        return torch.where(random.keeps_old(self.keys[which][t], new.shape[-1], rate), old, new)


def _direction(
    cell: Cell,
    weights: Weights,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    masks: _Masks,
    reverse: bool,
    inside: list[Gates] | None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """One direction over time-major ``x`` (T, B, I): outputs (T, B, P) and the last states; ``inside`` is filled."""
    steps = x.shape[0]
    sums_x = input_sums(cell, weights, x)
    y: list[Tensor] = [h] * steps
    for t in reversed(range(steps)) if reverse else range(steps):
        h_before, c_before = h, c
        if masks.cut_before is not None:
            cut = masks.cut_before[t].unsqueeze(-1)
            h_before = h.masked_fill(cut, 0)
            c_before = None if c is None else c.masked_fill(cut, 0)
        h_product = h_before if masks.recurrent is None else h_before * masks.recurrent
        c_next: Tensor | None = None
        if c_before is not None:
            h_next, c_next, gates = lstm_step(cell, weights, sums_x[t], h_product, c_before)
            c_next = masks.zoned(random.CELL_STATE, t, c_before, c_next)
            if inside is not None:
                inside.append(gates._replace(c=c_next))
        elif cell.kind == "gru":
            h_next = gru_step(weights, sums_x[t], h_before, h_product)
        else:
            h_next = rnn_step(cell, weights, sums_x[t], h_product)
        h_next = masks.zoned(random.HIDDEN_STATE, t, h_before, h_next)
        if masks.lengths is None:
            h, c, y[t] = h_next, c_next, h_next
        else:
            alive = (t < masks.lengths).unsqueeze(-1)
            h = torch.where(alive, h_next, h)
            c = None if c is None or c_next is None else torch.where(alive, c_next, c)
            y[t] = h_next.masked_fill(~alive, 0)
    if reverse and inside is not None:
        inside.reverse()
    return torch.stack(y), h, c


def sequence(
    cell: Cell,
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
    *,
    lengths: Tensor | None = None,
    batch_sizes: Tensor | None = None,
    batch_first: bool = False,
    reset: Tensor | None = None,
    recurrent_mask: Tensor | None = None,
    zoneout: tuple[float, float] = (0.0, 0.0),
    seed: Tensor | None = None,
    reverse: bool = False,
    inside: list[Gates] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer; the arguments are those of :func:`fastlstm.ops.sequence`, which tells their shapes.

    Parameters
    ----------
    inside
        Where the gates and cells of an LSTM are wanted: a list, to which one :class:`Gates` is appended for each
        direction, of ``(T, B, H)`` or ``(B, T, H)`` with ``batch_first`` each, zero past the ends.

    Returns
    -------
    y, hn, cn
        As ``x`` with D·P values a row, ``(D, B, P)``, ``(D, B, H)``; without a cell state, ``cn`` is ``(0,)``.
    """
    alive = None
    if batch_sizes is not None:
        steps, batch = batch_sizes.shape[0], int(batch_sizes[0])
        alive = torch.arange(batch, device=x.device) < batch_sizes.to(x.device).unsqueeze(-1)  # (T, B)
        lengths = alive.sum(0)
        packed_at = (torch.cumsum(alive.flatten(), 0) - 1).clamp(min=0).view(steps, batch)
        x, reset = x[packed_at], None if reset is None else reset[packed_at]
    elif batch_first:
        x, reset = x.transpose(0, 1), None if reset is None else reset.transpose(0, 1)
    steps, batch = x.shape[:2]
    if lengths is not None:  # what lies past the ends must not matter, not even when it is NaN
        if type(lengths) is Tensor and lengths.device.type == "cpu" and not torch.compiler.is_compiling():
            check_lengths(lengths, steps)
        lengths = lengths.to(x.device)
        alive = torch.arange(steps, device=x.device).unsqueeze(-1) < lengths
        x = x.masked_fill(~alive.unsqueeze(-1), 0)
        reset = None if reset is None else reset & alive
    directions = cell.directions(weights)
    outputs, hidden = directions[0].w_hh.shape[1], directions[0].w_ih.shape[0] // cell.gates
    h0 = x.new_zeros(len(directions), batch, outputs) if h0 is None else h0
    if cell.has_cell_state and c0 is None:
        c0 = x.new_zeros(len(directions), batch, hidden)

    def as_given(values: Tensor) -> Tensor:
        if batch_sizes is not None:
            return values[alive]
        return values.transpose(0, 1) if batch_first else values

    runs = []
    with without_autocast(x.device.type):
        for d, own in enumerate(directions):
            backwards = reverse or d == 1
            masks = _Masks(
                lengths,
                _following(reset) if reset is not None and backwards else reset,
                None if recurrent_mask is None else recurrent_mask[d],
                zoneout,
                None if seed is None else _zoneout_keys(seed.to(x.device), steps, batch, int(backwards)),
            )
            gates: list[Gates] | None = None if inside is None else []
            c = None if c0 is None else c0[d]
            runs.append(_direction(cell, own, x, h0[d], c, masks, backwards, gates))
            if inside is not None and gates:
                over_time = (torch.stack(values) for values in zip(*gates, strict=True))
                dead = None if alive is None else ~alive.unsqueeze(-1)
                inside.append(
                    Gates(*(as_given(v if dead is None else v.masked_fill(dead, 0)) for v in over_time))
                )
    y = as_given(torch.cat([run[0] for run in runs], dim=-1))
    cells = [run[2] for run in runs if run[2] is not None]
    return y, torch.stack([run[1] for run in runs]), torch.stack(cells) if cells else x.new_empty(0)


def check_lengths(lengths: Tensor, steps: int) -> None:
    """Raise a ValueError for lengths that do not lie in 0 … T."""
    lengths = private.unwrapped(lengths)
    if lengths.numel() and not 0 <= int(lengths.min()) <= int(lengths.max()) <= steps:
        raise ValueError(f"lengths must lie in 0 … {steps} (the time steps), got {lengths.tolist()}")


def _zoneout_keys(seed: Tensor, steps: int, batch: int, direction: int) -> tuple[Tensor, Tensor]:
    return (
        random.row_keys(seed, steps, batch, direction, random.HIDDEN_STATE),
        random.row_keys(seed, steps, batch, direction, random.CELL_STATE),
    )


def _following(reset: Tensor) -> Tensor:
    """Shift resets to where a backward run meets them: one at t lies between t - 1 and t, on the way into t - 1."""
    return torch.cat([reset[1:], torch.zeros_like(reset[:1])])


def without_autocast(device: str) -> AbstractContextManager[object]:
    """Compute in the dtype that was given: a caller under autocast has chosen it already."""
    if torch.amp.is_autocast_available(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()
