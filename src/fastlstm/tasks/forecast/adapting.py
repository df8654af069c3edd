"""Intervals that follow how often the truth lay outside them since a model has learnt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastlstm.data.ragged import ranges
from fastlstm.data.series.series_set import Integers, SeriesSet
from fastlstm.data.series.windows import WindowIndex, Windows
from fastlstm.tasks.forecast.model import ForecastModel
from fastlstm.training.metrics import Array

MOST_WINDOWS = 20  # before a forecast, that its intervals follow
PACE = 0.3
MOST_CHANGE = 4.0  # of a distance from the median
SERIES_AT_ONCE = 1024  # as many forecasts lie in memory as those of so many series and what is behind them


def forecast_adapted(
    model: ForecastModel,
    windows: Windows,
    series: SeriesSet,
    index: WindowIndex,
    fresh: Integers | None = None,
) -> Array:
    """Forecast many windows, with intervals that follow what became of the forecasts before them.

    Parameters
    ----------
    model : ForecastModel
        Trained.
    windows : Windows
        The rows.
    series : SeriesSet
        The series that they are of.
    index : WindowIndex
        W windows, series by series.
    fresh : numpy.ndarray, optional
        (S,) int64, the position from which on nothing of a series was learnt. Default: intervals are as calibrated.

    Returns
    -------
    numpy.ndarray
        (W, L, Q) float64, in the target's unit.
    """
    whole = _whole if model.settings.counts else np.asarray
    if fresh is None:
        return whole(model.forecast(windows, index).astype(np.float64))
    # Forecasts from less than a context err more than those that follow them.
    first = (series.offsets[:-1] + np.maximum(fresh, windows.context))[index.series]
    parts = []
    cuts = np.searchsorted(index.series, np.arange(SERIES_AT_ONCE, len(series), SERIES_AT_ONCE))
    for codes, origins, start in zip(*(np.split(part, cuts) for part in (*index, first)), strict=True):
        if not len(codes):
            continue
        wanted = WindowIndex(codes, origins)
        behind = windows_behind(wanted, windows.horizon, start)
        forecasts = model.forecast(windows, behind).astype(np.float64)
        parts.append(adapt(series, behind, wanted, forecasts, model.settings.quantiles, start))
    return whole(np.concatenate(parts).clip(min=model.settings.floor))


def steps_needed(reach: int, horizon: int, series: SeriesSet, fresh: Integers) -> Integers:
    """Return how many observed steps at the end of each series its next forecast depends on.

    Parameters
    ----------
    reach : int
        How many a single forecast looks at.
    horizon : int
        L.
    series : SeriesSet
        S series.
    fresh : numpy.ndarray
        (S,) int64, the position from which on nothing of a series was learnt.

    Returns
    -------
    numpy.ndarray
        (S,) int64
    """
    needed: Integers = reach + np.clip(series.last_observed - fresh, 0, horizon * MOST_WINDOWS)
    return needed


def windows_behind(index: WindowIndex, horizon: int, first: Integers) -> WindowIndex:
    """Return forecasts and those whose horizons lie end to end before each of them, the oldest first.

    Parameters
    ----------
    index : WindowIndex
        W origins.
    horizon : int
        L.
    first : numpy.ndarray
        (W,) int64, the flat row before which no origin is to lie.

    Returns
    -------
    WindowIndex
        Each once, series by series, rising in time.

    Examples
    --------
    >>> behind = windows_behind(WindowIndex(np.array([0, 0]), np.array([9, 12])), 3, np.array([4, 4]))
    >>> behind.origins
    array([ 6,  9, 12])
    """
    back = np.minimum(np.maximum(index.origins - first, 0) // horizon, MOST_WINDOWS)
    counts = back + 1
    codes = np.repeat(index.series, counts)
    origins = np.repeat(index.origins, counts) - horizon * ranges(0, counts)
    whole = np.unique(np.stack([codes, origins]), axis=1)
    return WindowIndex(whole[0], whole[1])


def adapt(
    series: SeriesSet,
    index: WindowIndex,
    wanted: WindowIndex,
    forecasts: Array,
    quantiles: Sequence[float],
    first: Integers,
) -> Array:
    """Move the quantiles of forecasts apart or together by what became of the forecasts before them.

    The distance of each quantile from the median is multiplied by a factor that starts at 1 with the oldest of the
    forecasts behind, and grows or shrinks with each by how much more often than it should the truth lay beyond the
    quantile, ``a`` of it being meant to::

        log f ← log f + 0.3 (share beyond - a)

    With time a quantile so holds what it says, however much the years to come differ from those that were learnt
    (Gibbs & Candès 2021, "Adaptive conformal inference under distribution shift"; tracking the quantile itself, not
    its level: Angelopoulos et al. 2023, "Conformal PID control for time series prediction"). Only what lies before an
    origin counts, and of that only what no model has learnt.

    Parameters
    ----------
    series : SeriesSet
        The series.
    index : WindowIndex
        V origins, of :func:`windows_behind`.
    wanted : WindowIndex
        W of them.
    forecasts : numpy.ndarray
        (V, L, Q), in the target's unit.
    quantiles : sequence of float
        Q levels, 0.5 among them.
    first : numpy.ndarray
        (W,) int64, as for :func:`windows_behind`.

    Returns
    -------
    numpy.ndarray
        (W, L, Q), those of the wanted ones.
    """
    horizon, median = forecasts.shape[1], list(quantiles).index(0.5)
    keys = index.origins + index.series  # an origin at the end of a series is the first row of the next
    sought = wanted.origins + wanted.series
    rows = np.searchsorted(keys, sought)
    middle = forecasts[..., median : median + 1]
    distances = forecasts - middle
    back = np.minimum(np.maximum(wanted.origins - first, 0) // horizon, MOST_WINDOWS)
    logarithms = np.zeros((len(rows), len(quantiles)))
    if back.any():
        errors = index.truth(series, horizon)[..., None] - middle
        levels = np.minimum(quantiles, 1 - np.asarray(quantiles))
        most = np.log(MOST_CHANGE)
        for steps in range(int(back.max()), 0, -1):
            at = np.flatnonzero(back >= steps)
            before = np.searchsorted(keys, sought[at] - horizon * steps)
            share = _share_beyond(errors[before], distances[before], np.exp(logarithms[at]))
            moved = logarithms[at] + PACE * (share - levels)
            logarithms[at] = np.clip(np.where(np.isnan(share), logarithms[at], moved), -most, most)
    return _in_order(middle[rows], distances[rows] * np.exp(logarithms)[:, None], median)


def _share_beyond(errors: Array, distances: Array, factors: Array) -> Array:
    """(W, Q), the share of truths that lay further from the median than each quantile; NaN where none is known."""
    known = ~np.isnan(errors)
    # Whatever side of the median a quantile is on: the error has its sign, and is the longer one.
    sides = np.sign(distances)
    beyond = (errors * sides > np.abs(distances) * factors[:, None]) & known
    count = known.sum(axis=1)
    shares: npt.NDArray[np.float64] = np.where(count > 0, beyond.sum(axis=1) / np.maximum(count, 1), np.nan)
    return shares


def _whole(forecasts: Array) -> Array:
    """Return counts, which quantiles that were moved from the median or towards it no longer are."""
    counts: Array = np.maximum(np.round(forecasts), 0)
    return counts


def _in_order(middle: Array, distances: Array, median: int) -> Array:
    """Put quantiles at some distances from the median, an outer one no nearer to it than an inner one."""
    below = np.minimum.accumulate(distances[..., : median + 1][..., ::-1], axis=-1)[..., ::-1]
    above = np.maximum.accumulate(distances[..., median:], axis=-1)
    ordered: Array = middle + np.concatenate([below, above[..., 1:]], axis=-1)
    return ordered
