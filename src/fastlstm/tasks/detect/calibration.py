"""From evidence to a score: how often something so unlikely would begin an alarm by chance."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

Array = npt.NDArray[np.float64]

FEWEST = 8  # alarms from which on the tail is drawn out: so many may be anomalies without it being moved
SLOPE = (0.8, 0.95)  # shares of the rows between which the tail's slope is measured
MOST = 0.1  # of the rows can lie in the tail: what is more common is no anomaly
FINE, COARSE = 50, 150  # thresholds that are tried: at the highest values, and at evenly rarer ones
LEVELS = 40  # of the bulk
CLOSE = 1e-3  # levels this close together are one: between them rounding would weigh


class Tail(BaseModel):
    """A monotone map from evidence to a score: -log10 of the rate, per row, at which it would start alarms by chance.

    Evidence that stays high for a while is one alarm, not many: counted are runs above a threshold that lie further
    apart than an alarm is held, as when peaks over a threshold are declustered (Coles 2001, "An introduction to
    statistical modeling of extreme values", chapter 5). Where r of n rows would have begun an alarm, the score of the
    threshold is ``-log10(r / n)``. From the threshold on at which r is the number of false alarms that are allowed, and
    at least eight, the score goes on along a straight line: an exponential tail, that of peaks over a threshold with
    shape 0 (Siffer et al. 2017, "Anomaly detection in streams with extreme value theory", KDD), as steep as that of the
    rows between the 80 % and the 95 % quantile, or steeper where fewer alarms than are allowed would be left. Real
    anomalies among the highest so do not raise what it takes to be one.

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
    def fit(
        cls, evidence: npt.NDArray[np.floating[Any]], hold: int, alarms: float, slope: float | None = None
    ) -> Self:
        """Learn from evidence on data that nobody has labelled.

        Parameters
        ----------
        evidence : numpy.ndarray
            (n,), in the order of time, NaN where there is none.
        hold : int
            In rows: what lies no further apart is one alarm.
        alarms : float
            How many false ones are allowed in n rows.
        slope : float, optional
            Of the tail, where it is known: 1 of evidence that is itself a score, or the greatest of several.

        Examples
        --------
        >>> evidence = np.random.default_rng(0).exponential(size=100_000)
        >>> tail = Tail.fit(evidence, hold=0, alarms=10)
        >>> bool(abs(tail(np.array(-np.log(1e-6))) - 6) < 0.3)
        True
        """
        known = np.sort(evidence[~np.isnan(evidence)].astype(np.float64))
        n = len(evidence)
        if len(known) < 2 or known[0] == known[-1]:
            return cls(levels=[0.0], scores=[0.0], slope=1.0)
        from_here = max(round(alarms), FEWEST)
        highest, counts = count_alarms(evidence, known, hold)
        # In the bulk of the rows, where runs grow together, alarms say nothing.
        common = int(np.searchsorted(-highest, -np.quantile(known, 1 - MOST), side="right")) - 1
        most = max(min(int(counts.argmax()), common), 0)
        highest, counts = highest[: most + 1], counts[: most + 1]
        anchor = _last_within(counts, from_here)
        from_here = int(counts[anchor])
        tail_scores = -np.log10(counts / n)
        # The bulk: by its rows, stretched to meet the tail.
        reach = max(-np.log10(np.mean(known >= highest[-1])), 1e-9)
        shares = np.linspace(0, reach, LEVELS)[:-1]
        bulk, bulk_scores = np.quantile(known, 1 - 10**-shares), shares / reach * tail_scores[-1]
        levels = np.concatenate([bulk, highest[anchor:][::-1]])
        scores = np.concatenate([bulk_scores, tail_scores[anchor:][::-1]])
        low, high = np.quantile(known, SLOPE)
        narrow = 1e-3 * max(abs(highest[0]), 1e-9)  # where all peaks are alike, what lies above is above all
        slope = slope or np.log10((1 - SLOPE[0]) / (1 - SLOPE[1])) / max(high - low, narrow)
        least_allowed = min(max(int(alarms), 1), from_here)
        if least_allowed <= alarms:
            width = max(highest[_last_within(counts, least_allowed)] - highest[anchor], narrow)
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


def _last_within(counts: npt.NDArray[np.int64], alarms: int) -> int:
    """Return which threshold is the lowest that raises no more alarms than so many; the highest where none is."""
    return max(int(np.searchsorted(counts, alarms, side="right")) - 1, 0)


def count_alarms(
    evidence: npt.NDArray[np.floating[Any]], known: Array, hold: int
) -> tuple[Array, npt.NDArray[np.int64]]:
    """Count the alarms that each of some thresholds would have raised.

    Parameters
    ----------
    evidence : numpy.ndarray
        (n,), in the order of time, NaN where there is none.
    known : numpy.ndarray
        What of it there is, rising.
    hold : int
        In rows: what lies no further apart is one alarm.

    Returns
    -------
    thresholds : numpy.ndarray
        Falling.
    counts : numpy.ndarray
        int64, of each: the most that it or a higher one would have raised.

    Examples
    --------
    >>> evidence = np.array([1.0, 5.0, 4.0, 0.0, 3.0, 0.5])
    >>> thresholds, counts = count_alarms(evidence, np.sort(evidence), hold=0)
    >>> dict(zip(thresholds.tolist(), counts.tolist()))
    {5.0: 1, 4.0: 1, 3.0: 2, 1.0: 2, 0.5: 2, 0.0: 2}
    """
    m = len(known)
    ranks = np.unique(
        np.concatenate([np.arange(1, min(m, FINE) + 1), np.geomspace(1, m, COARSE).astype(int)])
    )
    thresholds = np.unique(known[m - ranks])[::-1]
    counts = np.empty(len(thresholds), np.int64)
    for place, threshold in enumerate(thresholds):
        above = np.flatnonzero(evidence >= threshold)
        counts[place] = 1 + int((np.diff(above) > hold + 1).sum())
    return thresholds, np.maximum.accumulate(counts)
