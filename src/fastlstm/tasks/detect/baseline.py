"""What a detector is compared with: the rolling z-score."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm.data.series.series_set import SeriesSet
from fastlstm.tasks.detect.calibration import Tail

Array = npt.NDArray[np.float64]

FEWEST = 10  # values before the first score


def rolling_z_score(values: npt.NDArray[np.floating[Any]], window: int) -> Array:
    """Return how many deviations each value lies from the mean of those before it.

    ``|x_t - m_t| / s_t``, with mean and standard deviation over the ``window`` steps before t.

    Parameters
    ----------
    values : numpy.ndarray
        (T, K), NaN where missing.
    window : int
        In steps.

    Returns
    -------
    numpy.ndarray
        (T, K), NaN where fewer than ten values came before, or nothing came.

    Examples
    --------
    >>> values = np.array([[1.0, -1.0] * 10 + [5.0]]).T
    >>> float(rolling_z_score(values, 20)[-1, 0])
    5.0
    """
    known = ~np.isnan(values)
    # Sums of numbers near zero: cumulated ones of a large level would lose the spread.
    usual = [
        np.median(column[seen]) if seen.any() else 0.0 for column, seen in zip(values.T, known.T, strict=True)
    ]
    centred = np.where(known, values - np.array(usual), 0).astype(np.float64)
    totals = [
        np.cumsum(np.concatenate([np.zeros((1, values.shape[1])), part]), axis=0)
        for part in (known.astype(np.float64), centred, np.square(centred))
    ]
    end = np.arange(len(values))
    first = np.maximum(end - window, 0)
    count, total, squares = (part[end] - part[first] for part in totals)
    count = np.where(count >= FEWEST, count, np.nan)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
    distance = np.abs(centred - mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = np.where(known, np.where(distance > 1e-9 * deviation, distance / deviation, 0), np.nan)
    found[np.isnan(count)] = np.nan
    # After a constant stretch any change is as far off as can be.
    return np.minimum(found, 1e6)


def z_scores(series: SeriesSet, window: int) -> Array:
    """Return the rolling z-score of every step of all series, (N, K).

    Parameters
    ----------
    series : SeriesSet
        N steps.
    window : int
        In steps.
    """
    bounds = zip(series.offsets[:-1], series.offsets[1:], strict=True)
    return np.concatenate([rolling_z_score(series.target[first:end], window) for first, end in bounds])


def fit_baseline(scores: Array, hold: int, alarms_a_row: float) -> list[Tail]:
    """Calibrate z-scores as the detector's own evidence is.

    Parameters
    ----------
    scores : numpy.ndarray
        (N, K)
    hold : int
        In rows.
    alarms_a_row : float
        How many false alarms are allowed, each row.

    Returns
    -------
    list of Tail
        K for the channels, and one for the greatest of them.
    """

    def fit(values: Array, slope: float | None = None) -> Tail:
        return Tail.fit(values, hold, alarms_a_row * len(values), slope)

    tails = [fit(channel) for channel in scores.T]
    return [*tails, fit(_greatest(tails, scores), 1.0)]


def score_baseline(tails: list[Tail], scores: Array) -> Array:
    """Return the score of each step, on the scale of the detector's.

    Parameters
    ----------
    tails : list of Tail
        From :func:`fit_baseline`.
    scores : numpy.ndarray
        (N, K)
    """
    return tails[-1](_greatest(tails[:-1], scores))


def _greatest(tails: list[Tail], scores: Array) -> Array:
    greatest: Array = np.fmax.reduce([tail(channel) for tail, channel in zip(tails, scores.T, strict=True)])
    return greatest
