"""Seasons: those of a calendar, and those that series without one show."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastlstm.data.series.series_set import Floats, Integers, SeriesSet

MOST_SERIES = 64  # that are looked at
LONGEST = 1000
FEWEST_CYCLES = 3  # that a series must show of a season
ROUNDING = 2.0**-24  # of a float32, by its size: a constant may differ by so much
CLEAR = 0.3  # autocorrelation of a season, and how far it stands out from between
LONGER = (
    0.02  # by how much a longer season must stand out from the multiples of the first, and twice its error
)


def seasons_of(series: SeriesSet, ends: Integers) -> tuple[int, ...]:
    """Return the seasons of series, the shortest first: the calendar's; where steps have no length, those found.

    Parameters
    ----------
    series : SeriesSet
        The series; the first target counts.
    ends : numpy.ndarray
        (S,) int64, the position just past each series' last row to look at.

    Returns
    -------
    tuple of int
        In steps; empty where there are none.
    """
    if series.axis.frequency.kind != "step":
        return series.axis.frequency.seasons
    shown = np.linspace(0, len(series) - 1, min(len(series), MOST_SERIES)).round().astype(int)
    return find_seasons(
        [
            series.target[series.offsets[code] : series.offsets[code] + ends[code], 0]
            for code in np.unique(shown)
        ]
    )


def season_for(seasons: tuple[int, ...], horizon: int) -> int:
    """Return the season to compare a forecast of some length with.

    The shortest that is at least as long as the horizon, so that every step ahead has its own counterpart a season
    ago; the longest where none is. A day of hours ahead is compared with yesterday, a week with last week.

    Parameters
    ----------
    seasons : tuple of int
        In steps, the shortest first.
    horizon : int
        Steps ahead.

    Returns
    -------
    int
        In steps; 1 where there is no season.

    Examples
    --------
    >>> season_for((24, 168), 24), season_for((24, 168), 48), season_for((24, 168), 168)
    (24, 168, 168)
    """
    return next((season for season in seasons if season >= horizon), max(seasons, default=1))


def find_seasons(histories: list[Floats]) -> tuple[int, ...]:
    """Find the seasons that several series have in common, by their mean autocorrelation.

    A season is a peak of the autocorrelation, above 0.3 and as much above the lowest point before it, at the
    shortest lag that reaches two thirds of the highest peak. A longer one, of which the first is a part, counts
    too where its peak stands out from the multiple of the first before it, by twice the error of an autocorrelation:
    the week beside the day, and not two weeks, whose peak is no higher. Autocorrelations are of what is left of a
    straight line, and their error is ``1 / √N`` for N values (Box, Jenkins & Reinsel, "Time Series Analysis", 3rd
    edition, section 2.1).

    Parameters
    ----------
    histories : list of numpy.ndarray
        Of each series (T,), NaN where missing.

    Returns
    -------
    tuple of int
        None, one or two lags, in steps.

    Examples
    --------
    >>> steps = np.arange(2000.0)
    >>> day, week = np.sin(2 * np.pi * steps / 24), 0.7 * (steps % 168 < 120)
    >>> find_seasons([(day + week).astype(np.float32)])
    (24, 168)
    >>> find_seasons([np.random.default_rng(0).normal(size=500).astype(np.float32)])
    ()
    """
    total, count = np.zeros(LONGEST + 1), np.zeros(LONGEST + 1)
    for history in histories:
        found = _autocorrelation(history)
        total[: len(found)] += found
        count[: len(found)] += 1
    # A lag that few series are long enough for says nothing of the others.
    reach = int(np.flatnonzero(count >= max(1, count.max() / 2))[-1]) + 1 if count.any() else 0
    mean = total[:reach] / np.maximum(count[:reach], 1)
    lags = np.arange(2, reach - 1)
    if not lags.size:
        return ()
    lowest = np.minimum.accumulate(mean)
    peaks = lags[
        (mean[lags] >= mean[lags - 1])
        & (mean[lags] > mean[lags + 1])
        & (mean[lags] > CLEAR)
        & (mean[lags] - lowest[lags] > CLEAR)
    ]
    if not peaks.size:
        return ()
    first = int(peaks[mean[peaks] >= 2 / 3 * mean[peaks].max()][0])
    longer = peaks[(peaks > first) & (peaks % first == 0)]
    clear = max(LONGER, 2 / np.sqrt(sum(np.isfinite(history).sum() for history in histories)))
    longer = longer[mean[longer] > mean[longer - first] + clear]
    if not longer.size:
        return (first,)
    return (first, int(longer[mean[longer] > mean[longer].max() - clear][0]))


def _autocorrelation(history: Floats) -> npt.NDArray[np.float64]:
    """(lags,) of a series without its line, up to a third of its length; empty where there is too little."""
    values = history.astype(np.float64)
    known = ~np.isnan(values)
    reach = min(len(values) // FEWEST_CYCLES, LONGEST)
    if reach < 2 or known.sum() < 2 * len(values) / 3:
        return np.zeros(0)
    steps = np.arange(len(values))
    line = np.polyfit(steps[known], values[known], 1)
    rest = np.where(known, values - np.polyval(line, steps), 0.0)
    if np.square(rest).sum() <= ROUNDING**2 * max(np.square(values[known]).sum(), 1e-300):
        return np.zeros(0)
    size = 2 ** int(np.ceil(np.log2(2 * len(rest))))
    whole, seen, squares = (np.fft.rfft(part, size) for part in (rest, known, np.square(rest)))
    # At each lag the sums are over the pairs of known values alone, the squares too: else missing values, and the ends,
    # would make a season look weaker than it is, by chance here more than there.
    products, left, right = (
        np.fft.irfft(first * second.conj(), size)[: reach + 1]
        for first, second in ((whole, whole), (squares, seen), (seen, squares))
    )
    found: npt.NDArray[np.float64] = products / np.sqrt(np.maximum(left * right, (1e-6 * products[0]) ** 2))
    return found
