"""Rows of several lengths, one after the other in one flat buffer: where each begins, and what lies where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Lengths = Integers | Sequence[int]


def offsets_of(lengths: Lengths) -> Integers:
    """Return (n + 1,) where each of n rows begins, and where the last one ends.

    Parameters
    ----------
    lengths : sequence of int or numpy.ndarray
        (n,)

    Examples
    --------
    >>> offsets_of([2, 0, 3])
    array([0, 2, 2, 5])
    """
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def codes_of(lengths: Lengths) -> Integers:
    """Return (N,) which of n rows each place is of.

    Parameters
    ----------
    lengths : sequence of int or numpy.ndarray
        (n,) N together.

    Examples
    --------
    >>> codes_of([2, 0, 3])
    array([0, 0, 2, 2, 2])
    """
    return np.repeat(np.arange(len(lengths)), lengths)


def ranges(starts: Integers | Sequence[int] | int, lengths: Lengths) -> Integers:
    """Return (N,) n ranges of integers, one after the other.

    Parameters
    ----------
    starts : int, sequence of int or numpy.ndarray
        (n,) where each begins; or one for all of them.
    lengths : sequence of int or numpy.ndarray
        (n,) how long each is, N together.

    Examples
    --------
    >>> ranges([7, 0, 4], [2, 0, 3]), ranges(0, [2, 3])
    (array([7, 8, 4, 5, 6]), array([0, 1, 0, 1, 2]))
    """
    offsets = offsets_of(lengths)
    return np.arange(offsets[-1]) + np.repeat(np.asarray(starts) - offsets[:-1], lengths)
