"""From evidence to a score: how often something so unlikely would begin an alarm by chance."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

Array = npt.NDArray[np.float64]

FEWEST = 8  # peaks from which on the tail is drawn out: so many may be anomalies without it being moved
SLOPE = (0.8, 0.95)  # shares of the rows between which the tail's slope is measured
MOST = 400  # peaks that are looked at
LEVELS = 40  # of the bulk
CLOSE = 1e-3  # levels this close together are one: between them rounding would weigh


class Tail(BaseModel):
    """A monotone map from evidence to a score: minus the decimal logarithm of how many alarms a row it would begin.

    Evidence that stays high for a while is one alarm, not many: counted are peaks that lie further apart than an alarm
    is held, as when peaks over a threshold are declustered (Coles 2001, "An introduction to statistical modeling of
    extreme values", chapter 5). With n rows and x_r the r-th highest peak, the score of x_r is ``-log10(r / n)``; from
    the r-th on, r the number of false alarms that are allowed and at least eight, the score goes on along a straight
    line: an exponential tail, that of peaks over a threshold with shape 0 (Siffer et al. 2017, "Anomaly detection in
    streams with extreme value theory", KDD). Real anomalies among the highest peaks so do not raise what it takes to be
    one.

    Parameters
    ----------
    levels, scores : list of float
        Rising: where the map is known; between them it is linear.
    slope : float
        Above the last level.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    levels: list[float]
    scores: list[float]
    slope: float

    @classmethod
    def fit(cls, evidence: npt.NDArray[np.floating[Any]], hold: int, alarms: float) -> Self:
        """Learn from evidence on data that nobody has labelled.

        Parameters
        ----------
        evidence : numpy.ndarray
            (n,), in the order of time, NaN where there is none.
        hold : int
            In rows: peaks that lie closer together are one.
        alarms : float
            How many false ones are allowed in n rows.

        Examples
        --------
        >>> evidence = np.random.default_rng(0).exponential(size=100_000)
        >>> tail = Tail.fit(evidence, hold=0, alarms=10)
        >>> bool(abs(tail(np.array(-np.log(1e-6))) - 6) < 0.3)
        True
        """
        known = evidence[~np.isnan(evidence)].astype(np.float64)
        n = max(len(evidence), 1)
        from_here = max(round(alarms), FEWEST)
        highest = peaks(evidence, hold, min(MOST, max(6 * from_here, n // (20 * (hold + 1)))))
        if len(highest) < 2 or highest[0] <= highest[-1]:
            return cls(levels=[0.0], scores=[0.0], slope=1.0)
        from_here = min(from_here, max(1, len(highest) // 2))
        ranks = np.arange(1, len(highest) + 1)
        tail_scores = -np.log10(ranks / n)
        # The bulk: by its rows, stretched to meet the peaks.
        least = highest[-1]
        shares = np.linspace(0, 1, LEVELS)[:-1] * max(-np.log10(np.mean(known >= least)), 1e-9)
        bulk = np.quantile(known, 1 - 10**-shares)
        bulk_scores = shares / max(-np.log10(np.mean(known >= least)), 1e-9) * tail_scores[-1]
        kept = ranks >= from_here
        levels = np.concatenate([bulk, highest[kept][::-1]])
        scores = np.concatenate([bulk_scores, tail_scores[kept][::-1]])
        low, high = np.quantile(known, SLOPE)
        narrow = 1e-3 * max(abs(highest[0]), 1e-9)  # where all peaks are alike, what lies above is above all
        slope = np.log10((1 - SLOPE[0]) / (1 - SLOPE[1])) / max(high - low, narrow)
        least_allowed = min(max(int(alarms), 1), from_here)
        if least_allowed <= alarms:
            width = max(highest[least_allowed - 1] - highest[from_here - 1], narrow)
            slope = max(slope, np.log10(from_here / least_allowed) / width)
        kept_levels, kept_scores = [levels[-1]], [scores[-1]]
        for level, score in zip(levels[-2::-1], scores[-2::-1], strict=True):
            if kept_levels[-1] - level > CLOSE * (levels[-1] - levels[0]):
                kept_levels.append(level)
                kept_scores.append(score)
        return cls(
            levels=np.array(kept_levels[::-1]).tolist(),
            scores=np.array(kept_scores[::-1]).tolist(),
            slope=float(slope),
        )

    def __call__(self, evidence: npt.NDArray[np.floating[Any]]) -> Array:
        """Return the score of evidence, NaN where there is none.

        Parameters
        ----------
        evidence : numpy.ndarray
            Of any shape.
        """
        inside = np.interp(evidence, self.levels, self.scores)
        score: Array = inside + self.slope * np.maximum(evidence - self.levels[-1], 0)
        return score


def peaks(values: npt.NDArray[np.floating[Any]], apart: int, most: int) -> Array:
    """Return the highest values of which no two lie closer together than ``apart`` rows.

    Parameters
    ----------
    values : numpy.ndarray
        (n,), NaN where there is none.
    apart : int
        In rows.
    most : int
        How many at most.

    Returns
    -------
    numpy.ndarray
        Falling.

    Examples
    --------
    >>> peaks(np.array([1.0, 5.0, 4.0, 0.0, 3.0, np.nan]), apart=1, most=3)
    array([5., 3.])
    """
    filled = np.where(np.isnan(values), -np.inf, values)
    taken = np.zeros(len(filled), bool)
    found: list[float] = []
    for row in np.argsort(-filled, kind="stable"):
        if len(found) == most or filled[row] == -np.inf:
            break
        if not taken[row]:
            found.append(float(filled[row]))
            taken[max(row - apart, 0) : row + apart + 1] = True
    return np.array(found)
