"""What there was of each series: how many values, whether they ever changed, and by how much from season to season."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastlstm.data.ragged import codes_of, ranges

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


# Of a summary, behind values, least and greatest: pairs, the sum of |d| and that of d², of steps and of seasons.
PAIRS = {"step": slice(3, 6), "season": slice(6, 9)}
NO_PAIRS: npt.NDArray[np.floating] = np.zeros(2)  # how many, and a sum


def nothing(series: int, targets: int) -> Floats:
    """Return the summary of series of which nothing is known.

    Parameters
    ----------
    series, targets : int
        S and K.

    Returns
    -------
    numpy.ndarray
        (S, K, 9) float32: no value, whose least is +∞ and whose greatest is -∞, and no pair.
    """
    return np.tile(np.array([0, np.inf, -np.inf, *[0] * 6], np.float32), (series, targets, 1))


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
        (S, K, 9), the number of values before it, the least and the greatest, and pairs, which stay as they are.

    Returns
    -------
    numpy.ndarray
        (S, K, 9)

    Examples
    --------
    >>> target = np.float32([[5], [np.nan], [7], [1]])
    >>> summarise(target, np.array([0, 3]), np.array([3, 1]), nothing(2, 1))[:, 0, :3].tolist()
    [[2.0, 5.0, 7.0], [1.0, 1.0, 1.0]]
    """
    series, rows = _rows_of(starts, counts)
    summary = earlier.copy()
    for index in range(target.shape[1]):
        values = target[rows, index]
        known = ~np.isnan(values)
        codes = series[known]
        summary[:, index, 0] += np.bincount(codes, minlength=len(starts))
        np.minimum.at(summary[:, index, 1], codes, values[known])
        np.maximum.at(summary[:, index, 2], codes, values[known])
    return summary


def add_pairs(target: Floats, bounds: Integers, cuts: Integers, season: int, summary: Floats) -> Floats:
    """Add the pairs of values a step and a season apart of which one lies before a cut.

    Parameters
    ----------
    target : numpy.ndarray
        (N, K), NaN where missing.
    bounds : numpy.ndarray
        (S, 2) int64, the rows between which each series lies.
    cuts : numpy.ndarray
        (S,) int64, the row of each from which on pairs can still be seen.
    season : int
        In steps.
    summary : numpy.ndarray
        (S, K, 9) of what came before.

    Returns
    -------
    numpy.ndarray
        (S, K, 9)

    Examples
    --------
    >>> target = np.float32([[1], [2], [4], [8]])
    >>> add_pairs(target, np.array([[0, 4]]), np.array([2]), 2, nothing(1, 1))[0, 0, 3:].tolist()
    [2.0, 3.0, 5.0, 2.0, 9.0, 45.0]
    """
    found = summary.copy()
    first, last = bounds.T
    for kind, lag in (("step", 1), ("season", season)):
        counts = np.maximum(np.minimum(cuts, last - lag) - first, 0)
        codes, rows = _rows_of(first, counts)
        for index in range(target.shape[1]):
            apart = target[rows + lag, index].astype(np.float64) - target[rows, index]
            seen = ~np.isnan(apart)
            sums = [
                np.bincount(codes[seen], weights, minlength=len(first))
                for weights in (None, np.abs(apart[seen]), np.square(apart[seen]))
            ]
            found[:, index, PAIRS[kind]] += np.stack(sums, axis=1)
    return found


def _rows_of(starts: Integers, counts: Integers) -> tuple[Integers, Integers]:
    """Return of stretches, one after the other, which series each row is of, and the row."""
    return codes_of(counts), ranges(starts, counts)
