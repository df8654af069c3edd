"""Which sequences of unequal lengths are laid side by side."""

from __future__ import annotations

import numpy as np

from fastlstm.data.rows import Integers


def batches_of_like_length(lengths: Integers, steps: int, most: int | None = None) -> list[Integers]:
    """Cut sequences into batches of like length that fit into memory, the shortest first.

    Parameters
    ----------
    lengths : numpy.ndarray
        (n,) int64, of each.
    steps : int
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
        if place > first and ((place - first + 1) * length > steps or place - first == most):
            parts.append(order[first:place])
            first = place
    return [*parts, order[first:]] if len(order) else []
