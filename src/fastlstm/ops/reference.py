"""The equations in readable torch: any dtype, any device, differentiable any number of times.

This is the oracle that the kernels are tested against, the fallback where no kernel serves, and the way in which higher
derivatives are taken. Letters: T time steps, B sequences, I inputs, H hidden units, P outputs a step (= H without a
projection), D directions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def lstm_step(
    gates_x: Tensor, h: Tensor, c: Tensor, w_hh: Tensor, w_hr: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    r"""Take one LSTM step.

    .. math::
        i, f, o = \sigma(\cdot), \quad g = \tanh(\cdot), \quad
        c_t = f \odot c_{t-1} + i \odot g, \quad h_t = W_{hr} (o \odot \tanh(c_t))

    Hochreiter & Schmidhuber (1997) with the forget gate of Gers et al. (2000); the projection :math:`W_{hr}`, where
    there is one, is that of Sak et al. (2014, section 2).

    Parameters
    ----------
    gates_x
        ``(B, 4H)``: the input's share of the four sums, biases included, in the order i, f, g, o.
    h, c
        ``(B, P)`` and ``(B, H)``: the state before the step.
    w_hh
        ``(4H, P)``.
    w_hr
        ``(P, H)``, or None.

    Returns
    -------
    h, c
        The state after the step.
    """
    i, f, g, o = (gates_x + h @ w_hh.T).chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c)
    return (h if w_hr is None else h @ w_hr.T), c


def _direction(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    weights: Sequence[Tensor],
    has_bias: bool,
    lengths: Tensor | None,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """One direction over time-major ``x`` (T, B, I): outputs (T, B, P) and the last states (B, P), (B, H)."""
    w_ih, w_hh = weights[:2]
    w_hr = weights[-1] if len(weights) % 2 else None
    gates_x = F.linear(x, w_ih, weights[2] + weights[3] if has_bias else None)
    y: list[Tensor] = [h] * x.shape[0]
    for t in reversed(range(x.shape[0])) if reverse else range(x.shape[0]):
        h_next, c_next = lstm_step(gates_x[t], h, c, w_hh, w_hr)
        if lengths is None:
            h, c = h_next, c_next
            y[t] = h
        else:
            alive = (t < lengths).unsqueeze(-1)
            h, c = torch.where(alive, h_next, h), torch.where(alive, c_next, c)
            y[t] = torch.where(alive, h_next, torch.zeros_like(h_next))
    return torch.stack(y), h, c


def lstm(
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    weights: Sequence[Tensor],
    has_bias: bool,
    projected: bool,
    lengths: Tensor | None = None,
    batch_sizes: Tensor | None = None,
    batch_first: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one LSTM layer, in one or both directions.

    Parameters
    ----------
    x
        ``(T, B, I)``, or ``(B, T, I)`` with ``batch_first``, or ``(rows, I)`` with ``batch_sizes``.
    h0, c0
        ``(D, B, P)`` and ``(D, B, H)``; None means zeros.
    weights
        For each direction ``w_ih (4H, I)``, ``w_hh (4H, P)``, with ``has_bias`` ``b_ih (4H)`` and ``b_hh (4H)``, and
        with ``projected`` ``w_hr (P, H)``, one after the other.
    lengths
        ``(B,)`` integers in 0 … T: past them outputs are zero, and the last state is the one at the end.
    batch_sizes
        ``(T,)``: how many sequences of a :class:`~torch.nn.utils.rnn.PackedSequence` still run at each step.

    Returns
    -------
    y, hn, cn
        As ``x`` with D·P values a row, ``(D, B, P)``, ``(D, B, H)``.
    """
    if batch_sizes is not None:
        steps, batch = batch_sizes.shape[0], int(batch_sizes[0])
        alive = torch.arange(batch, device=x.device) < batch_sizes.to(x.device).unsqueeze(-1)  # (T, B)
        lengths = alive.sum(0)
        packed_at = (torch.cumsum(alive.flatten(), 0) - 1).clamp(min=0).view(steps, batch)
        x = torch.where(alive.unsqueeze(-1), x[packed_at], x.new_zeros(()))
    else:
        x = x.transpose(0, 1) if batch_first else x
        if lengths is not None:  # what lies past the ends must not matter, not even when it is NaN
            lengths = lengths.to(x.device)
            alive = torch.arange(x.shape[0], device=x.device).unsqueeze(-1) < lengths
            x = torch.where(alive.unsqueeze(-1), x, x.new_zeros(()))
    per_direction = 2 + 2 * has_bias + projected
    directions = len(weights) // per_direction
    outputs, hidden = weights[1].shape[1], weights[0].shape[0] // 4
    h0 = x.new_zeros(directions, x.shape[1], outputs) if h0 is None else h0
    c0 = x.new_zeros(directions, x.shape[1], hidden) if c0 is None else c0
    runs = [
        _direction(
            x,
            h0[d],
            c0[d],
            weights[d * per_direction : (d + 1) * per_direction],
            has_bias,
            lengths,
            reverse=d == 1,
        )
        for d in range(directions)
    ]
    y = torch.cat([run[0] for run in runs], dim=-1)
    if batch_sizes is not None:
        y = y[alive]
    elif batch_first:
        y = y.transpose(0, 1)
    return y, torch.stack([run[1] for run in runs]), torch.stack([run[2] for run in runs])
