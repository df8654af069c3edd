"""Backward passes that recompute: only the states between segments are kept (Chen et al. 2016, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from fastlstm import ops
from fastlstm.ops import private, random
from fastlstm.ops.reference import check_lengths, without_autocast

_Outputs = tuple[Tensor, Tensor, Tensor]


def sequence(
    every: int, cell: ops.Cell, x: Tensor, h0: Tensor | None, c0: Tensor | None, weights: Sequence[Tensor], *,
    batch_first: bool, lengths: Tensor | None = None, reset: Tensor | None = None,
    recurrent_mask: Tensor | None = None, zoneout: tuple[float, float] = (0.0, 0.0), seed: Tensor | None = None,
    read_steps: Tensor | None = None, rounded: bool = False,
) -> _Outputs:  # fmt: skip
    """Run one layer in segments of ``every`` steps whose insides are computed again in the backward pass.

    Arguments and results are those of :func:`fastlstm.ops.sequence`. Of T steps the states at T / every of them are
    kept, and the insides of one segment at a time. Beside, there are the outputs: all of them, or those that are read.
    Without gradients, and where a graph is drawn or a transform of ``torch.func`` is under way, it is one call.

    Raises
    ------
    ValueError
        For lengths or steps to read that do not lie in 0 … T: no segment would know.
    """
    if not _recomputes():
        return ops.sequence(
            cell, x, h0, c0, weights, batch_first=batch_first, lengths=lengths, reset=reset,
            recurrent_mask=recurrent_mask, zoneout=zoneout, seed=seed, read_steps=read_steps, rounded=rounded,
        )  # fmt: skip
    batch, steps = x.shape[:2] if batch_first else (x.shape[1], x.shape[0])
    if lengths is not None:
        check_lengths(lengths, steps)
    if read_steps is not None and not ((read_steps >= 0) & (read_steps < steps)).all():
        raise ValueError(f"output_steps: expected numbers in 0 … {steps - 1}, got {read_steps.tolist()}")
    each = cell.weights_per_direction
    directions = len(weights) // each
    outputs, hidden = weights[1].shape[1], weights[0].shape[0] // cell.gates
    if reset is not None:
        reset = reset.clone()  # read anew in the backward pass, when the caller's may have changed
    h0 = x.new_zeros(directions, batch, outputs) if h0 is None else h0
    if c0 is None and cell.has_cell_state:
        c0 = x.new_zeros(directions, batch, hidden)
    with without_autocast(x.device.type):
        runs = [
            _direction(
                every, cell, x, h0[d : d + 1], None if c0 is None else c0[d : d + 1],
                weights[d * each : (d + 1) * each], d == 1, batch_first, lengths, reset,
                None if recurrent_mask is None else recurrent_mask[d : d + 1], zoneout, seed, read_steps, rounded,
            )
            for d in range(directions)
        ]  # fmt: skip
        if directions == 1:
            return runs[0]
        (y, hn, cn), (y_reverse, hn_reverse, cn_reverse) = runs
        return torch.cat([y, y_reverse], dim=-1), torch.cat([hn, hn_reverse]), torch.cat([cn, cn_reverse])


def _recomputes() -> bool:
    # A graph would hold a number of segments that is fixed, and torch.func allows no hooks on what is saved.
    drawn = torch.compiler.is_compiling() or private.is_traced_by_jit()
    transformed = private.is_transformed() or private.in_forward_mode()
    return torch.is_grad_enabled() and not drawn and not transformed


def _direction(
    every: int, cell: ops.Cell, x: Tensor, h: Tensor, c: Tensor | None, weights: Sequence[Tensor], reverse: bool,
    batch_first: bool, lengths: Tensor | None, reset: Tensor | None, recurrent_mask: Tensor | None,
    zoneout: tuple[float, float], seed: Tensor | None, read_steps: Tensor | None, rounded: bool,
) -> _Outputs:  # fmt: skip
    time = int(batch_first)
    steps, batch = x.shape[time], x.shape[1 - time]

    def run(part: Tensor, h: Tensor, c: Tensor | None, options: dict[str, Any], *weights: Tensor) -> _Outputs:
        return ops.sequence(
            cell, part, h, c, weights, batch_first=batch_first, recurrent_mask=recurrent_mask, zoneout=zoneout,
            reverse=reverse, rounded=rounded, **options,
        )  # fmt: skip

    parts: list[Tensor] = []
    places: list[Tensor] = []  # where among the steps that are read those of each part belong
    starts = range(0, steps, every)
    for start in reversed(starts) if reverse else starts:
        count = min(every, steps - start)
        options: dict[str, Any] = {}
        if lengths is not None:
            options["lengths"] = (lengths - start).clamp(0, count)
        if seed is not None:
            options["seed"] = random.shifted_seed(seed, start, batch)
        if reset is not None:
            options["reset"] = reset.narrow(time, start, count)
            after = start + count
            if reverse and after < steps:  # a reset at `after` lies between this segment and the one just run
                cut = reset.select(time, after)
                cut = cut if lengths is None else cut & (lengths.to(cut.device) > after)
                h = h.masked_fill(cut.unsqueeze(-1), 0)
                c = None if c is None else c.masked_fill(cut.unsqueeze(-1), 0)
        if read_steps is not None:
            places.append(((read_steps >= start) & (read_steps < start + count)).nonzero().squeeze(1))
            options["read_steps"] = read_steps[places[-1]] - start
        # Masks and seeds are drawn already, so no generator's state need be kept.
        y, h, last_c = checkpoint(
            run, x.narrow(time, start, count), h, c, options, *weights, use_reentrant=False, preserve_rng_state=False
        )  # fmt: skip
        c = last_c if cell.has_cell_state else None
        parts.append(y)
    if read_steps is not None:
        return torch.cat(parts, dim=time).index_select(time, torch.cat(places).argsort()), h, last_c
    return torch.cat(parts[::-1] if reverse else parts, dim=time), h, last_c
