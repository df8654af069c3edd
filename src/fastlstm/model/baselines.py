"""The forecasts that a network has to beat: naive and seasonal-naive, with intervals.

Hyndman & Athanasopoulos, "Forecasting: Principles and Practice", 3rd edition (FPP3), sections 5.2 and 5.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from fastlstm.data.series.history import NO_PAIRS

Array = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]


def naive(
    target: Array,
    starts: Integers,
    origins: Integers,
    horizon: int,
    quantiles: Sequence[float],
    spread: Array,
) -> Array:
    """Repeat the last observed value.

    The h-th step ahead is ``y_T``, its quantiles those of a normal with deviation ``s √h`` around it.

    Parameters
    ----------
    target : numpy.ndarray
        (N,), all series one after the other, NaN where missing.
    starts, origins : numpy.ndarray
        (W,) the first row of each window's series, and the row of its horizon's first step.
    horizon : int
        L.
    quantiles : sequence of float
        Q levels.
    spread : numpy.ndarray
        (W,) s, from :func:`residual_spread` with a season of 1.

    Returns
    -------
    numpy.ndarray
        (W, L, Q), NaN for windows without any observed value before their origin.

    Examples
    --------
    >>> target = np.array([3.0, 4.0, np.nan, 9.0])
    >>> naive(target, np.array([0]), np.array([3]), 2, [0.5], np.array([1.0]))[0, :, 0]
    array([4., 4.])
    """
    point = np.repeat(_last_observed(target, starts, origins)[:, None], horizon, axis=1)
    steps = np.sqrt(np.arange(1, horizon + 1))
    return _with_quantiles(point, spread[:, None] * steps, quantiles)


def seasonal_naive(
    target: Array,
    starts: Integers,
    origins: Integers,
    horizon: int,
    quantiles: Sequence[float],
    spread: Array,
    season: int,
) -> Array:
    """Repeat the last season.

    The h-th step ahead is ``y_{T + h - m (k + 1)}`` with ``k = ⌊(h - 1) / m⌋``, its quantiles those of a
    normal with deviation ``s √(k + 1)``. Where that row is missing the season before takes its place, and the
    last observed value where none of the series has it.

    Parameters
    ----------
    target, starts, origins, horizon, quantiles
        As for :func:`naive`.
    spread : numpy.ndarray
        (W,) s, from :func:`residual_spread` with this season.
    season : int
        m, in steps.

    Returns
    -------
    numpy.ndarray
        (W, L, Q)

    Examples
    --------
    >>> target = np.array([1.0, 2.0, 3.0, np.nan])
    >>> seasonal_naive(target, np.array([0]), np.array([4]), 3, [0.5], np.array([1.0]), season=2)[0, :, 0]
    array([3., 2., 3.])
    """
    ahead = np.arange(horizon)
    seasons_back = ahead // season + 1
    rows = origins[:, None] + ahead - season * seasons_back
    point = np.full(rows.shape, np.nan)
    while True:
        inside = rows >= starts[:, None]
        wanted = np.isnan(point) & inside
        if not wanted.any():
            break
        point[wanted] = target[rows[wanted]]
        rows = rows - season
    fallback = _last_observed(target, starts, origins)
    point = np.where(np.isnan(point), fallback[:, None], point)
    return _with_quantiles(point, spread[:, None] * np.sqrt(seasons_back), quantiles)


def residual_spread(history: Array, season: int, cut: Array = NO_PAIRS) -> float:
    """Compute the s of (seasonal-)naive: the root mean square of ``y_t - y_{t-m}``, FPP3 equation 5.1.

    Parameters
    ----------
    history : numpy.ndarray
        (T,), NaN where missing.
    season : int
        m, in steps.
    cut : numpy.ndarray
        (2,), of rows that the history has no longer: how many pairs, and the sum of their squares.

    Returns
    -------
    float
        0 where no pair of rows a season apart was observed.

    Examples
    --------
    >>> residual_spread(np.array([1.0, 4.0, 8.0]), season=1)
    3.5...
    """
    squares = np.square(history[season:] - history[:-season])
    known = ~np.isnan(squares)
    count = known.sum() + cut[0]
    return float(np.sqrt((squares[known].sum() + cut[1]) / count)) if count else 0.0


def _last_observed(target: Array, starts: Integers, origins: Integers) -> Array:
    """(W,) the last value of each window's series before its origin, NaN where there is none."""
    latest = np.maximum.accumulate(np.where(np.isnan(target), -1, np.arange(len(target))))
    row = np.where(origins > 0, latest[origins - 1], -1)
    return np.where(row >= starts, target[row], np.nan)


def _with_quantiles(point: Array, deviation: Array, quantiles: Sequence[float]) -> Array:
    normal = np.array([NormalDist().inv_cdf(level) for level in quantiles])
    spread: Array = point[..., None] + deviation[..., None] * normal
    return spread
