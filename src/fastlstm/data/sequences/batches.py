"""Which sequences of unequal lengths are laid side by side."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fastlstm.data.series.rows import Integers

POOL = 16  # batches that are drawn at once, and sorted by length


def batches_of_like_length(lengths: Integers, steps: int | None, most: int | None = None) -> list[Integers]:
    """Cut sequences into batches of like length that fit into memory, the shortest first.

    Parameters
    ----------
    lengths : numpy.ndarray
        (n,) int64, of each.
    steps : int, optional
        The most that are laid side by side, with what fills the shorter ones up; a single sequence may be longer.
    most : int, optional
        The most sequences.

    Returns
    -------
    list of numpy.ndarray
        Places among the sequences, from 0; each in one batch.

    Examples
    --------
    >>> batches_of_like_length(np.array([5, 1, 4, 2]), 8)
    [array([1, 3]), array([2]), array([0])]
    """
    order = np.argsort(lengths, kind="stable")
    parts, first = [], 0
    for place, length in enumerate(lengths[order].tolist()):
        full = steps is not None and (place - first + 1) * length > steps
        if place > first and (full or place - first == most):
            parts.append(order[first:place])
            first = place
    return [*parts, order[first:]] if len(order) else []


def batches_at_random(
    lengths: Tensor,
    generator: torch.Generator,
    *,
    steps: int | None = None,
    most: int | None = None,
    full: bool = False,
) -> list[Tensor]:
    """Cut sequences into batches of like length, of those and in an order that are drawn.

    They are shuffled, and those of some batches at a time sorted by length: which of them meet is random, and little is
    filled up.

    Parameters
    ----------
    lengths : Tensor
        (n,) int64, of each, on the CPU.
    generator : torch.Generator
        Who draws.
    steps, most : int, optional
        As of :func:`batches_of_like_length`; one of both is needed.
    full : bool
        Every batch has ``most`` sequences; those that are left over, drawn too, are in none.

    Returns
    -------
    list of Tensor
        Places among the sequences, from 0; each in one batch at most.
    """
    shuffled = torch.randperm(len(lengths), generator=generator)
    if most is not None:
        together = POOL * most
        if full:  # before they are sorted: else the longest would be left over, time after time
            shuffled = shuffled[: len(shuffled) // most * most]
    else:
        together = max(1, int(POOL * (steps or 1) / float(lengths.double().mean())))
    drawn: list[Tensor] = []
    for pool in shuffled.split(together):
        parts = batches_of_like_length(lengths[pool].numpy(), steps, most)
        drawn += [pool[torch.from_numpy(part)] for part in parts]
    return [drawn[place] for place in torch.randperm(len(drawn), generator=generator).tolist()]
