"""What of other rows a model has not learnt from."""

from __future__ import annotations

import numpy as np

from fastlstm.data.series import Integers, SeriesSet
from fastlstm.data.windows import WindowIndex


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
    until = np.maximum(series.last_observed - held_back, 0)
    return series.axis.frequency.ticks(series.axis.origins, until, series.axis.day)


def all_unseen(series: SeriesSet, index: WindowIndex, known: SeriesSet, learnt_until: Integers) -> bool:
    """Tell whether no forecast from some origins is of steps that were learnt from.

    Parameters
    ----------
    series : SeriesSet
        The series to forecast.
    index : WindowIndex
        The origins.
    known : SeriesSet
        The series that were learnt from.
    learnt_until : numpy.ndarray
        (S,) int64 ticks, of the known series.
    """
    until = _until(series, known, learnt_until)
    positions = index.origins - series.offsets[index.series]
    axis = series.axis
    ticks = axis.frequency.ticks(axis.origins[index.series], positions, axis.day)
    return bool((ticks >= until[index.series]).all())


def fresh_from(series: SeriesSet, known: SeriesSet, learnt_until: Integers) -> Integers:
    """Find the position from which on nothing of series was learnt.

    Parameters
    ----------
    series : SeriesSet
        Rows of the same or other series.
    known : SeriesSet
        The series that were learnt from.
    learnt_until : numpy.ndarray
        (S,) int64 ticks, of the known series.

    Returns
    -------
    numpy.ndarray
        (S,) int64, 0 where nothing was.
    """
    until, origins = _until(series, known, learnt_until), series.axis.origins
    positions, _ = series.axis.frequency.positions(np.maximum(until, origins), origins)
    return positions


def _until(series: SeriesSet, known: SeriesSet, learnt_until: Integers) -> Integers:
    """(S,) ticks of the time axis from which on nothing of each series was learnt, by name."""
    codes = {str(name): code for code, name in enumerate(known.names)}
    never = np.iinfo(np.int64).min
    return np.array(
        [learnt_until[codes[str(name)]] if str(name) in codes else never for name in series.names], np.int64
    )


def later_of(series: SeriesSet, learnt_until: Integers, known: SeriesSet, known_until: Integers) -> Integers:
    """Return from when on neither of two fits has learnt from series.

    Parameters
    ----------
    series, known : SeriesSet
        What each was fitted to; series are the same by name.
    learnt_until, known_until : numpy.ndarray
        Ticks, of ``series`` and of ``known``.
    """
    before = {str(name): int(until) for name, until in zip(known.names, known_until, strict=True)}
    return np.array(
        [
            max(int(until), before.get(str(name), int(until)))
            for name, until in zip(series.names, learnt_until, strict=True)
        ],
        np.int64,
    )
