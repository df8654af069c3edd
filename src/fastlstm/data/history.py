"""What there was of each series: how many values, and whether they ever changed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


def nothing(series: int, targets: int) -> Floats:
    """Return the summary of series of which nothing is known.

    Parameters
    ----------
    series, targets : int
        S and K.

    Returns
    -------
    numpy.ndarray
        (S, K, 3) float32: no value, whose least is +∞ and whose greatest is -∞.
    """
    return np.tile(np.array([0, np.inf, -np.inf], np.float32), (series, targets, 1))


def summarise(target: Floats, starts: Integers, counts: Integers, earlier: Floats) -> Floats:
    """Add a stretch of each series to the summary of what came before it.

    Parameters
    ----------
    target : numpy.ndarray
        (N, K), NaN where missing.
    starts : numpy.ndarray
        (S,) int64, the row in which each stretch begins.
    counts : numpy.ndarray
        (S,) int64, its rows.
    earlier : numpy.ndarray
        (S, K, 3), the number of values before it, the least and the greatest.

    Returns
    -------
    numpy.ndarray
        (S, K, 3)

    Examples
    --------
    >>> target = np.float32([[5], [np.nan], [7], [1]])
    >>> summarise(target, np.array([0, 3]), np.array([3, 1]), nothing(2, 1))[:, 0].tolist()
    [[2.0, 5.0, 7.0], [1.0, 1.0, 1.0]]
    """
    series = np.repeat(np.arange(len(starts)), counts)
    rows = np.arange(len(series)) - np.repeat(np.cumsum(counts) - counts, counts) + starts[series]
    summary = earlier.copy()
    for index in range(target.shape[1]):
        values = target[rows, index]
        known = ~np.isnan(values)
        codes = series[known]
        summary[:, index, 0] += np.bincount(codes, minlength=len(starts))
        np.minimum.at(summary[:, index, 1], codes, values[known])
        np.maximum.at(summary[:, index, 2], codes, values[known])
    return summary
