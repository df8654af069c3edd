"""Runs of rows: alarms, and anomalies that are known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastlstm.data.series.series_set import Integers


class Stretch(NamedTuple):
    """Rows of one series that follow one another in time.

    Attributes
    ----------
    series : int
        Which series.
    first, end : int
        Places among the rows in the order of time: from ``first`` up to ``end``.
    """

    series: int
    first: int
    end: int


def stretches(flags: npt.NDArray[np.bool_], series: Integers) -> list[Stretch]:
    """Find the runs of rows that are flagged.

    Parameters
    ----------
    flags : numpy.ndarray
        (n,) bool, in the order of time, series by series.
    series : numpy.ndarray
        (n,) int64, which series each row is of.

    Examples
    --------
    >>> found = stretches(np.array([False, True, True, False, True, True]), np.array([0, 0, 0, 0, 0, 1]))
    >>> [run[1:] for run in found]
    [(1, 3), (4, 5), (5, 6)]
    """
    rows = np.flatnonzero(flags)
    begins = np.ones(len(rows), bool)
    begins[1:] = (np.diff(rows) > 1) | (np.diff(series[rows]) != 0)
    firsts = rows[begins]
    lasts = rows[np.append(begins[1:], True)[: len(rows)]]
    return [
        Stretch(int(series[first]), int(first), int(last) + 1)
        for first, last in zip(firsts, lasts, strict=True)
    ]
