"""What of other rows a model has not learnt from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fastlstm.data.series.series_set import Integers, SeriesSet
from fastlstm.data.series.windows import WindowIndex


def learnt_from(series: SeriesSet, held_back: int) -> Integers:
    """Find from when on nothing was learnt from series.

    Parameters
    ----------
    series : SeriesSet
        What was fitted.
    held_back : int
        How many steps at the end of each were kept from fitting.

    Returns
    -------
    numpy.ndarray
        (S,) int64 ticks of the time axis.
    """
    return series.axis.shifted(np.maximum(series.last_observed - held_back, 0)).origins


def limits(series: SeriesSet, learnt_until: Integers) -> dict[str, int]:
    """Return from when on nothing was learnt of each series, by its name.

    Parameters
    ----------
    series : SeriesSet
        What was fitted.
    learnt_until : numpy.ndarray
        (S,) int64 ticks.
    """
    return {str(name): int(until) for name, until in zip(series.names, learnt_until, strict=True)}


def all_unseen(series: SeriesSet, index: WindowIndex, learnt: Mapping[str, int]) -> bool:
    """Tell whether no forecast from some origins is of steps that were learnt from.

    Parameters
    ----------
    series : SeriesSet
        The series to forecast.
    index : WindowIndex
        The origins.
    learnt : mapping
        From :func:`limits`, of what was fitted.
    """
    until = _until(series, learnt)
    ticks = series.axis.ticks_at(index.series, index.positions(series))
    return bool((ticks >= until[index.series]).all())


def fresh_from(series: SeriesSet, learnt: Mapping[str, int]) -> Integers:
    """Find the position from which on nothing of series was learnt.

    Parameters
    ----------
    series : SeriesSet
        Rows of the same or other series.
    learnt : mapping
        From :func:`limits`, of what was fitted.

    Returns
    -------
    numpy.ndarray
        (S,) int64, 0 where nothing was.
    """
    until, origins = _until(series, learnt), series.axis.origins
    positions, _ = series.axis.frequency.positions(np.maximum(until, origins), origins)
    return positions


def later_of(series: SeriesSet, learnt_until: Integers, learnt: Mapping[str, int]) -> Integers:
    """Return from when on neither of two fits has learnt from series.

    Parameters
    ----------
    series : SeriesSet
        What one was fitted to.
    learnt_until : numpy.ndarray
        (S,) int64 ticks, of that fit.
    learnt : mapping
        From :func:`limits`, of the other.
    """
    return np.maximum(learnt_until, _until(series, learnt))


def _until(series: SeriesSet, learnt: Mapping[str, int]) -> Integers:
    """(S,) ticks of the time axis from which on nothing of each series was learnt, by name."""
    never = np.iinfo(np.int64).min
    return np.array([learnt.get(str(name), never) for name in series.names], np.int64)
