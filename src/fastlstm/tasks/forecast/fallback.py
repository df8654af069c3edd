"""Forecasts of series that a network can say nothing of: constant, hardly begun, or without any value.

==========  ==========================  ==========================================================
what        how it is told              its forecast
==========  ==========================  ==========================================================
constant    all values are the same,    that value, at every quantile
            and there are at least 3
short       1 or 2 values               the last one, with a normal around it that widens with √h:
                                        its deviation is the series' own step, or the usual share
                                        of its size that the other series move in a step (of their
                                        usual size, where its own is 0); not below 0 where none is
missing     no value                    the quantiles of the values of all series
==========  ==========================  ==========================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fastlstm.data.series.pooled import FEWEST_VALUES, PooledTarget
from fastlstm.data.series.series_set import Integers, SeriesSet, running_count
from fastlstm.data.series.windows import WindowIndex
from fastlstm.model.baselines import naive
from fastlstm.model.paths import uniform_numbers
from fastlstm.training.metrics import Array
from fastlstm.wording import listed


class Served(IntEnum):
    """What a series is forecast by: the network, or what stands in for it where there is nothing to say of it."""

    NETWORK = 0
    CONSTANT = 1
    SHORT = 2
    MISSING = 3


LAST_VALUE = (Served.CONSTANT, Served.SHORT)  # which their forecast begins at
TOLD = {
    "constant": "constant: forecast as that value",
    "short": f"fewer than {FEWEST_VALUES} values: forecast as the last one",
    "missing": "without any value: forecast as the quantiles of all series' values",
}


def stand_in(
    series: SeriesSet,
    index: WindowIndex,
    forecasts: Array,
    quantiles: Sequence[float],
    pooled: PooledTarget,
) -> Array:
    """Put other forecasts in the place of those that a network cannot make.

    Parameters
    ----------
    series : SeriesSet
        The series.
    index : WindowIndex
        W origins; only what lies before an origin counts.
    forecasts : numpy.ndarray
        (W, L, Q), the network's, in the target's unit.
    quantiles : sequence of float
        Q levels.
    pooled : PooledTarget
        Of the training rows.

    Returns
    -------
    numpy.ndarray
        (W, L, Q); the same array where the network serves all.
    """
    why, spread = _judge(series, index, pooled)
    if not (why != Served.NETWORK).any():
        return forecasts
    answer = forecasts.copy()
    simple = np.isin(why, LAST_VALUE)
    if simple.any():
        # Only the last value of each series counts, and it lies before the origin.
        target = series.target[:, 0].astype(np.float64)
        starts = series.offsets[index.series]
        answer[simple] = naive(
            target, starts[simple], index.origins[simple], forecasts.shape[1], quantiles, spread[simple]
        ).clip(min=pooled.floor)
    answer[why == Served.MISSING] = pooled.quantiles(quantiles)
    return answer


def stand_in_paths(
    series: SeriesSet,
    index: WindowIndex,
    drawn: Array,
    pooled: PooledTarget,
    seeds: Sequence[Sequence[int]],
) -> Array:
    """Put other paths in the place of those that a network cannot draw.

    They have the distributions of :func:`stand_in`: a constant goes on, a short series walks at random from its last
    value, and one without a value takes a level of all series' values and keeps it.

    Parameters
    ----------
    series : SeriesSet
        The series.
    index : WindowIndex
        W origins; only what lies before an origin counts.
    drawn : numpy.ndarray
        (W, N, L), the network's, in the target's unit.
    pooled : PooledTarget
        Of the training rows.
    seeds : sequence
        W of them, of what is drawn.

    Returns
    -------
    numpy.ndarray
        (W, N, L); the same array where the network serves all.
    """
    why, spread = _judge(series, index, pooled)
    if not (why != Served.NETWORK).any():
        return drawn
    answer = drawn.copy()
    paths, horizon = drawn.shape[1:]
    simple = np.flatnonzero(np.isin(why, LAST_VALUE))
    if simple.size:
        target = series.target[:, 0].astype(np.float64)
        starts = series.offsets[index.series][simple]
        last = naive(target, starts, index.origins[simple], horizon, [0.5], spread[simple])[..., 0]
        uniform = uniform_numbers([seeds[int(window)] for window in simple], paths, horizon)
        walk = torch.special.ndtri(uniform).numpy().cumsum(axis=2)
        answer[simple] = (last[:, None] + spread[simple, None, None] * walk).clip(min=pooled.floor)
    for window in np.flatnonzero(why == Served.MISSING):
        uniform = uniform_numbers([seeds[int(window)]], paths, 1)
        answer[window] = pooled.quantiles(uniform.flatten().tolist())[:, None]
    return answer


def without_network(series: SeriesSet) -> dict[str, list[Any]]:
    """Name the series whose next forecast is not the network's.

    Parameters
    ----------
    series : SeriesSet
        The series.

    Returns
    -------
    dict
        ``constant``, ``short`` and ``missing``, as far as there are such series → their names.
    """
    index = WindowIndex(np.arange(len(series)), series.offsets[:-1] + series.last_observed)
    why, _ = _judge(series, index, PooledTarget((), 0.0))
    found = {
        kind: [series.names[code] for code in np.flatnonzero(why == Served[kind.upper()])] for kind in TOLD
    }
    return {kind: names for kind, names in found.items() if names}


def describe(found: Mapping[str, Sequence[Any]], most: int = 5) -> list[str]:
    """Say which series are forecast without the network, one line a kind.

    Parameters
    ----------
    found : mapping
        What :func:`without_network` gave.
    most : int
        How many names to give.

    Examples
    --------
    >>> describe({"constant": ["b"], "missing": ["c", "d"]})
    ["1 series is constant: forecast as that value: 'b'",
     "2 series are without any value: forecast as the quantiles of all series' values: 'c', 'd'"]
    """
    lines = []
    for kind, names in found.items():
        be = ("has" if len(names) == 1 else "have") if kind == "short" else "is" if len(names) == 1 else "are"
        whose = "" if list(names) == [None] else f": {listed(names, most)}"
        lines.append(f"{len(names):,} series {be} {TOLD[kind]}{whose}")
    return lines


def _judge(
    series: SeriesSet, index: WindowIndex, pooled: PooledTarget
) -> tuple[Integers, npt.NDArray[np.float64]]:
    """Return (W,) by which of ``Served``, and (W,) the deviation of a step."""
    target = series.target[:, 0].astype(np.float64)
    starts, origins = series.offsets[index.series], index.origins
    known = ~np.isnan(target)
    rows = np.arange(len(target))
    latest = np.maximum.accumulate(np.where(known, rows, -1))
    before = np.concatenate([[-1], latest[:-1]])[: len(rows)]  # the row of the last value before each row
    first = np.repeat(series.offsets[:-1], series.lengths)
    step = np.where(known & (before >= first), np.abs(target - target[before]), 0.0)
    counted = running_count(known)
    changed = running_count(step > 0)
    earlier = series.earlier[index.series, 0].astype(np.float64)
    count = counted[origins] - counted[starts] + earlier[:, 0]
    row = np.where(origins > starts, latest[np.maximum(origins - 1, 0)], -1)
    last = np.where(row >= starts, target[np.maximum(row, 0)], np.nan)
    same = (changed[origins] == changed[starts]) & (
        (earlier[:, 0] == 0) | ((earlier[:, 1] == earlier[:, 2]) & (np.isnan(last) | (last == earlier[:, 1])))
    )
    short = (count > 0) & (count < FEWEST_VALUES)
    why = np.select(
        [count == 0, short, same], [Served.MISSING, Served.SHORT, Served.CONSTANT], Served.NETWORK
    )
    own = np.where(row >= starts, step[np.maximum(row, 0)], 0.0)
    size = np.where(last == 0, pooled.size, np.abs(last))
    spread = np.where(short, np.maximum(own, pooled.step * size), 0.0)
    return why, spread
